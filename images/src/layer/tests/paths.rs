//! Names, links and what they lead to.

use super::{Site, Tar, refused};

#[test]
fn i1_names_that_climb_are_refused_by_name() {
    for (name, words) in [
        ("../x", "\"../x\" is no path inside a root: it climbs"),
        ("a/../../x", "climbs"),
        ("./../", "climbs"),
        ("..", "climbs"),
        ("a/..", "climbs"),
        ("/abs", "absolute"),
        ("//abs", "absolute"),
        ("", "empty"),
    ] {
        refused(Tar::default().file(name, b""), words);
        refused(Tar::default().long(b'L', name.as_bytes()).file("y", b""), words);
        refused(Tar::default().pax(&[("path", name.as_bytes())]).file("y", b""), words);
        refused(Tar::default().directory(name, 0o777), words);
        refused(Tar::default().symlink(name, "x"), words);
    }
    refused(Tar::default().pax(&[("path", b"a\0b")]).file("y", b""), "NUL");
    refused(Tar::default().long(b'L', b"a\0/../b").file("y", b""), "NUL");
    refused(Tar::default().long(b'L', &[b'a'; 256]).file("y", b""), "255 bytes");
    refused(Tar::default().long(b'L', &b"a/".repeat(2048)).file("y", b""), "PATH_MAX");
}

#[test]
fn i1_unusual_names_are_names() {
    let site = Site::new();
    let names = ["a\\..\\b", "..a", "a..", "...", "-rf", "new\nline", "ünï", " "];
    let tar = names.iter().fold(Tar::default(), |tar, name| tar.file(name, b"x"));
    site.extract(tar.file(b"\xff\xfe", b"x").file(".//z/./y", b"x")).unwrap();
    for name in names {
        assert_eq!(site.read(name), "x");
    }
    assert_eq!(site.read("z/y"), "x");
}

#[test]
fn i2_symlinked_ancestors_are_resolved_inside() {
    let outside = Site::new().outside();
    for to in [&*outside, "../outside", "../../../../../../../../etc", "/proc/self/cwd", "loop"] {
        let site = Site::new();
        let to = to.replace(&outside, &site.outside());
        // An error or a file inside the root; the site looks at what lies outside.
        let tar = Tar::default().symlink("loop", "loop").symlink("etc", &to);
        let _whichever = site.extract(tar.file("etc/passwd", b"bad").file("etc/below/n", b"bad"));
    }
    for to in ["usr/bin", "/usr/bin", "./usr/../usr/bin", "../../usr/bin", "alias"] {
        let site = Site::new();
        let tar = Tar::default().directory("usr/bin", 0o755).symlink("alias", "/usr/bin");
        site.extract(tar.symlink("bin", to).file("bin/sh", b"sh")).unwrap();
        assert_eq!(site.read("usr/bin/sh"), "sh", "{to}");
    }
}

#[test]
fn i2_a_later_stream_meets_the_symlinks_of_an_earlier_one() {
    let site = Site::new();
    site.extract(Tar::default().symlink("etc", &site.outside())).unwrap();
    let _whichever = site.extract(Tar::default().file("etc/passwd", b"bad"));
    let _whichever = site.extract(Tar::default().file("etc/.wh.passwd", b""));
    let _whichever = site.extract(Tar::default().file("etc/.wh..wh..opq", b""));
    let _whichever = site.extract(Tar::default().directory("etc/below", 0o777));
}

#[test]
fn i3_a_symlink_is_replaced_not_followed() {
    let site = Site::new();
    let target = format!("{}/x", site.outside());
    let tar = Tar::default().file("busybox", b"busybox").symlink("ls", "busybox");
    site.extract(tar.symlink("cat", &target)).unwrap();
    site.extract(Tar::default().file("ls", b"coreutils").file("cat", b"cat")).unwrap();
    assert_eq!((site.read("busybox"), site.read("ls")), ("busybox".into(), "coreutils".into()));
    assert_eq!(site.read("cat"), "cat");
}

#[test]
fn i4_the_root_stays_a_directory() {
    for name in [".", "./", "./.", "././/"] {
        refused(Tar::default().symlink(name, "/tmp"), "the root is a directory");
        refused(Tar::default().link(b'1', name, "x"), "the root is a directory");
        refused(Tar::default().link(b'6', name, ""), "the root is a directory");
        let site = Site::new();
        site.extract(Tar::default().directory(name, 0o711)).unwrap();
        assert_eq!(site.mode(""), 0o711);
    }
    refused(Tar::default().file(".", b"x"), "the root is a directory");
    refused(Tar::default().symlink("/", "/tmp"), "absolute");
}

#[test]
fn i5_hard_links_never_leave_the_root() {
    for (to, words) in [
        ("../outside/x", "climbs"),
        ("../../x", "climbs"),
        ("/etc/passwd", "absolute"),
        ("", "empty"),
        // In the working directory of the test, not in the root.
        ("Cargo.toml", "stat(Cargo.toml)"),
        ("later", "stat(later)"),
        ("sub", "link(y)"),
        (".", ""),
    ] {
        let tar = Tar::default().directory("sub", 0o755).link(b'1', "y", to);
        refused(tar.file("later", b"x"), words);
    }
    let site = Site::new();
    let tar = Tar::default().symlink("out", &site.outside()).link(b'1', "y", "out/x");
    site.extract(tar).unwrap_err();
    assert!(!site.exists("y"));
}

#[test]
fn i5_a_link_to_a_symlink_links_the_symlink() {
    let site = Site::new();
    let target = format!("{}/x", site.outside());
    let tar = Tar::default().symlink("s", &target).link(b'1', "h", "s");
    site.extract(tar.file("h", b"mine")).unwrap();
    assert_eq!(site.read("h"), "mine");
    let tar = Tar::default().directory("d", 0o755).symlink("l", "/d").file("d/f", b"f");
    site.extract(tar.link(b'1', "g", "l/f").link(b'1', "d/f", "d/f").link(b'1', "l/f", "g"))
        .unwrap();
    assert_eq!((site.read("g"), site.read("d/f")), ("f".into(), "f".into()));
}

#[test]
fn i6_a_directory_entry_does_not_reach_through_a_symlink() {
    let site = Site::new();
    let tar = Tar::default().symlink("d", &site.outside()).symlink("r", "../outside");
    site.extract(tar.directory("d", 0o777).directory("r/", 0o777)).unwrap();
    let inside = Site::new();
    let tar = Tar::default().directory("e", 0o700).directory("d", 0o777);
    inside.extract(tar.symlink("d", "e")).unwrap();
    assert_eq!(inside.mode("e"), 0o700);
}
