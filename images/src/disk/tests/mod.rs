//! Whole disks, as the tools of the host read them.

mod boot;

use std::path::{Path, PathBuf};

use super::layout::{
    DiskLayout, Ext4Options, Filesystem, FsKind, MIB, On, Partition, PartitionKind, Table,
    VfatOptions, derived_u32, derived_uuid, mbr_type, type_guid,
};
use super::sink::{Compression, DiskSink, Qcow2Options, Qcow2Sink, RawSink, checksums};
use super::test_support::{create, dir, entry, file, have, noise, run, tree};
use super::*;
use crate::tree::{Kind, Tree};

const EPOCH: i64 = 1_700_000_000;

fn filesystem(name: &str, on: On, kind: FsKind, mount_point: Option<&str>) -> Filesystem {
    Filesystem {
        name: name.into(),
        on,
        kind,
        label: name.into(),
        uuid: derived_uuid("test", name),
        mount_point: mount_point.map(Into::into),
    }
}

fn ext4_kind() -> FsKind {
    FsKind::Ext4(Ext4Options { journal_mib: Some(4), ..Ext4Options::default() })
}

fn vfat_kind() -> FsKind {
    FsKind::Vfat(VfatOptions { volume_id: derived_u32("test", "esp"), fat_bits: None })
}

/// BIOS boot partition, ESP, root at the end.
pub(crate) fn gpt_layout() -> DiskLayout {
    let part = |number: u32, start: u64, mib: u64, type_guid| Partition {
        number,
        name: format!("p{number}"),
        start_lba: start * 2048,
        sectors: mib * 2048,
        kind: PartitionKind::Gpt {
            type_guid,
            guid: derived_uuid("test", &format!("partition/{number}")),
            attributes: 0,
        },
    };
    DiskLayout {
        size_bytes: 96 * MIB,
        sector_size: 512,
        epoch: EPOCH,
        table: Table::Gpt { disk_guid: derived_uuid("test", "disk") },
        partitions: vec![
            part(14, 1, 8, type_guid::BIOS_BOOT),
            part(15, 9, 16, type_guid::ESP),
            part(1, 25, 70, type_guid::LINUX),
        ],
        groups: Vec::new(),
        elsewhere: Vec::new(),
        filesystems: vec![
            filesystem("esp", On::Partition(15), vfat_kind(), Some("/boot/efi")),
            filesystem("root", On::Partition(1), ext4_kind(), Some("/")),
        ],
    }
}

/// Root, then swap and home as logical partitions.
fn mbr_layout() -> DiskLayout {
    let part = |number: u32, start: u64, mib: u64, type_byte, ebr: Option<u64>| Partition {
        number,
        name: format!("p{number}"),
        start_lba: start * 2048,
        sectors: mib * 2048,
        kind: PartitionKind::Mbr { type_byte, active: number == 1, ebr_lba: ebr.map(|e| e * 2048) },
    };
    DiskLayout {
        size_bytes: 96 * MIB + 512 * 3,
        sector_size: 512,
        epoch: EPOCH,
        table: Table::Mbr { disk_id: derived_u32("test", "disk") },
        partitions: vec![
            part(1, 1, 50, mbr_type::LINUX, None),
            part(5, 52, 10, mbr_type::SWAP, Some(51)),
            part(6, 63, 33, mbr_type::LINUX, Some(62)),
        ],
        groups: Vec::new(),
        elsewhere: Vec::new(),
        filesystems: vec![
            filesystem("root", On::Partition(1), ext4_kind(), Some("/")),
            filesystem("swap", On::Partition(5), FsKind::Swap, None),
            filesystem("home", On::Partition(6), ext4_kind(), Some("/home")),
        ],
    }
}

fn system() -> Tree {
    let mut home = dir("home");
    home.mode = 0o711;
    tree(vec![
        dir(""),
        dir("boot"),
        file("boot/vmlinuz", &noise(3_000_000)),
        dir("boot/efi"),
        dir("boot/efi/EFI"),
        dir("boot/efi/EFI/BOOT"),
        file("boot/efi/EFI/BOOT/BOOTX64.EFI", &noise(200_000)),
        file("boot/efi-not", b"beside the mount point"),
        home,
        file("home/notes", &b"text ".repeat(100_000)),
        entry("home/same", Kind::Hardlink(b"home/notes".to_vec())),
        file("a", b"hard"),
        entry("home/other", Kind::Hardlink(b"a".to_vec())),
        entry("home/third", Kind::Hardlink(b"a".to_vec())),
        file("zeros", &vec![0; 5_000_000]),
    ])
}

fn grub() -> BootFiles {
    let core_img = noise(100_000);
    BootFiles { bios: Some(BiosBoot { boot_img: vec![0xeb; 512], core_img }) }
}

fn raw(layout: &DiskLayout, path: &Path) -> WriteReport {
    let mut sink = RawSink::new(create(path), layout.size_bytes).unwrap();
    write(layout, &system(), &mut sink, &grub()).unwrap()
}

/// The bytes of a file system, as a file of their own.
fn part(report: &WriteReport, index: usize, disk: &Path) -> PathBuf {
    let extent = report.filesystems[index].extent;
    let bytes = fs_err::read(disk).unwrap();
    let path = disk.with_extension(index.to_string());
    let (from, to) = (sink::len_of(extent.offset), sink::len_of(extent.end()));
    fs_err::write(&path, &bytes[from..to]).unwrap();
    path
}

fn list(path: &Path, request: &str) -> String {
    run("debugfs", &["-R", request, path.to_str().unwrap()])
}

#[test]
fn a_gpt_disk_is_what_the_tools_expect() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = scratch.path().join("disk");
    let report = raw(&gpt_layout(), &disk);
    assert_eq!(report.bios_core.map(|e| e.offset), Some(MIB));
    let bytes = fs_err::read(&disk).unwrap();
    assert_eq!((bytes[0], bytes[0x5c], bytes[0x5d], bytes[510]), (0xeb, 0, 8, 0x55));
    assert_eq!(bytes[sink::len_of(MIB)], noise(1)[0]);
    if have("sfdisk") {
        assert!(run("sfdisk", &["-V", disk.to_str().unwrap()]).contains("No errors"));
    }
    if have("fsck.fat") && have("mdir") {
        let esp = part(&report, 0, &disk);
        run("fsck.fat", &["-n", esp.to_str().unwrap()]);
        let files = run("mdir", &["-/", "-b", "-i", esp.to_str().unwrap(), "::"]);
        assert!(files.contains("::/EFI/BOOT/BOOTX64.EFI"), "{files}");
    }
    if have("e2fsck") && have("debugfs") {
        let root = part(&report, 1, &disk);
        run("e2fsck", &["-fn", root.to_str().unwrap()]);
        let names = |path: &str| list(&root, &format!("ls -p {path}"));
        assert!(names("/boot").contains("/efi-not/"));
        assert!(names("/boot").contains("/efi/"), "the mount point is kept");
        assert!(!names("/boot/efi").contains("EFI"));
        assert!(list(&root, "stat /home/same").contains("Links: 2"));
    }
}

#[test]
fn what_is_mounted_nowhere_is_empty_and_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("disk");
    let mut layout = gpt_layout();
    layout.filesystems[0].mount_point = None;
    let report = raw(&layout, &path);
    let esp = part(&report, 0, &path);
    if have("fsck.vfat") {
        run("fsck.vfat", &["-n", esp.to_str().unwrap()]);
    }
}

#[test]
fn an_mbr_disk_divides_the_tree() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = scratch.path().join("disk");
    let report = raw(&mbr_layout(), &disk);
    assert_eq!(report.bios_core.map(|e| e.offset), Some(512));
    assert_eq!(report.filesystems[1].usage.used_bytes, 0);
    if have("sfdisk") {
        assert!(run("sfdisk", &["-V", disk.to_str().unwrap()]).contains("No errors"));
    }
    if have("blkid") {
        let swap = part(&report, 1, &disk);
        let seen = run("blkid", &["-p", "-o", "export", swap.to_str().unwrap()]);
        let uuid = derived_uuid("test", "swap");
        for part in ["LABEL=swap", &format!("UUID={uuid}"), "TYPE=swap", "VERSION=1"] {
            assert!(seen.contains(part), "{part} in {seen}");
        }
    }
    if have("e2fsck") && have("debugfs") {
        let (root, home) = (part(&report, 0, &disk), part(&report, 2, &disk));
        for path in [&root, &home] {
            run("e2fsck", &["-fn", path.to_str().unwrap()]);
        }
        assert!(list(&home, "stat /").contains("Mode:  0711"));
        assert!(list(&home, "stat /same").contains("Links: 2"));
        // A link to another file system's file is a file, and links to that again.
        assert!(list(&home, "stat /third").contains("Links: 2"));
        assert!(list(&home, "cat /other").contains("hard"));
        assert!(list(&root, "stat /a").contains("Links: 1"));
        assert!(!list(&root, "ls -p /home").contains("notes"));
    }
}

#[test]
fn a_bare_file_system_starts_at_the_first_byte() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = scratch.path().join("disk");
    let root = filesystem("root", On::Partition(9), ext4_kind(), Some("/"));
    let layout = DiskLayout::bare(64 * MIB, EPOCH, root);
    let mut sink = RawSink::new(create(&disk), layout.size_bytes).unwrap();
    write(&layout, &system(), &mut sink, &BootFiles::default()).unwrap();
    if have("e2fsck") {
        run("e2fsck", &["-fn", disk.to_str().unwrap()]);
    }
    let mut sink = RawSink::new(create(&disk), layout.size_bytes).unwrap();
    let error = write(&layout, &system(), &mut sink, &grub()).unwrap_err();
    assert!(matches!(error, WriteError::Boot(BootError::NoTable)), "{error}");
}

#[test]
fn a_qcow2_holds_the_same_disk_twice_over() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = scratch.path().join("disk");
    for layout in [gpt_layout(), mbr_layout()] {
        raw(&layout, &disk);
        let qcow2 = |name: &str, threads| {
            let path = scratch.path().join(name);
            let options = Qcow2Options { compression: Compression::Zstd { level: 3 }, threads };
            let mut sink = Qcow2Sink::new(create(&path), layout.size_bytes, &options).unwrap();
            write(&layout, &system(), &mut sink, &grub()).unwrap();
            path
        };
        let (one, two) = (qcow2("one", 1), qcow2("two", 3));
        assert_eq!(checksums(&one, true).unwrap(), checksums(&two, true).unwrap());
        if have("qemu-img") {
            let (one, disk) = (one.to_str().unwrap(), disk.to_str().unwrap());
            assert!(run("qemu-img", &["check", one]).contains("No errors"));
            let same = run("qemu-img", &["compare", "-f", "raw", "-F", "qcow2", disk, one]);
            assert!(same.contains("identical"), "{same}");
        }
    }
}

#[test]
fn missing_mount_points_are_made() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = scratch.path().join("disk");
    let layout = gpt_layout();
    let mut sink = RawSink::new(create(&disk), layout.size_bytes).unwrap();
    let bare = tree(vec![dir(""), file("f", b"x")]);
    let report = write(&layout, &bare, &mut sink, &BootFiles::default()).unwrap();
    if have("debugfs") {
        let root = part(&report, 1, &disk);
        assert!(list(&root, "stat /boot/efi").contains("Mode:  0755"));
    }
}

#[test]
fn a_tree_that_does_not_suit_the_layout_is_refused() {
    let refused = |tree: &Tree, change: fn(&mut DiskLayout)| {
        let mut layout = mbr_layout();
        change(&mut layout);
        let mut sink = Nowhere;
        write(&layout, tree, &mut sink, &BootFiles::default()).unwrap_err()
    };
    let cause = |error: WriteError| {
        use std::error::Error;
        error.source().map(ToString::to_string).unwrap_or_default()
    };
    let same: fn(&mut DiskLayout) = |_| {};
    let link = tree(vec![dir(""), entry("home", Kind::Symlink(b"data".to_vec()))]);
    assert!(cause(refused(&link, same)).contains("/home is a mount point"));
    let loose = tree(vec![dir(""), entry("l", Kind::Hardlink(b"gone".to_vec()))]);
    assert!(cause(refused(&loose, same)).contains("/l leads to /gone"));
    let rootless: fn(&mut DiskLayout) = |l| l.filesystems[0].mount_point = Some("/srv".into());
    assert!(cause(refused(&system(), rootless)).contains("mounted at /"));
    let small: fn(&mut DiskLayout) = |l| {
        l.partitions[0].sectors = 8 * 2048;
    };
    assert!(cause(refused(&system(), small)).contains("needs 16 MiB"));
    let full = tree(vec![dir(""), file("big", &noise(45 << 20))]);
    let error = refused(&full, same);
    assert!(matches!(&error, WriteError::Ext4 { name, .. } if name == "root"), "{error}");
    let text = cause(error);
    assert!(text.contains("more: raise the image's size"), "{text}");
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl DiskSink for Nowhere {
    fn data(&mut self, _offset: u64, _bytes: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn zeros(&mut self, _offset: u64, _len: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
