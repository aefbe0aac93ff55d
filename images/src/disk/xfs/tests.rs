//! xfs as `xfs_repair`, the kernel and our own reader see it.

use std::path::Path;
use std::sync::Arc;

use super::super::layout::{
    DiskLayout, Extent, FsKind, MIB, On, XfsFeature, XfsFeatures, XfsOptions, derived_uuid,
};
use super::super::sink::RawSink;
use super::super::test_support::{
    can_mount, create, dir, entry, file, have, lacks, noise, rich, run, same, tree, with,
};
use super::super::view;
use super::*;
use crate::read::{Format, Medium, RawFile, System};
use crate::tree::{Kind, Tree};

const EPOCH: i64 = 1_700_000_000;

fn image(tree: &Tree, len: u64, path: &Path) -> Result<FilesystemUse, XfsError> {
    image_of(tree, len, 512, XfsOptions::default(), path)
}

fn image_of(
    tree: &Tree,
    len: u64,
    sector_size: u32,
    options: XfsOptions,
    path: &Path,
) -> Result<FilesystemUse, XfsError> {
    let root = Filesystem {
        name: "mkfs_root".into(),
        on: On::Whole,
        kind: FsKind::Xfs(options),
        label: "img-rootfs".into(),
        uuid: derived_uuid("test", "root"),
        mount_point: Some("/".into()),
    };
    let layout = DiskLayout { sector_size, ..DiskLayout::bare(len, EPOCH, root) };
    let views = view::split(&layout, tree, &[]).unwrap();
    let place = Place { extent: Extent { offset: 0, len }, sector_size, epoch: EPOCH };
    let mut sink = RawSink::new(create(path), len).unwrap();
    let usage = write(&views[0], &layout.filesystems[0], &options, &place, &mut sink)?;
    sink.finish().map_err(XfsError::Sink)?;
    Ok(usage)
}

/// Writes the tree and compares what `xfs_repair` and our own reader find.
fn checked(tree: &Tree, len: u64, path: &Path) {
    checked_of(tree, len, 512, path);
}

fn checked_of(tree: &Tree, len: u64, sector_size: u32, path: &Path) {
    let usage = image_of(tree, len, sector_size, XfsOptions::default(), path).unwrap();
    clean(tree, &usage, path);
}

/// What `xfs_repair` and our own reader find is the tree, and what is used is what was told.
fn clean(tree: &Tree, usage: &FilesystemUse, path: &Path) {
    if have("xfs_repair") {
        run("xfs_repair", &["-n", "-f", path.to_str().unwrap()]);
    }
    if have("xfs_db") {
        let words = ["-f", "-c", "sb 0", "-c", "p dblocks fdblocks", path.to_str().unwrap()];
        let shown = run("xfs_db", &words);
        let number = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        let numbers: Vec<_> = shown.lines().map(number).collect();
        assert_eq!(usage.used_bytes, (numbers[0] - numbers[1]) * BLOCK, "{shown}");
    }
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(path).unwrap());
    same(tree, &System::whole(&disk, Format::Xfs).unwrap().tree(b"").unwrap());
}

#[test]
fn the_tree_is_there_whatever_the_size() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    for mib in [300, 301, 1024, 20_000] {
        checked(&rich(), mib * MIB + 512, &path);
    }
    checked_of(&rich(), 300 * MIB, 4096, &path);
    checked_of(&rich(), 20_000 * MIB + 4096, 4096, &path);
    let small = tree(vec![dir(""), file("hello", b"hello")]);
    checked(&small, 5 << 40, &path);
}

#[test]
fn directories_of_every_form() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let long = "n".repeat(200);
    let mut entries = vec![dir("")];
    // In the inode, in one block, with one leaf, with a tree of hashes.
    for (name, count) in [("a", 3), ("b", 20), ("c", 300), ("d", 3000)] {
        entries.push(dir(name));
        entries.extend((0..count).map(|i| file(&format!("{name}/{i}"), b"")));
    }
    entries.push(dir("f"));
    entries.extend((0..2000).map(|i| file(&format!("f/{long}{i}"), b"")));
    entries.extend((0..40).map(|i| dir(&format!("f/{i}"))));
    checked(&tree(entries), 600 * MIB, &path);
}

#[test]
fn a_directory_with_a_tree_of_two_levels() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let mut entries = vec![dir(""), dir("e"), file("a", b"a")];
    let link = |i: u32| entry(&format!("e/{i}"), Kind::Hardlink(b"a".to_vec()));
    entries.extend((0..260_000).map(link));
    checked(&tree(entries), 600 * MIB, &path);
}

#[test]
fn holes_many_extents_and_attributes_beyond_the_inode() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let mut bytes = vec![0; 48 << 20];
    for at in (0..bytes.len()).step_by(128 << 10) {
        bytes[at] = 7;
    }
    bytes.truncate((48 << 20) - 5000);
    let attributes = |count: u64, size: usize| {
        (0..count).map(|n| (format!("user.{n:02}").into_bytes(), noise(size))).collect()
    };
    let tree = tree(vec![
        dir(""),
        with(file("many", b"m"), |e| e.xattrs = attributes(20, 150)),
        with(entry("link", Kind::Symlink(vec![b'l'; 300])), |e| {
            e.xattrs = vec![(b"trusted.t".to_vec(), noise(100))];
        }),
        with(dir("named"), |e| e.xattrs = attributes(1, 200)),
        file("named/a-name", b""),
        file("named/another-name", b""),
        with(file("sparse", &bytes), |e| e.xattrs = attributes(1, 250)),
        // A few more extents than one block holds.
        file("sparser", &bytes[..33 << 20]),
        file("whole", &noise(20 << 20)),
    ]);
    checked(&tree, 400 * MIB, &path);
    if have("xfs_db") {
        let words = ["-f", "-c", "path /sparse", "-c", "p core.nextents core.nblocks core.format"];
        let shown = run("xfs_db", &[&words[..], &[path.to_str().unwrap()]].concat());
        assert!(shown.contains("core.nextents = 384"), "{shown}");
        assert!(shown.contains("core.nblocks = 386") && shown.contains("btree"), "{shown}");
    }
}

#[test]
fn more_inodes_than_one_group_lists_in_a_block() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let mut entries = vec![dir("")];
    for d in 0..20 {
        entries.push(dir(&format!("{d}")));
        entries.extend((0..1000).map(|i| file(&format!("{d}/{i}"), b"x")));
    }
    let tree = tree(entries);
    checked(&tree, 600 * MIB, &path);
    checked_of(&tree, 600 * MIB, 4096, &path);
}

/// All that can be on, and what else can be asked for.
fn modern() -> XfsOptions {
    let features = XfsFeatures::from(XfsFeature::ALL.to_vec());
    XfsOptions { features, groups: Some(3), inode_percent: Some(50) }
}

#[test]
fn features_are_on_where_they_are_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let mut entries = vec![
        dir(""),
        with(file("late", b"l"), |e| (e.mtime, e.mtime_nsec) = (16_000_000_000, 999_999_999)),
        with(file("early", b"e"), |e| (e.mtime, e.mtime_nsec) = (-2_147_483_648, 1)),
        with(dir("d"), |e| e.xattrs = vec![(b"user.l".to_vec(), noise(2000))]),
    ];
    entries.extend((0..20_000).map(|i| file(&format!("d/{i}"), b"x")));
    let all = tree(entries);
    for sector in [512, 4096] {
        let usage = image_of(&all, 600 * MIB, sector, modern(), &path).unwrap();
        clean(&all, &usage, &path);
        for feature in XfsFeature::ALL {
            let features = XfsFeatures::default().with(feature, true);
            let options = XfsOptions { features, ..XfsOptions::default() };
            let usage = image_of(&rich(), 300 * MIB, sector, options, &path).unwrap();
            clean(&rich(), &usage, &path);
        }
    }
    if have("xfs_db") {
        let image = path.to_str().unwrap();
        image_of(&all, 600 * MIB, 512, modern(), &path).unwrap();
        let shown = run("xfs_db", &["-f", "-c", "version", "-c", "sb 0", "-c", "p", image]);
        for word in ["REFLINK", "BIGTIME", "INOBTCNT", "SPARSE_INODES", "NREXT64"] {
            assert!(shown.contains(word), "{word}: {shown}");
        }
        for line in ["agcount = 3", "imax_pct = 50", "inoalignmt = 8", "spino_align = 4"] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        let words = ["-f", "-c", "path /late", "-c", "p v3.bigtime core.mtime.sec", image];
        let shown = run("xfs_db", &words);
        assert!(shown.contains("2477"), "{shown}");
    }
    let five = XfsOptions { groups: Some(5), ..XfsOptions::default() };
    let error = check(300 * MIB, 512, &five).unwrap_err();
    assert!(error.to_string().starts_with("5 allocation groups would have 60 MiB"), "{error}");
    assert!(check(400 * MIB, 512, &five).is_ok());
    let few = XfsOptions { inode_percent: Some(1), ..modern() };
    let error = image_of(&all, 300 * MIB, 512, few, &path).unwrap_err();
    let named = "20006 files need inodes of 9 MiB, and maxpct leaves them 1 percent, 3 MiB";
    assert_eq!(error.to_string(), named);
}

#[test]
fn the_kernel_mounts_and_writes_it() {
    if !can_mount() || !have("xfs_repair") {
        return;
    }
    let known = fs_err::read_to_string("/proc/filesystems").unwrap();
    if !known.lines().any(|line| line.trim() == "xfs") {
        lacks("the kernel has no xfs");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    for sector in [512, 4096] {
        mounts_and_writes(scratch.path(), sector, XfsOptions::default(), "");
    }
    // The second half of what is shared becomes the copy's own.
    let share = "&& head -c 1M /dev/urandom > \"$1\"/whole && sync && \
        cp --reflink=always \"$1\"/whole \"$1\"/shared && \
        dd if=/dev/urandom of=\"$1\"/shared bs=64k seek=8 count=4 conv=notrunc status=none && \
        sync && cmp -n 524288 \"$1\"/whole \"$1\"/shared";
    mounts_and_writes(scratch.path(), 512, modern(), share);
}

fn mounts_and_writes(scratch: &Path, sector: u32, options: XfsOptions, more: &str) {
    let path = scratch.join("fs");
    image_of(&rich(), 400 * MIB, sector, options, &path).unwrap();
    let target = scratch.join("mnt");
    fs_err::create_dir_all(&target).unwrap();
    let script = format!(
        "mount -o loop \"$0\" \"$1\" && cd \"$1\" && \
        stat -c '%n %a %u %g %h %F %t:%T %s' bin/su bin/su2 dev/* owned zeros && \
        rm bin/su many/file-00* && for i in $(seq 500); do echo $i > many/new-$i; done && \
        mkdir more && cp -r many more && cd / {more} && umount \"$1\""
    );
    let (image, target) = (path.to_str().unwrap(), target.to_str().unwrap());
    let args = ["--mount", "--propagation", "private", "sh", "-ec", &script, image, target];
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
    run("xfs_repair", &["-n", "-f", image]);
}

#[test]
fn what_cannot_be_stored_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let cases = [
        (entry("link", Kind::Symlink(vec![b'l'; 1024])), "/link: the name, or where"),
        (entry("node", Kind::Char { major: 1, minor: 1 << 18 }), "/node is a device"),
        (with(file("late", b""), |e| e.mtime = 1 << 31), "/late has the modification time"),
        (
            with(file("f", b""), |e| e.xattrs = vec![(b"user.l".to_vec(), noise(5000))]),
            "/f has more extended attributes",
        ),
        (
            with(file("f", b""), |e| e.xattrs = vec![(b"os2.x".to_vec(), Vec::new())]),
            "/f has an extended attribute os2.x",
        ),
        (file("no/parent", b""), "/no/parent has no parent"),
    ];
    for (entry, expected) in cases {
        let error = image(&tree(vec![dir(""), entry]), 300 * MIB, &path).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}: no {expected}");
    }
    let error = image(&tree(vec![dir("")]), 299 * MIB, &path).unwrap_err();
    assert!(error.to_string().contains("has 300 MiB at the least"), "{error}");
    let full = tree(vec![dir(""), file("big", &noise(250 << 20))]);
    assert!(matches!(image(&full, 300 * MIB, &path), Err(XfsError::NoSpace)));
}
