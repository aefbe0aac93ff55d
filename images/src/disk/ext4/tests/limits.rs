//! How much fits, and what is refused.

use super::*;
use crate::disk::alloc::Allocator;
use crate::disk::ext4::block_map::Mapping;
use crate::disk::layout::Ext4Features;

#[test]
fn one_file_fills_what_is_available() {
    for options in [
        Ext4Options::default(),
        Ext4Options {
            inode_ratio: 16_384,
            journal_mib: None,
            reserved_percent: Percent::whole(1),
            ..Ext4Options::default()
        },
        Ext4Options { block_size: 1024, inode_size: 1024, ..Ext4Options::default() },
        Ext4Options::of(ExtKind::Ext3),
        Ext4Options { block_size: 1024, ..Ext4Options::of(ExtKind::Ext2) },
    ] {
        for mib in [20, 200, 2048, 2500, 4096, 10_000, 70_000] {
            let g = Geometry::new(mib * MIB, &options).unwrap();
            let mut allocator =
                Allocator::new(g.first..g.blocks, g.reserved.clone(), extents::LONGEST);
            let mut extents = Vec::new();
            // All that is left when the journal has its extents and the reserve its index.
            let own = u64::from(g.reserve > 0);
            allocator.extend(&mut extents, 0, own + g.journal + g.available).unwrap();
            let nodes = g.mapping.nodes(std::slice::from_ref(&(0..g.journal)), g.block);
            allocator.extend(&mut extents, 0, nodes).unwrap();
            assert!(allocator.one().is_err(), "{mib}");
            let count = u64::try_from(extents.len()).unwrap();
            let all = 0..own + g.journal + g.available;
            let bound = g.mapping.nodes(std::slice::from_ref(&all), g.block);
            let most = match g.mapping {
                Mapping::Extents => extents::nodes(count, g.block),
                Mapping::Indirect => bound,
            };
            assert!(most <= bound, "{mib}: {most} of {bound}");
        }
    }
}

#[test]
fn a_tree_fits_its_minimal_size_exactly() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let options = Ext4Options { journal_mib: Some(4), ..Ext4Options::default() };
    let mut big = rich();
    big.insert(file("big", &noise(40 << 20)));
    for tree in [&rich(), &big] {
        let len = crate::disk::size::minimal_ext4_len(tree, &options).unwrap();
        image(tree, len, options, &path).unwrap();
        if have("e2fsck") {
            run("e2fsck", &["-fn", path.to_str().unwrap()]);
        }
        if len > 17 * MIB {
            let error = image(tree, len - MIB, options, &path).unwrap_err();
            let Ext4Error::Full { needed, missing, .. } = error else { panic!("{error}") };
            assert_eq!((needed, missing), (len, MIB));
        }
    }
}

#[test]
fn options_that_leave_no_file_system_are_told() {
    let features = |list: &str| Ext4Features::default().changed(list).unwrap();
    let usual = Ext4Options::default();
    for (len, options, said) in [
        (1 << 30, Ext4Options { inode_size: 4096, ..usual }, "leave no room for files"),
        (2 << 40, Ext4Options { block_size: 1024, ..usual }, "too large for blocks"),
        (8 << 20, usual, "it needs 16 MiB"),
        (1 << 30, Ext4Options { most_blocks: Some(1 << 18), ..usual }, "grow to 262144"),
        (
            1 << 30,
            Ext4Options { features: features("^metadata_csum,metadata_csum_seed"), ..usual },
            "metadata_csum_seed without metadata_csum",
        ),
        (
            1 << 30,
            Ext4Options { features: features("project"), inode_size: 128, ..usual },
            "project with inodes of 128 bytes",
        ),
    ] {
        let error = check(len, &options).unwrap_err().to_string();
        assert!(error.contains(said), "{error}: no {said}");
    }
    assert!(check(1 << 30, &usual).is_ok());
}

#[test]
fn what_cannot_be_stored_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let target = entry("link", Kind::Symlink(vec![b'l'; 5000]));
    let name = raw(&vec![b'n'; 256], b"");
    let node = entry("node", Kind::Char { major: 5000, minor: 0 });
    let large = with(file("f", b""), |e| e.xattrs = vec![(b"user.large".to_vec(), noise(5000))]);
    let attribute = with(file("f", b""), |e| e.xattrs = vec![(b"os2.x".to_vec(), Vec::new())]);
    let list = with(file("f", b""), |e| {
        e.xattrs = vec![(b"system.posix_acl_access".to_vec(), vec![9; 4])];
    });
    let short = with(file("short", b"1234"), |e| {
        if let Kind::File { size, .. } = &mut e.kind {
            *size = 5;
        }
    });
    let long_link = with(entry("x", Kind::Hardlink(b"a".to_vec())), |e| e.path = vec![b'n'; 256]);
    let lost = entry("lost+found", Kind::Hardlink(b"a".to_vec()));
    let huge = with(file("huge", b""), |e| {
        if let Kind::File { size, .. } = &mut e.kind {
            *size = (u64::from(u32::MAX) * 4096) + 1;
        }
    });
    let time = with(file("late", b""), |e| e.mtime = 1 << 40);
    let cases = [
        (vec![target], "/link: the name, or where the link leads, is longer"),
        (vec![name], "n: the name, or where the link leads, is longer"),
        (vec![node], "/node is a device whose numbers are larger"),
        (vec![large], "/f has an extended attribute user.large"),
        (vec![attribute], "/f has an extended attribute os2.x"),
        (vec![list], "/f has an extended attribute system.posix_acl_access"),
        (vec![short], "cannot read /short"),
        (vec![time], "/late has the modification time"),
        (vec![huge], "/huge has 17592186040321 bytes, more than this ext4 can count"),
        (vec![file("a", b""), long_link], "n: the name, or where the link leads, is longer"),
        (vec![file("a", b""), lost], "/lost+found is no directory"),
        (vec![file("lost+found", b"")], "/lost+found is no directory"),
        (vec![file("no/parent", b"")], "/no/parent has no parent"),
    ];
    for (entries, expected) in cases {
        let tree = tree([vec![dir("")], entries].concat());
        let error = image(&tree, 32 * MIB, Ext4Options::default(), &path).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}: no {expected}");
    }
    let many = (0..5000).map(|i| file(&format!("{i}"), b"")).chain([dir("")]).collect();
    let few = Ext4Options { inode_ratio: 65_536, ..Ext4Options::default() };
    let error = image(&tree(many), 32 * MIB, few, &path).unwrap_err().to_string();
    assert!(error.contains("needs 5011 inodes where there are 512"), "{error}");
    let error = image(&tree(vec![dir("")]), 8 * MIB, few, &path).unwrap_err();
    assert!(error.to_string().contains("8 MiB cannot be an ext4 with these options: it needs 16"));
    let odd = Ext4Options { block_size: 1024, inode_size: 2048, ..Ext4Options::default() };
    let error = image(&tree(vec![dir("")]), 32 * MIB, odd, &path).unwrap_err();
    assert!(error.to_string().contains("inodes of 2048 bytes cannot be written"), "{error}");
}
