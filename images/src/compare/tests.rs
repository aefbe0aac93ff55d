use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::layout::{DiskLayout, MIB};
use crate::disk::sink::RawSink;
use crate::disk::test_support::{create, dir, entry, file, noise, tree};
use crate::disk::tests::gpt_layout;
use crate::disk::{BootFiles, write};
use crate::oci::{Compression, Packing, pack};
use crate::read::{Medium, RawFile};
use crate::tree::{Kind, Tree};

fn system(change: impl FnOnce(&mut Tree)) -> Tree {
    let mut system = tree(vec![
        dir(""),
        dir("boot"),
        dir("boot/efi"),
        file("boot/efi/loader", &noise(9000)),
        dir("etc"),
        file(
            "etc/fstab",
            b"LABEL=root / ext4 defaults 0 1\nLABEL=ESP /boot/efi vfat defaults 0 2\n",
        ),
        file("etc/passwd", &noise(70_000)),
        entry("etc/link", Kind::Symlink(b"passwd".to_vec())),
    ]);
    change(&mut system);
    system
}

fn disk(path: &Path, layout: &DiskLayout, tree: &Tree) -> Arc<dyn Medium> {
    let mut sink = RawSink::new(create(path), layout.size_bytes).unwrap();
    write(layout, tree, &mut sink, &BootFiles { bios: None }).unwrap();
    drop(sink);
    Arc::new(RawFile::open(path).unwrap())
}

fn told(list: &[Difference]) -> Vec<String> {
    let path = |d: &Difference| {
        d.path.as_ref().map_or_else(String::new, |p| format!(" {}", String::from_utf8_lossy(p)))
    };
    list.iter().map(|d| format!("{}{}: {}", d.place, path(d), d.attribute)).collect()
}

/// What is told of two disks, the second changed.
fn of_disks(change: impl FnOnce(&mut Tree), layout: impl FnOnce(&mut DiskLayout)) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let one = disk(&place.path().join("one"), &gpt_layout(), &system(|_| {}));
    let mut other_layout = gpt_layout();
    layout(&mut other_layout);
    let other = disk(&place.path().join("other"), &other_layout, &system(change));
    told(&disks(&one, &other).unwrap())
}

fn at<'a>(tree: &'a mut Tree, path: &str) -> &'a mut crate::tree::Entry {
    tree.entries.iter_mut().find(|entry| entry.path == path.as_bytes()).unwrap()
}

#[test]
fn disks_differ_by_partition_path_and_attribute() {
    assert!(of_disks(|_| {}, |_| {}).is_empty());
    let root = "partition 1 (/)";
    for (change, expected) in [
        (
            (|tree| at(tree, "etc/passwd").mode = 0o600) as fn(&mut Tree),
            vec![format!("{root} etc/passwd: mode")],
        ),
        (|tree| at(tree, "etc/passwd").gid = 7, vec![format!("{root} etc/passwd: owner")]),
        (|tree| at(tree, "etc").mtime += 1, vec![format!("{root} etc: mtime")]),
        (
            |tree| {
                at(tree, "etc").xattrs = vec![(b"user.note".to_vec(), b"x".to_vec())];
            },
            vec![format!("{root} etc: attribute user.note")],
        ),
        (
            |tree| {
                let mut bytes = noise(70_000);
                bytes[66_001] ^= 1;
                tree.insert(file("etc/passwd", &bytes));
            },
            vec![format!("{root} etc/passwd: content from byte 66001 on")],
        ),
        (
            |tree| tree.insert(file("etc/passwd", &noise(69_999))),
            vec![
                format!("{root} etc/passwd: size"),
                format!("{root} etc/passwd: content from byte 69999 on"),
            ],
        ),
        (|tree| tree.insert(file("etc/new", b"")), vec![format!("{root} etc/new: presence")]),
        (
            |tree| tree.insert(entry("etc/link", Kind::Symlink(b"fstab".to_vec()))),
            vec![format!("{root} etc/link: target")],
        ),
        (
            |tree| tree.insert(file("boot/efi/loader", b"other")),
            vec![
                "partition 15 (/boot/efi) boot/efi/loader: size".to_owned(),
                "partition 15 (/boot/efi) boot/efi/loader: content from byte 0 on".to_owned(),
            ],
        ),
    ] {
        let told = of_disks(change, |_| {});
        // A directory that gained a name is as old as before: its time is the tree's.
        assert_eq!(told, expected);
    }
}

#[test]
fn what_is_no_file_s_is_told_by_its_place() {
    let told = of_disks(|_| {}, |layout| layout.partitions[0].sectors -= 8);
    assert_eq!(told[0], "the disk outside of its partitions: bytes from 528 on", "{told:?}");
    assert_eq!(told[1], "partition 14: size", "{told:?}");
    let told = of_disks(|_| {}, |layout| layout.size_bytes += MIB);
    assert!(told.contains(&"the disk: size".to_owned()), "{told:?}");
    let told = of_disks(|_| {}, |layout| layout.epoch += 1);
    // The volume's label has a date that no file shows.
    assert_eq!(told[0], "partition 1 (/) lost+found: mtime", "{told:?}");
    assert!(told[1].starts_with("partition 15 (/boot/efi): bytes from "), "{told:?}");
}

#[test]
fn archives_differ_by_path_and_attribute() {
    let bytes = |tree: &Tree| {
        let mut bytes = Vec::new();
        tree.write_tar(&mut bytes).unwrap();
        bytes
    };
    let one = bytes(&system(|_| {}));
    let compare = |change: fn(&mut Tree)| {
        told(&tars(one.as_slice(), bytes(&system(change)).as_slice(), "the archive").unwrap())
    };
    assert!(compare(|_| {}).is_empty());
    assert_eq!(
        compare(|tree| {
            at(tree, "etc/passwd").uid = 5;
            tree.insert(file("boot/new", b"x"));
            tree.remove_where(|entry| entry.path == b"etc/link");
        }),
        [
            "the archive boot/new: presence",
            "the archive etc/link: presence",
            "the archive etc/passwd: owner"
        ]
    );
    let damaged = tars(&one[..one.len() / 2], one.as_slice(), "x");
    assert!(damaged.is_err(), "half an archive");
}

#[test]
fn oci_archives_differ_by_layer() {
    let packed = |change: fn(&mut Tree)| {
        let packing = Packing {
            platform: crate::oci::Platform::of_debian("amd64"),
            epoch: 1_700_000_000,
            created_by: vec!["test".to_owned()],
            compression: Compression::Gzip,
            tag: "x".to_owned(),
            docker_name: None,
        };
        let file = tempfile::tempfile().unwrap();
        pack(None, system(change), &packing, file.try_clone().unwrap()).unwrap();
        file
    };
    assert!(oci_archives(packed(|_| {}), packed(|_| {})).unwrap().is_empty());
    let list = oci_archives(packed(|_| {}), packed(|tree| at(tree, "etc").mode = 0o700)).unwrap();
    assert_eq!(told(&list), ["layer 1 etc: mode"]);
}
