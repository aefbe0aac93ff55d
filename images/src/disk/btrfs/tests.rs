//! File systems as the kernel, btrfs-progs and our own reader read them.

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
        kind: FsKind::Btrfs,
        label: "a root of btrfs".into(),
        uuid: derived_uuid("test", "root"),
        mount_point: Some("/".into()),
    };
    let layout = DiskLayout::bare(size, 1_700_000_000, root);
    let mut sink = RawSink::new(create(path), size).unwrap();
    write(&layout, tree, &mut sink, &BootFiles::default()).map(drop)
}

fn check(tree: &Tree, size: u64, path: &Path) {
    image(tree, size, path).unwrap();
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(path).unwrap());
    let found = System::whole(&disk, Format::Btrfs).unwrap();
    same(tree, &found.tree(b"").unwrap());
    if have("btrfs") {
        let words = ["check", "--readonly", "--check-data-csum", path.to_str().unwrap()];
        let text = run("btrfs", &words);
        assert!(text.contains("no error found"), "{text}");
    }
}

#[test]
fn one_of_everything_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let (one, other) = (scratch.path().join("one"), scratch.path().join("other"));
    let mut tree = rich();
    tree.insert(with(file("old", b"o"), |e| e.mtime = -5));
    check(&tree, 160 * MIB, &one);
    image(&tree, 160 * MIB, &other).unwrap();
    assert!(fs_err::read(&one).unwrap() == fs_err::read(&other).unwrap(), "the same bytes twice");
    if have("btrfs") {
        let text = run("btrfs", &["inspect-internal", "dump-super", one.to_str().unwrap()]);
        assert!(text.contains("a root of btrfs") && text.contains("[match]"), "{text}");
    }
}

#[test]
fn lengths_holes_links_and_attributes() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let mut entries = vec![dir("")];
    for length in [1, 2047, 2048, 2049, 4095, 4096, 4097, 70_000] {
        entries.push(file(&format!("f{length:05}"), &noise(length)));
    }
    // Around the second superblock, at 64 MiB.
    entries.push(file("g", &noise(60 << 20)));
    let mut holes = vec![0; 20 << 20];
    for at in (0..holes.len()).step_by(256 << 10) {
        holes[at] = 7;
    }
    entries.push(file("holes", &holes[..(20 << 20) - 77]));
    entries.push(entry("link", Kind::Symlink(vec![b'l'; 4095])));
    entries.push(with(file("large", b"x"), |e| {
        e.xattrs = (0..30).map(|n| (format!("user.{n:02}").into_bytes(), noise(1000))).collect();
    }));
    entries.push(with(file("larger", b"x"), |e| {
        e.xattrs = vec![(b"user.x".to_vec(), noise(16_000))];
    }));
    entries.push(dir("names"));
    entries.push(file("names/a", b"a"));
    let link = |n: u32| entry(&format!("names/b{n}"), Kind::Hardlink(b"names/a".to_vec()));
    entries.extend((0..900).map(link));
    check(&tree(entries), 200 * MIB, &path);
}

#[test]
fn a_tree_of_three_levels() {
    let scratch = tempfile::tempdir().unwrap();
    let mut entries = vec![dir("")];
    let long = "n".repeat(240);
    for d in 0..12 {
        entries.push(dir(&format!("{d}")));
        entries.extend((0..1000).map(|i| file(&format!("{d}/{i}{long}"), &[b'x'; 900])));
    }
    check(&tree(entries), 300 * MIB, &scratch.path().join("fs"));
}

#[test]
fn what_does_not_fit_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let refused = |tree: &Tree| {
        let error = image(tree, 109 * MIB, &path).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    };
    let error = refused(&tree(vec![dir(""), file("a", &noise(100 << 20))]));
    assert!(error.contains("and it has 109 MiB"), "{error}");
    let large = |e: &mut crate::tree::Entry| e.xattrs = vec![(b"user.x".into(), noise(17_000))];
    let error = refused(&tree(vec![dir(""), with(file("a", b""), large)]));
    assert!(error.contains("/a has an attribute"), "{error}");
    let mut many = vec![dir(""), dir("d"), file("d/a", b"a")];
    let link = |n: u32| entry(&format!("d/b{n:099}"), Kind::Hardlink(b"d/a".to_vec()));
    many.extend((0..160).map(link));
    let error = refused(&tree(many));
    assert!(error.contains("/d/a has an attribute, or names in one directory"), "{error}");
}

#[test]
fn the_kernel_mounts_and_writes_it() {
    if !can_mount() || !have("btrfs") {
        return;
    }
    let known = fs_err::read_to_string("/proc/filesystems").unwrap();
    if !known.lines().any(|line| line.trim() == "btrfs") {
        lacks("the kernel has no btrfs");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    image(&rich(), 200 * MIB, &path).unwrap();
    let target = scratch.path().join("mnt");
    fs_err::create_dir(&target).unwrap();
    let script = "mount -o loop \"$0\" \"$1\" && cd \"$1\" && \
        stat -c '%n %a %u %g %h %F %t:%T %s' bin/su bin/su2 dev/* owned zeros && \
        rm bin/su many/file-00* && for i in $(seq 500); do echo $i > many/new-$i; done && \
        mkdir more && cp -r many more && cd / && umount \"$1\"";
    let (image, target) = (path.to_str().unwrap(), target.to_str().unwrap());
    let args = ["--mount", "--propagation", "private", "sh", "-ec", script, image, target];
    let seen = run("unshare", &args);
    for line in [
        "bin/su 4755 0 0 2 regular file 0:0 2",
        "dev/null 644 0 0 1 character special file 1:3 0",
        "dev/vda 644 0 0 1 block special file fe:12c 0",
        "owned 644 100000 65534 1 regular file 0:0 1",
        "zeros 644 0 0 1 regular file 0:0 3145728",
    ] {
        assert!(seen.lines().any(|l| l.trim() == line), "{line} in\n{seen}");
    }
    let text = run("btrfs", &["check", "--readonly", "--check-data-csum", image]);
    assert!(text.contains("no error found"), "{text}");
}
