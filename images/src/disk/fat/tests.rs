//! FATs as `fsck.fat` and mtools read them.

use std::path::{Path, PathBuf};

use super::super::layout::{DiskLayout, Extent, FsKind, MIB, On, derived_u32};
use super::super::sink::RawSink;
use super::super::test_support::{create, dir, entry, file, have, noise, run, tree};
use super::super::view;
use super::*;
use crate::tree::Kind;

fn esp(fat_bits: Option<u8>) -> Filesystem {
    Filesystem {
        name: "mkfs_esp".into(),
        on: On::Whole,
        kind: FsKind::Vfat(VfatOptions { volume_id: derived_u32("test", "esp"), fat_bits }),
        label: "mkfs_esp".into(),
        uuid: uuid::Uuid::nil(),
        mount_point: Some("/".into()),
    }
}

fn image(tree: &Tree, mib: u64, sector_size: u32, bits: Option<u8>, path: &Path) -> FatResult {
    let mut layout = DiskLayout::bare(mib * MIB, 1_700_000_000, esp(bits));
    layout.sector_size = sector_size;
    let views = view::split(&layout, tree, &[]).unwrap();
    let filesystem = &layout.filesystems[0];
    let FsKind::Vfat(options) = filesystem.kind else { panic!() };
    let extent = Extent { offset: 0, len: layout.size_bytes };
    let place = Place { extent, sector_size, epoch: layout.epoch };
    let mut sink = RawSink::new(create(path), layout.size_bytes).unwrap();
    let usage = write(&views[0], filesystem, &options, &place, &mut sink)?;
    sink.finish()?;
    Ok(usage)
}

type FatResult = Result<FilesystemUse, FatError>;

fn boot_tree() -> Tree {
    let mut entries = vec![
        dir(""),
        dir("EFI"),
        dir("EFI/BOOT"),
        file("EFI/BOOT/BOOTX64.EFI", &noise(700_000)),
        dir("EFI/debian"),
        file("EFI/debian/grub.cfg", b"set timeout=0\n"),
        file("EFI/debian/A quite long name, ünïcode.text", b"long"),
        file("EFI/debian/a quite long name 2.text", b""),
        file("startup.nsh", &[b'x'; 4096]),
        dir("many"),
    ];
    for i in 0..300 {
        entries.push(file(&format!("many/file number {i:04}.txt"), format!("{i}").as_bytes()));
    }
    let mut late = entry("EFI/debian/linked", Kind::Hardlink(b"EFI/debian/grub.cfg".to_vec()));
    late.mtime = i64::MAX;
    entries.push(late);
    tree(entries)
}

const CASES: [(u64, u32, Option<u8>); 8] = [
    (4, 512, None),
    (16, 512, None),
    (64, 512, None),
    (64, 512, Some(32)),
    (100, 4096, None),
    (300, 4096, Some(32)),
    (550, 512, None),
    (550, 4096, None),
];

#[test]
fn fsck_finds_nothing_and_mtools_read_everything() {
    if !have("fsck.fat") || !have("mtype") || !have("mdir") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tree = boot_tree();
    for (mib, sector, bits) in CASES {
        let path: PathBuf = dir.path().join(format!("{mib}-{sector}"));
        let usage = match image(&tree, mib, sector, bits, &path) {
            Ok(usage) => usage,
            Err(FatError::Geometry { .. }) if (mib, sector) == (300, 4096) => {
                assert!(usage_is_impossible(sector, mib));
                continue;
            }
            Err(error) => panic!("{mib} {sector}: {error}"),
        };
        assert!(usage.used_bytes > 700_000 && usage.used_bytes < usage.size_bytes);
        let text = path.to_str().unwrap();
        let check = run("fsck.fat", &["-n", "-v", text]);
        assert!(!check.contains("differences") && !check.contains("Dirty"), "{check}");
        assert!(check.contains("311 files"), "{check}");
        if sector == 512 {
            let read = |name: &str| run("mtype", &["-i", text, name]);
            assert_eq!(read("::/efi/debian/grub.cfg"), "set timeout=0\n");
            assert_eq!(read("::/EFI/debian/linked"), "set timeout=0\n");
            assert_eq!(read("::/many/file number 0299.txt"), "299");
            let list = run("mdir", &["-i", text, "::/EFI/BOOT"]);
            assert!(list.contains("BOOTX64  EFI    700000 2023-11-14  22:13"), "{list}");
            assert!(list.contains("Volume in drive : is MKFS_ESP"), "{list}");
            let out = dir.path().join("out");
            run("mcopy", &["-n", "-i", text, "::/EFI/BOOT/BOOTX64.EFI", out.to_str().unwrap()]);
            assert!(fs_err::read(&out).unwrap() == noise(700_000));
            fs_err::remove_file(out).unwrap();
        }
    }
}

/// FAT32 with clusters of 4 KiB begins at 256 MiB and its tables.
fn usage_is_impossible(sector: u32, mib: u64) -> bool {
    let extent = Extent { offset: 0, len: mib * MIB };
    Geometry::new(extent, u64::from(sector), Some(Bits::B32)).is_none()
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    image(&boot_tree(), 16, 512, None, &a).unwrap();
    image(&boot_tree(), 16, 512, None, &b).unwrap();
    assert!(fs_err::read(a).unwrap() == fs_err::read(b).unwrap());
}

#[test]
fn what_a_fat_cannot_hold_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fat");
    let link = entry("link", Kind::Symlink(b"target".to_vec()));
    let mut huge = file("huge", b"");
    if let Kind::File { size, .. } = &mut huge.kind {
        *size = 1 << 32;
    }
    let mut raw = file("x", b"");
    raw.path = b"\xff\xfe".to_vec();
    let many = (0..300).map(|i| file(&format!("file number {i}"), b""));
    let cases = [
        (vec![link], "/link is neither"),
        (vec![huge], "less than 4 GiB"),
        (vec![raw], "/\\xff\\xfe has a name"),
        (vec![file("a:b", b"")], "/a:b has a name"),
        (vec![file("Readme", b""), file("README", b"")], "are the same name"),
        (many.collect(), "room for 512"),
        (vec![file("big", &noise(3 << 20)), file("big2", &noise(3 << 20))], "bytes are missing"),
    ];
    for (entries, expected) in cases {
        let tree = tree([vec![dir("")], entries].concat());
        let error = image(&tree, 4, 512, None, &path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}: no {expected}");
    }
    let error = image(&tree(vec![dir("")]), 2, 512, Some(32), &path).unwrap_err();
    assert!(matches!(error, FatError::Geometry { .. }));
}
