//! Entries that come again, differently.

use super::{Site, Tar};

#[test]
fn i23_the_last_of_equal_names_wins() {
    let site = Site::new();
    let tar = Tar::default()
        .file("f", b"one")
        .file("f", b"two")
        .directory("d", 0o700)
        .file("d/f", b"x")
        .directory("d", 0o751)
        .symlink("s", "one")
        .symlink("s", "two");
    site.extract(tar).unwrap();
    assert_eq!(site.read("f"), "two");
    assert_eq!(site.mode("d"), 0o751);
    assert_eq!(fs_err::read_link(site.path("s")).unwrap().to_str(), Some("two"));
}

#[test]
fn i23_files_and_directories_replace_each_other() {
    let site = Site::new();
    let tar = Tar::default()
        .directory("a", 0o711)
        .directory("a/b", 0o711)
        .file("a/b/c", b"c")
        .file("a", b"file")
        .file("x", b"file")
        .directory("x", 0o711)
        .file("x/y", b"y")
        .directory("l", 0o700)
        .file("l/f", b"f")
        .symlink("l", "nowhere");
    site.extract(tar).unwrap();
    assert_eq!((site.read("a"), site.read("x/y")), ("file".into(), "y".into()));
    assert_eq!(site.mode("x"), 0o711);
    assert_eq!(fs_err::read_link(site.path("l")).unwrap().to_str(), Some("nowhere"));
    // Below a file there is nothing.
    site.extract(Tar::default().file("a/b", b"")).unwrap_err();
}

#[test]
fn i23_case_and_normal_forms_make_different_names() {
    let site = Site::new();
    let names = ["README", "readme", "\u{e9}", "e\u{301}", "\u{212b}", "\u{c5}"];
    let tar = names.iter().fold(Tar::default(), |tar, name| tar.file(name, name.as_bytes()));
    site.extract(tar).unwrap();
    for name in names {
        assert_eq!(site.read(name), name);
    }
}

/// Archives that follow each other, each made when it is asked for.
struct Stream<I> {
    parts: I,
    part: std::io::Cursor<Vec<u8>>,
}

impl<I: Iterator<Item = Vec<u8>>> std::io::Read for Stream<I> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let count = self.part.read(buffer)?;
            let Some(next) = (if count == 0 { self.parts.next() } else { None }) else {
                return Ok(count);
            };
            self.part = std::io::Cursor::new(next);
        }
    }
}

#[test]
fn full_i23_a_million_entries() {
    let site = Site::new();
    let part = |d: u32| {
        let files = (0..1000).fold(Tar::default(), |tar, f| tar.file(format!("d{d}/{f}"), b""));
        files.open()
    };
    let parts = (0..1000).map(part).chain([Tar::default().file("last", b"l").end()]);
    let stream = Stream { parts, part: std::io::Cursor::default() };
    site.extract_with(stream, &super::Limits::default()).unwrap();
    assert_eq!(fs_err::read_dir(site.path("")).unwrap().count(), 1001);
    assert_eq!(fs_err::read_dir(site.path("d999")).unwrap().count(), 1000);
    assert_eq!(site.read("last"), "l");
}

#[test]
fn i23_depth_and_number_are_no_danger() {
    let site = Site::new();
    let deep = "a/".repeat(2000) + "f";
    let many = (0..20_000).fold(Tar::default(), |tar, at| tar.file(format!("d/{at}"), b""));
    site.extract(many.long(b'L', deep.as_bytes()).file("short", b"deep")).unwrap();
    assert_eq!(fs_err::read_dir(site.path("d")).unwrap().count(), 20_000);
    assert!(site.exists("a/a/a/a"));
    // A file in its place takes all of it away.
    site.extract(Tar::default().file("a", b"file")).unwrap();
    assert_eq!(site.read("a"), "file");
}
