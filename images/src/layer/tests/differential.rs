//! What GNU tar unpacks, we unpack: every path and attribute, but for what is refused.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use super::{Head, Site, Tar, told};
use crate::disk::test_support::lacks;
use crate::layer::Limits;
use crate::tree::{Entry, Tree};

/// What a source has beside what every format can hold.
struct Source {
    /// Ids beyond seven octal digits, times before 1970 and fractions of seconds.
    wide: bool,
    /// Names and targets that are longer than 100 bytes; 255 for ustar.
    longest: usize,
    /// Attributes of every class, access lists.
    attributes: bool,
}

fn run(directory: &Path, program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).current_dir(directory).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {words:?}: {told}");
}

/// Makes a tree with one of everything.
fn fill(root: &Path, source: &Source) {
    let path = |name: &str| root.join(name);
    for name in ["d/e/f", "sticky", "closed"] {
        fs_err::create_dir_all(path(name)).unwrap();
    }
    fs_err::write(path("d/file"), "text").unwrap();
    fs_err::write(path("d/empty"), "").unwrap();
    fs_err::write(path("d/exact"), vec![b'x'; 1024]).unwrap();
    fs_err::write(path("d/odd"), vec![b'y'; 20_001]).unwrap();
    fs_err::write(path("new\nline and blank"), "").unwrap();
    fs_err::write(root.join(OsStr::from_bytes(b"\xff\xfe")), "no UTF-8").unwrap();
    for (to, name) in [("d/file", "again"), ("d/file", "d/e/once more"), ("d/empty", "e")] {
        fs_err::hard_link(path(to), path(name)).unwrap();
    }
    for (to, name) in [("d/file", "link"), ("../../nowhere", "d/dangling"), ("/etc", "absolute")] {
        std::os::unix::fs::symlink(to, path(name)).unwrap();
    }
    fs_err::hard_link(path("link"), path("same link")).unwrap();
    let long = "n".repeat(60);
    let mut deep = path("deep");
    while deep.as_os_str().len() - root.as_os_str().len() + long.len() < source.longest {
        deep = deep.join(&long);
    }
    fs_err::create_dir_all(&deep).unwrap();
    fs_err::write(deep.join("at the end"), "here").unwrap();
    let far = "t/".repeat(source.longest.min(400) / 2 - 2);
    std::os::unix::fs::symlink(far, path("far")).unwrap();
    let holes = fs_err::File::create(path("holes")).unwrap();
    for at in [0_u64, 1 << 20, 3 << 20, (9 << 20) + 4096, (20 << 20) + 100] {
        std::os::unix::fs::FileExt::write_all_at(holes.file(), b"data", at).unwrap();
    }
    holes.set_len(24 << 20).unwrap();
    fs_err::File::create(path("nothing but a hole")).unwrap().set_len(1 << 20).unwrap();
    for (name, kind, device) in [
        ("pipe", FileType::Fifo, 0),
        ("null", FileType::CharacterDevice, makedev(1, 3)),
        ("disk", FileType::BlockDevice, makedev(253, 4099)),
    ] {
        mknodat(CWD, path(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    }
    if source.attributes {
        run(root, "setfacl", &["-m", "u:7:r,g:8:rw", "d/odd"]);
        run(root, "setfacl", &["-d", "-m", "u:7:rx", "d/e"]);
        for (name, key, value) in [
            ("d/file", "user.note", &b"\0\n="[..]),
            ("d/file", "security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            ("d/file", "trusted.note", b"t"),
            ("d/e", "security.selinux", b"system_u:object_r:etc_t:s0\0"),
            ("link", "security.selinux", b"system_u:object_r:lib_t:s0\0"),
            ("pipe", "trusted.note", b"p"),
            ("null", "security.selinux", b"system_u:object_r:null_t:s0\0"),
        ] {
            lsetxattr(path(name), key, value, XattrFlags::empty()).unwrap();
        }
    }
    dress(root, source);
}

/// Gives it modes, owners and times.
fn dress(root: &Path, source: &Source) {
    let path = |name: &str| root.join(name);
    for (name, mode) in [
        ("d/exact", 0o4755),
        ("d/odd", 0o640),
        ("d/empty", 0o2750),
        ("sticky", 0o3777),
        ("d/e/f", 0o500),
        ("closed", 0),
    ] {
        fs_err::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let wide = if source.wide { 4_000_000_000 } else { 65_534 };
    for (name, owner) in [("d/exact", 1234), ("link", 5), ("disk", 6), ("d/e/f", wide)] {
        std::os::unix::fs::lchown(path(name), Some(owner), Some(owner + 1)).unwrap();
    }
    // The change of owner has cleared it.
    let set_id = std::fs::Permissions::from_mode(0o4755);
    fs_err::set_permissions(path("d/exact"), set_id).unwrap();
    run(root, "find", &[".", "-exec", "touch", "-h", "-d", "@1234567890", "{}", "+"]);
    if source.wide {
        for (name, time) in
            [("d/odd", "@-5.25"), ("link", "@3000000000.5"), ("sticky", "@7.000000009")]
        {
            run(root, "touch", &["-h", "-d", time, name]);
        }
    }
}

/// Everything of a tree, with the bytes of its files.
fn everything(root: &Path) -> Vec<(Entry, Vec<u8>)> {
    let tree = Tree::merge(&[root.to_path_buf()]).unwrap();
    let mut all = Vec::new();
    for entry in &tree.entries {
        let mut bytes = Vec::new();
        if let Ok(mut file) = tree.open(entry) {
            file.read_to_end(&mut bytes).unwrap();
        }
        all.push((entry.clone(), bytes));
    }
    all
}

/// Unpacks with both and compares.
fn same(name: &str, bytes: &[u8]) {
    let (ours, theirs) = (Site::new(), tempfile::tempdir().unwrap());
    let done = ours.extract_with(bytes, &Limits { whiteouts: false, ..Limits::default() });
    if let Err(error) = done {
        panic!("{name}: {}", told(&error));
    }
    let (archive, root) = (theirs.path().join("archive"), theirs.path().join("root"));
    fs_err::write(&archive, bytes).unwrap();
    fs_err::create_dir(&root).unwrap();
    // What an archive does not name is as it was.
    let now = fs_err::metadata(ours.path("")).unwrap().modified().unwrap();
    fs_err::File::open(&root).unwrap().file().set_modified(now).unwrap();
    let words = ["--numeric-owner", "--same-owner", "-p", "--acls", "--xattrs"];
    let more = ["--xattrs-include=*", "-C", root.to_str().unwrap(), "-xf"];
    let status = Command::new("tar").args(words).args(more).arg(&archive).status().unwrap();
    assert!(status.success(), "{name}");
    let (ours, theirs) = (everything(&ours.path("")), everything(&root));
    let names = |all: &[(Entry, Vec<u8>)]| -> Vec<String> {
        all.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned()).collect()
    };
    assert_eq!(names(&ours), names(&theirs), "{name}");
    for ((one, ours), (other, theirs)) in ours.iter().zip(&theirs) {
        let mut one = one.clone();
        if one.path.is_empty() {
            one.mtime = other.mtime;
            one.mtime_nsec = other.mtime_nsec;
        }
        assert_eq!(one, *other, "{name}");
        assert!(ours == theirs, "{name}: bytes of {}", String::from_utf8_lossy(&one.path));
    }
}

#[test]
fn archives_of_every_format_are_unpacked_as_gnu_tar_does_i7_i8_i10_i23() {
    if !rustix::process::geteuid().is_root() {
        return lacks("only root gives files away");
    }
    let plain = Source { wide: false, longest: 99, attributes: false };
    let ustar = Source { wide: false, longest: 99, ..plain };
    let long = Source { wide: false, longest: 900, attributes: false };
    let wide = Source { wide: true, longest: 900, attributes: false };
    let all = Source { wide: true, longest: 900, attributes: true };
    for (format, source, more) in [
        ("v7", &plain, &[][..]),
        ("ustar", &ustar, &[]),
        ("oldgnu", &long, &[]),
        ("oldgnu", &long, &["--sparse"]),
        ("gnu", &wide, &[]),
        ("gnu", &wide, &["--sparse", "--hole-detection=raw"]),
        ("posix", &all, &["--acls", "--xattrs", "--xattrs-include=*"]),
        ("posix", &wide, &["--sparse", "--sparse-version=0.0"]),
        ("posix", &wide, &["--sparse", "--sparse-version=0.1"]),
        ("posix", &wide, &["--sparse", "--sparse-version=1.0"]),
        ("posix", &wide, &["--sparse", "--hole-detection=raw"]),
    ] {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("from");
        fs_err::create_dir(&root).unwrap();
        fill(&root, source);
        if format == "v7" {
            // It has neither pipes nor devices.
            for name in ["pipe", "null", "disk"] {
                fs_err::remove_file(root.join(name)).unwrap();
            }
        }
        let archive = place.path().join("archive");
        let form = format!("--format={format}");
        let mut words = vec!["--create", "--sort=name", "--numeric-owner", form.as_str()];
        words.extend(more);
        words.extend(["--file", archive.to_str().unwrap(), "."]);
        run(&root, "tar", &words);
        same(&format!("{format} {more:?}"), &fs_err::read(&archive).unwrap());
    }
}

#[test]
fn odd_archives_are_unpacked_as_gnu_tar_does_i5_i7_i8_i23() {
    if !rustix::process::geteuid().is_root() {
        return lacks("only root gives files away");
    }
    let xattr = ("SCHILY.xattr.user.x", &b"1"[..]);
    for (name, tar) in [
        ("twice", Tar::default().file("a", b"one").file("a", b"two")),
        ("flips", Tar::default().file("a", b"f").directory("b", 0o755).symlink("a", "b")),
        (
            "directory again",
            Tar::default().directory("d", 0o700).file("d/f", b"").directory("d", 0o711),
        ),
        ("relinked", Tar::default().file("a", b"x").link(b'1', "b", "a").file("a", b"y")),
        ("link to a link", Tar::default().symlink("s", "t").link(b'1', "h", "s")),
        ("dots", Tar::default().directory("./d/", 0o755).file("./d/./f", b"x").file(".//g", b"")),
        ("a slash says directory", Tar::default().file("d/", b"").file("d/f", b"x")),
        ("size of pax", Tar::default().pax(&[("size", b"3")]).raw(&Head::new("f", b'0'), b"abc")),
        (
            "pax before a long name",
            Tar::default().pax(&[xattr]).long(b'L', &[b'n'; 150]).file("short", b"x"),
        ),
        ("pax of one entry only", Tar::default().pax(&[xattr]).file("a", b"").file("b", b"")),
        ("no type", Tar::default().raw(Head::new("old", 0).size(2), b"ab")),
        ("contiguous", Tar::default().raw(Head::new("c", b'7').size(2), b"ab")),
        ("set-id", Tar::default().raw(Head::new("s", b'0').mode(0o107_755), b"")),
    ] {
        same(name, &tar.end());
    }
}

/// Whatever GNU tar makes of them, as some are taken and some are not: the words that say why.
#[test]
fn what_we_refuse_is_listed_i1_i5_i7_i8_i9() {
    let size: [(&str, &[u8]); 2] = [("size", b"3"), ("size", b"3")];
    for (name, tar, words) in [
        ("absolute name", Tar::default().file("/x", b""), "it is absolute"),
        ("climbing name", Tar::default().file("a/../x", b""), "it climbs"),
        ("absolute hard link", Tar::default().link(b'1', "x", "/etc/passwd"), "it is absolute"),
        ("a record twice", Tar::default().pax(&size).file("f", b"abc"), "comes twice"),
        (
            "two headers for one entry",
            Tar::default().pax(&[("mtime", b"1")]).pax(&[("mtime", b"2")]).file("f", b""),
            "one extension comes twice",
        ),
        (
            "two long names",
            Tar::default().long(b'L', b"one").pax(&[("path", b"two")]).file("f", b""),
            "GNU and pax extensions name it",
        ),
        (
            "content of a link",
            Tar::default().raw(Head::new("l", b'2').put(157, b"t").size(3), b"abc"),
            "only files have content",
        ),
        ("a volume's name", Tar::default().raw(Head::new("v", b'V').gnu(), b""), "not supported"),
        (
            "a record that is none",
            Tar::default().sized(&mut Head::new("p", b'x'), b"9 nothing\n").file("f", b""),
            "pax record",
        ),
    ] {
        let site = Site::new();
        let error = site.extract(tar).expect_err(name);
        assert!(told(&error).contains(words), "{name}: {}", told(&error));
    }
}
