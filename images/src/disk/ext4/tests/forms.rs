//! Every size and option gives a file system that `e2fsck` and our own reader take.

use super::*;
use crate::read::{Format, Medium, RawFile, System};
use crate::tree::Source;

#[test]
fn every_size_is_clean() {
    if !have("e2fsck") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let small = tree(vec![dir(""), file("hello", b"hello")]);
    let odd = 4096 + 512;
    let groups = [16, 17, 100, 128, 129, 2048, 2049, 2052, 2060, 4100, 8192, 20_000];
    for mib in groups {
        for options in [
            Ext4Options::default(),
            Ext4Options {
                inode_ratio: 16_384,
                journal_mib: None,
                reserved_percent: Percent::whole(1),
                ..Ext4Options::default()
            },
        ] {
            image(&small, mib * MIB + odd, options, &path).unwrap();
            run("e2fsck", &["-fn", path.to_str().unwrap()]);
        }
    }
}

fn features(list: &str) -> Ext4Options {
    let features = Ext4Options::default().features.changed(list).unwrap();
    Ext4Options { features, ..Ext4Options::default() }
}

/// The tree that our own reader finds, which shares no code with the writer.
pub(super) fn read(path: &Path) -> Tree {
    let disk: std::sync::Arc<dyn Medium> = std::sync::Arc::new(RawFile::open(path).unwrap());
    System::whole(&disk, Format::Ext).unwrap().tree(b"").unwrap()
}

pub(super) fn check(tree: &Tree, options: Ext4Options, len: u64, path: &Path) {
    image(tree, len, options, path).unwrap();
    if have("e2fsck") {
        run("e2fsck", &["-fn", path.to_str().unwrap()]);
    }
    same(tree, &read(path));
}

#[test]
fn every_option_gives_what_the_tree_holds() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let sizes =
        |block_size, inode_size| Ext4Options { block_size, inode_size, ..Ext4Options::default() };
    let mut whole = rich();
    for entry in &mut whole.entries {
        entry.mtime_nsec = 0;
    }
    for (tree, options) in [
        (rich(), Ext4Options::default()),
        (rich(), sizes(1024, 256)),
        (rich(), sizes(2048, 512)),
        (rich(), Ext4Options { inode_ratio: 16_384, ..sizes(4096, 4096) }),
        (whole, sizes(1024, 128)),
        (rich(), features("^64bit")),
        (rich(), features("^metadata_csum")),
        (rich(), features("^metadata_csum,^64bit,^flex_bg,^resize_inode")),
        (rich(), features("^has_journal,^huge_file")),
        (rich(), features("^dir_index")),
        (rich(), features("metadata_csum_seed,large_dir,ea_inode,project,verity,stable_inodes")),
        (rich(), Ext4Options { inode_count: Some(5000), ..sizes(1024, 1024) }),
        (rich(), Ext4Options { hash_seed: Some(uuid::Uuid::nil()), ..Ext4Options::default() }),
    ] {
        let mut tree = tree;
        if options.block_size < 4096 {
            // Larger than a block.
            let large = |(name, _): &(Vec<u8>, Vec<u8>)| name != b"user.big";
            tree.entries.iter_mut().for_each(|entry| entry.xattrs.retain(large));
        }
        check(&tree, options, 100 * MIB, &path);
    }
}

#[test]
fn large_directories_have_an_index_of_one_and_two_levels() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let long = "n".repeat(200);
    let mut entries = vec![dir(""), dir("lost+found"), dir("d"), dir("e")];
    entries.extend((0..8000).map(|i| file(&format!("d/{long}-{i}"), b"")));
    entries.extend((0..15_000).map(|i| dir(&format!("e/{i}"))));
    let tree = tree(entries);
    for block_size in [1024, 4096] {
        let options = Ext4Options { block_size, ..Ext4Options::default() };
        check(&tree, options, 512 * MIB, &path);
        if have("debugfs") {
            let shown = run("debugfs", &["-R", "htree_dump /d", path.to_str().unwrap()]);
            let levels = format!("Indirect levels: {}", u8::from(block_size == 1024));
            assert!(shown.contains(&levels), "{block_size}");
        }
    }
}

#[test]
fn holes_stay_holes_and_many_extents_make_a_tree() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let mut bytes = vec![0; 64 << 20];
    for at in (0..bytes.len()).step_by(128 << 10) {
        bytes[at] = 7;
    }
    bytes.truncate((64 << 20) - 5000);
    let tree = tree(vec![
        dir(""),
        dir("lost+found"),
        file("sparse", &bytes),
        file("full", &noise(30 << 20)),
    ]);
    for block_size in [1024, 4096] {
        let options = Ext4Options { block_size, ..Ext4Options::default() };
        check(&tree, options, 100 * MIB, &path);
        let found = read(&path);
        let entry = found.get(b"sparse").unwrap();
        assert!(matches!(entry.kind, Kind::File { source: Source::Volume { .. }, .. }));
        if have("debugfs") {
            let stat = run("debugfs", &["-R", "stat /sparse", path.to_str().unwrap()]);
            let blocks = 512 * 4096 / 512;
            let nodes = if block_size == 1024 { 7 + 1 } else { 2 };
            let expected = format!("Blockcount: {}", blocks + nodes * block_size / 512);
            assert!(stat.contains(&expected), "no {expected}: {stat}");
        }
    }
}

#[test]
fn a_file_larger_than_the_disk_fits_when_it_is_holes() {
    use std::io::{Seek as _, Write as _};
    let scratch = tempfile::tempdir().unwrap();
    let (from, path) = (scratch.path().join("from"), scratch.path().join("fs"));
    fs_err::create_dir(&from).unwrap();
    let mut log = fs_err::File::create(from.join("lastlog")).unwrap();
    log.set_len(300 << 30).unwrap();
    log.seek(std::io::SeekFrom::Start(290 << 30)).unwrap();
    log.write_all(b"far behind").unwrap();
    let tree = Tree::merge(std::slice::from_ref(&from)).unwrap();
    image(&tree, 32 * MIB, Ext4Options::default(), &path).unwrap();
    if have("e2fsck") && have("debugfs") {
        run("e2fsck", &["-fn", path.to_str().unwrap()]);
        let stat = run("debugfs", &["-R", "stat /lastlog", path.to_str().unwrap()]);
        assert!(stat.contains("Size: 322122547200") && stat.contains("Blockcount: 8"), "{stat}");
    }
}

#[test]
fn more_directories_than_can_be_counted_and_attributes_beyond_the_inode() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let mut entries = vec![dir(""), dir("lost+found"), dir("d")];
    entries.extend((0..65_100).map(|i| dir(&format!("d/{i}"))));
    entries.push(with(file("f", b"f"), |e| {
        e.xattrs = (0..20).map(|n| (format!("user.{n:02}").into_bytes(), noise(150))).collect();
    }));
    let tree = tree(entries);
    image(&tree, 600 * MIB, Ext4Options::default(), &path).unwrap();
    if have("e2fsck") && have("debugfs") {
        run("e2fsck", &["-fn", path.to_str().unwrap()]);
        let stat = run("debugfs", &["-R", "stat /d", path.to_str().unwrap()]);
        assert!(stat.contains("Links: 1 "), "{stat}");
    }
    let found = read(&path);
    assert_eq!(found.get(b"f").unwrap().xattrs, tree.get(b"f").unwrap().xattrs);
    let counted = image(&tree, 600 * MIB, features("^dir_nlink"), &path).unwrap_err();
    assert!(counted.to_string().contains("/d has 65102 links"), "{counted}");
}

#[test]
fn what_kernels_are_told_is_as_mke2fs_has_it() {
    if !have("mke2fs") || !have("dumpe2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| scratch.path().join(name));
    let options = Ext4Options {
        errors: Ext4Errors::RemountRo,
        reserved_percent: "0.5".parse().unwrap(),
        stride: Some(16),
        stripe_width: Some(64),
        ..Ext4Options::default()
    };
    image(&tree(vec![dir("")]), 300 * MIB, options, &ours).unwrap();
    run("e2fsck", &["-fn", ours.to_str().unwrap()]);
    let words = "-q -F -t ext4 -b 4096 -i 4096 -m 0.5 -e remount-ro -E stride=16,stripe_width=64";
    let words: Vec<_> = words.split(' ').chain([theirs.to_str().unwrap(), "300M"]).collect();
    run("mke2fs", &words);
    let told = |path: &Path| -> Vec<String> {
        let head = run("dumpe2fs", &["-h", path.to_str().unwrap()]);
        let keys = ["Reserved block count", "Errors behavior", "RAID stride", "RAID stripe width"];
        let lines = head.lines().filter(|line| keys.iter().any(|key| line.starts_with(key)));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(told(&ours).len(), 4);
    assert_eq!(told(&ours), told(&theirs));
}
