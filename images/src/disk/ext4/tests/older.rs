//! ext3 and ext2: the numbers of blocks instead of extents, and drivers of their own names.

use super::forms::{check, read};
use super::*;
use crate::disk::layout::Ext4Features;

const KINDS: [ExtKind; 2] = [ExtKind::Ext2, ExtKind::Ext3];

fn sizes(kind: ExtKind) -> [Ext4Options; 3] {
    [
        Ext4Options { journal_mib: None, ..Ext4Options::of(kind) },
        Ext4Options { block_size: 2048, ..Ext4Options::of(kind) },
        Ext4Options { block_size: 1024, journal_mib: Some(8), ..Ext4Options::of(kind) },
    ]
}

#[test]
fn their_features_are_those_of_mke2fs() {
    if !have("mke2fs") || !have("dumpe2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (ours, theirs) = (scratch.path().join("ours"), scratch.path().join("theirs"));
    let shown = |path: &Path| {
        let head = run("dumpe2fs", &["-h", path.to_str().unwrap()]);
        let line = head.lines().find(|line| line.starts_with("Filesystem features:")).unwrap();
        line.to_owned()
    };
    for kind in KINDS {
        create(&theirs).set_len(300 * MIB).unwrap();
        run("mke2fs", &["-q", "-F", "-t", kind.name(), theirs.to_str().unwrap()]);
        image(&tree(vec![dir("")]), 300 * MIB, Ext4Options::of(kind), &ours).unwrap();
        assert_eq!(shown(&ours), shown(&theirs));
    }
}

#[test]
fn they_hold_what_the_tree_does() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let mut holes = vec![0; 70 << 20];
    for at in (0..holes.len()).step_by(640 << 10) {
        holes[at] = 7;
    }
    holes.truncate((70 << 20) - 5000);
    let mut whole = rich();
    // Larger than a block.
    let large = |(name, _): &(Vec<u8>, Vec<u8>)| name != b"user.big";
    whole.entries.iter_mut().for_each(|entry| entry.xattrs.retain(large));
    whole.entries.extend([file("holes", &holes), file("full", &noise(30 << 20))]);
    let whole = tree(whole.entries);
    for options in KINDS.into_iter().flat_map(sizes) {
        check(&whole, options, 140 * MIB, &path);
        if have("debugfs") {
            let stat = run("debugfs", &["-R", "stat /holes", path.to_str().unwrap()]);
            let block = u64::from(options.block_size);
            // What is not zero is found in pieces of 4 KiB.
            let (each, starts) = (4096 / block, (0..112).map(|n| n * (640 << 10) / block));
            let runs: Vec<_> = starts.map(|start| start..start + each).collect();
            let nodes = indirect::nodes(&runs, block);
            let expected = format!("Blockcount: {}", (112 * each + nodes) * block / 512);
            assert!(stat.contains(&expected), "no {expected}: {stat}");
        }
    }
}

#[test]
fn every_size_is_clean() {
    if !have("e2fsck") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let small = tree(vec![dir(""), file("hello", b"hello")]);
    for mib in [16, 17, 128, 129, 2049, 4100, 20_000] {
        for options in KINDS.into_iter().flat_map(sizes) {
            image(&small, mib * MIB + 4096 + 512, options, &path).unwrap();
            run("e2fsck", &["-fn", path.to_str().unwrap()]);
        }
    }
}

// The drivers of these names refuse what they have no feature for.
#[test]
fn the_kernel_takes_them_by_their_names() {
    if !have("e2fsck") || !can_mount() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (path, target) = (scratch.path().join("fs"), scratch.path().join("mnt"));
    fs_err::create_dir(&target).unwrap();
    let script = "mount -o loop -t \"$2\" \"$0\" \"$1\" && cd \"$1\" && sha256sum bin/ping && \
        rm bin/su many/file-00* && cp bin/ping new && truncate -s 9M new && echo end >> new && \
        for i in $(seq 500); do echo $i > many/new-$i; done && cd / && umount \"$1\"";
    for options in KINDS.into_iter().flat_map(sizes) {
        let mut whole = rich();
        whole.entries.iter_mut().for_each(|entry| {
            entry.xattrs.retain(|(name, _)| name != b"user.big");
        });
        image(&whole, 140 * MIB, options, &path).unwrap();
        let (text, target) = (path.to_str().unwrap(), target.to_str().unwrap());
        let args = ["--mount", "--propagation", "private", "sh", "-c", script, text, target];
        let seen = run("unshare", &[&args[..], &[options.kind.name()]].concat());
        let sum = {
            use sha2::Digest;
            hex::encode(sha2::Sha256::digest(noise(50_000)))
        };
        assert!(seen.contains(&sum), "{seen}");
        run("e2fsck", &["-fn", text]);
        assert!(read(&path).get(b"many/new-500").is_some());
    }
}

#[test]
fn files_are_as_large_as_numbers_go() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let of = |size: u64| {
        let file = scratch.path().join("from");
        fs_err::create_dir_all(&file).unwrap();
        create(&file.join("log")).set_len(size).unwrap();
        Tree::merge(std::slice::from_ref(&file)).unwrap()
    };
    let small = Ext4Options { block_size: 1024, ..Ext4Options::of(ExtKind::Ext2) };
    let most = (12 + 256 + (1 << 16) + (1 << 24)) * 1024;
    for (size, options, fits) in [
        (most, small, true),
        (most + 1, small, false),
        (1 << 40, Ext4Options::of(ExtKind::Ext3), true),
        (1 << 41, Ext4Options::of(ExtKind::Ext3), false),
    ] {
        let made = image(&of(size), 32 * MIB, options, &path);
        match made {
            Err(Ext4Error::FileSize { size: told, .. }) => assert!(!fits && told == size),
            made => {
                made.unwrap();
                assert!(fits, "{size}");
                if have("e2fsck") {
                    run("e2fsck", &["-fn", path.to_str().unwrap()]);
                }
            }
        }
    }
    let wide = Ext4Options {
        features: Ext4Features::default().changed("^extent").unwrap(),
        ..Ext4Options::default()
    };
    let error = image(&of(1), 32 * MIB, wide, &path).unwrap_err().to_string();
    assert!(error.contains("64bit without extent"), "{error}");
    let narrow = wide.features.changed("^64bit").unwrap();
    image(&of(1), 32 * MIB, Ext4Options { features: narrow, ..wide }, &path).unwrap();
}
