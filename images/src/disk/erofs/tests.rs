//! File systems as the kernel and the format's own programs read them.

use std::path::Path;
use std::sync::Arc;

use super::super::layout::{DiskLayout, Filesystem, FsKind, MIB, On, derived_uuid};
use super::super::sink::RawSink;
use super::super::test_support::{
    can_mount, create, dir, entry, file, have, lacks, noise, rich, run, same, tree, with,
};
use super::super::{BootFiles, WriteError, write};
use crate::read::{Format, Medium, RawFile, System};
use crate::tree::{Kind, Tree};

fn image(tree: &Tree, size: u64, path: &Path) -> Result<(), WriteError> {
    let root = Filesystem {
        name: "root".into(),
        on: On::Whole,
        kind: FsKind::Erofs,
        label: "img-rootfs".into(),
        uuid: derived_uuid("test", "root"),
        mount_point: Some("/".into()),
    };
    let layout = DiskLayout::bare(size, 1_700_000_000, root);
    let mut sink = RawSink::new(create(path), size).unwrap();
    write(&layout, tree, &mut sink, &BootFiles::default()).map(drop)
}

/// What the kernel shows of an image.
fn mounted(image: &Path) -> Option<Tree> {
    let known = fs_err::read_to_string("/proc/filesystems").unwrap();
    if !known.lines().any(|line| line.trim() == "erofs") {
        lacks("the kernel has no erofs");
        return None;
    }
    // A tree keeps its root open, whatever becomes of the mount.
    let point = tempfile::tempdir().unwrap();
    let (from, to) = (image.to_str().unwrap(), point.path().to_str().unwrap());
    run("mount", &["-t", "erofs", "-o", "loop,ro", from, to]);
    let tree = Tree::merge(&[point.path().to_path_buf()]);
    run("umount", &["-l", to]);
    Some(tree.unwrap())
}

fn check(tree: &Tree, size: u64) {
    let scratch = tempfile::tempdir().unwrap();
    let (one, other) = (scratch.path().join("one"), scratch.path().join("other"));
    image(tree, size, &one).unwrap();
    image(tree, size, &other).unwrap();
    assert!(fs_err::read(&one).unwrap() == fs_err::read(&other).unwrap(), "the same bytes twice");
    if have("fsck.erofs") {
        let text = run("fsck.erofs", &["-d1", one.to_str().unwrap()]);
        assert!(!text.contains("<E>"), "{text}");
    }
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&one).unwrap());
    same(tree, &System::whole(&disk, Format::Erofs).unwrap().tree(b"").unwrap());
    if can_mount()
        && let Some(found) = mounted(&one)
    {
        same(tree, &found);
    }
}

#[test]
fn one_of_everything() {
    let mut tree = rich();
    // Times before 1970, and names before and behind `.` and `..`.
    tree.insert(with(file("old", b"o"), |e| e.mtime = -5));
    for name in ["many/!first", "many/-", "many/~last"] {
        tree.insert(file(name, b"x"));
    }
    check(&tree, 64 * MIB);
}

#[test]
fn ends_of_files_and_directories_of_every_length() {
    let mut entries = vec![dir("")];
    for length in [0, 1, 3967, 3968, 3969, 4031, 4032, 4033, 4095, 4096, 4097, 8192, 12_000] {
        entries.push(file(&format!("f{length:05}"), &noise(length)));
        entries.push(with(file(&format!("g{length:05}"), &noise(length)), |e| {
            e.xattrs = vec![(b"user.some".to_vec(), noise(length % 4000))];
        }));
    }
    entries.push(entry("link", Kind::Symlink(vec![b'l'; 4000])));
    entries.push(with(file("large", b"x"), |e| {
        e.xattrs = (0..9).map(|n| (format!("user.{n}").into_bytes(), noise(1000))).collect();
    }));
    let long = "n".repeat(255);
    for (at, count) in [1, 2, 14, 15, 16, 31, 330, 341].into_iter().enumerate() {
        entries.push(dir(&format!("d{at}")));
        entries.extend((0..count).map(|n| file(&format!("d{at}/{n}{}", &long[4..]), b"")));
    }
    check(&tree(entries), 64 * MIB);
}

#[test]
fn what_does_not_fit_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let refused = |tree: &Tree, size| {
        let error = image(tree, size, &path).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    };
    let large = tree(vec![dir(""), file("a", &noise(3 << 20))]);
    let error = refused(&large, 2 * MIB);
    assert!(error.contains("need 3080 KiB, and it has 2048 KiB"), "{error}");
    let odd = |name: &str| {
        tree(vec![dir(""), with(file("a", b""), |e| e.xattrs = vec![(name.into(), vec![1])])])
    };
    for name in ["system.other", "nothing", "system.posix_acl_access.x"] {
        let error = refused(&odd(name), MIB);
        assert!(error.contains(&format!("/a has an extended attribute {name}")), "{error}");
    }
    let device = tree(vec![dir(""), entry("a", Kind::Char { major: 4096, minor: 0 })]);
    assert!(refused(&device, MIB).contains("numbers are larger"));
}
