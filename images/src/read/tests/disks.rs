//! Whole disks: our own, and those of sfdisk, mkfs.vfat and mcopy.

use std::path::Path;
use std::sync::Arc;

use super::super::container::{Container, FRONT};
use super::super::{Format, Medium, Qcow2, RawFile, Role, System, SystemError, partitions};
use super::{content, same, system};
use crate::disk::layout::{
    DiskLayout, Ext4Options, Filesystem, FsKind, MIB, On, Partition, PartitionKind, Table,
    VfatOptions, derived_u32, derived_uuid, mbr_type, type_guid,
};
use crate::disk::sink::{Compression, Qcow2Options, Qcow2Sink, RawSink};
use crate::disk::test_support::{create, dir, entry, file, have, noise, run, tree};
use crate::disk::{BootFiles, write};
use crate::tree::{Kind, Tree};

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

fn ext4() -> FsKind {
    FsKind::Ext4(Ext4Options { journal_mib: Some(4), ..Ext4Options::default() })
}

fn gpt(sector_size: u32) -> DiskLayout {
    let per_mib = MIB / u64::from(sector_size);
    let part = |number: u32, start: u64, mib: u64, type_guid| Partition {
        number,
        name: format!("p{number}"),
        start_lba: start * per_mib,
        sectors: mib * per_mib,
        kind: PartitionKind::Gpt {
            type_guid,
            guid: derived_uuid("test", &format!("partition/{number}")),
            attributes: 0,
        },
    };
    let vfat = FsKind::Vfat(VfatOptions { volume_id: derived_u32("test", "esp"), fat_bits: None });
    DiskLayout {
        size_bytes: 96 * MIB,
        sector_size,
        epoch: 1_700_000_000,
        table: Table::Gpt { disk_guid: derived_uuid("test", "disk") },
        partitions: vec![
            part(14, 1, 8, type_guid::BIOS_BOOT),
            part(15, 9, 16, type_guid::ESP),
            part(1, 25, 70, type_guid::LINUX),
        ],
        groups: Vec::new(),
        elsewhere: Vec::new(),
        filesystems: vec![
            filesystem("esp", On::Partition(15), vfat, Some("/boot/efi")),
            filesystem("root", On::Partition(1), ext4(), Some("/")),
        ],
    }
}

fn mbr() -> DiskLayout {
    let part = |number: u32, start: u64, mib: u64, type_byte, ebr: Option<u64>| Partition {
        number,
        name: format!("p{number}"),
        start_lba: start * 2048,
        sectors: mib * 2048,
        kind: PartitionKind::Mbr { type_byte, active: number == 1, ebr_lba: ebr.map(|e| e * 2048) },
    };
    DiskLayout {
        size_bytes: 96 * MIB,
        partitions: vec![
            part(1, 1, 40, mbr_type::LINUX, None),
            part(5, 42, 10, mbr_type::SWAP, Some(41)),
            part(6, 53, 16, mbr_type::LINUX, Some(52)),
            part(7, 70, 20, mbr_type::LINUX, Some(69)),
        ],
        table: Table::Mbr { disk_id: derived_u32("test", "disk") },
        filesystems: vec![
            filesystem("root", On::Partition(1), ext4(), Some("/")),
            filesystem("swap", On::Partition(5), FsKind::Swap, None),
            filesystem("home", On::Partition(6), ext4(), Some("/home")),
            filesystem("boot", On::Partition(7), ext4(), Some("/boot")),
        ],
        ..gpt(512)
    }
}

fn os() -> Tree {
    let mut capable = file("usr", b"");
    capable.path = b"ping".to_vec();
    let bits = vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    capable.xattrs = vec![(b"security.capability".to_vec(), bits)];
    capable.mode = 0o4755;
    let list = [
        &[2, 0, 0, 0][..],
        &[1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xe8, 3, 0, 0],
        &[4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255],
        &[32, 0, 0, 0, 255, 255, 255, 255],
    ];
    let mut listed = file("etc/listed", b"acl");
    listed.xattrs = vec![(b"system.posix_acl_access".to_vec(), list.concat())];
    listed.uid = 100_000;
    listed.mtime = 5_000_000_000;
    tree(vec![
        dir(""),
        dir("boot"),
        file("boot/vmlinuz-1", &noise(3_000_000)),
        dir("boot/efi"),
        dir("dev"),
        entry("dev/null", Kind::Char { major: 1, minor: 3 }),
        entry("dev/sda", Kind::Block { major: 8, minor: 300 }),
        dir("etc"),
        file("etc/fstab", b"# here\nLABEL=root / ext4 defaults 0 1\nLABEL=home /home ext4 defaults 0 2\nLABEL=swap none swap sw 0 0\n"),
        listed,
        dir("home"),
        file("home/a", b"hard"),
        entry("home/b", Kind::Hardlink(b"home/a".to_vec())),
        file("home/big", &noise(2_000_000)),
        capable,
        entry("pipe", Kind::Fifo),
        entry("vmlinuz", Kind::Symlink(b"boot/vmlinuz-1".to_vec())),
        entry("far", Kind::Symlink("z".repeat(300).into_bytes())),
    ])
}

fn with_esp() -> Tree {
    let mut tree = os();
    for name in ["boot/efi/EFI", "boot/efi/EFI/BOOT"] {
        tree.insert(dir(name));
    }
    tree.insert(file("boot/efi/EFI/BOOT/BOOTX64.EFI", &noise(200_000)));
    tree.insert(file("boot/efi/EFI/BOOT/a much longer name.text", b"ESP"));
    // FAT knows neither modes but these nor the time of its root.
    let files = tree.entries.iter_mut().filter(|e| e.path.starts_with(b"boot/efi/"));
    for entry in files {
        entry.mode = 0o755;
    }
    tree
}

fn raw(layout: &DiskLayout, tree: &Tree, path: &Path) {
    let mut sink = RawSink::new(create(path), layout.size_bytes).unwrap();
    write(layout, tree, &mut sink, &BootFiles::default()).unwrap();
}

#[test]
fn our_own_disks_are_read_back() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("disk");
    for (layout, given, mounts) in [
        (gpt(512), with_esp(), "/ partition 1, /boot/efi partition 15"),
        (gpt(4096), with_esp(), "/ partition 1, /boot/efi partition 15"),
        (mbr(), os(), "/ partition 1, /boot partition 7, /home partition 6"),
    ] {
        raw(&layout, &given, &path);
        let system = system(&path);
        let list: Vec<_> =
            system.mounts().iter().map(|(at, slot)| format!("{at} {slot}")).collect();
        assert_eq!(list.join(", "), mounts);
        let found = system.tree(b"").unwrap();
        let skip = ["lost+found", "boot/lost+found", "home/lost+found"];
        let (mut found, mut given) = (found, given);
        // The roots of mounted file systems: FAT's has no time.
        for tree in [&mut found, &mut given] {
            let mut efi = tree.get(b"boot/efi").unwrap().clone();
            efi.mtime = 0;
            tree.insert(efi);
        }
        same(&found, &given, &skip);
    }
}

#[test]
fn a_qcow2_holds_the_same_system() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("disk");
    let options = Qcow2Options { compression: Compression::Zstd { level: 1 }, threads: 1 };
    let layout = gpt(512);
    let mut sink = Qcow2Sink::new(create(&path), layout.size_bytes, &options).unwrap();
    write(&layout, &os(), &mut sink, &BootFiles::default()).unwrap();
    let disk: Arc<dyn Medium> = Arc::new(Qcow2::open(&path).unwrap());
    let tree = System::find(&disk).unwrap().tree(b"boot").unwrap();
    let kernel = tree.get(b"boot/vmlinuz-1").unwrap();
    assert!(content(&tree, kernel) == noise(3_000_000));
}

#[test]
fn bare_file_systems_and_fats_of_all_widths() {
    if !have("mkfs.vfat") || !have("mcopy") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("disk");
    let other = scratch.path().join("Some longer name.conf");
    fs_err::write(&other, noise(100_000)).unwrap();
    let short = scratch.path().join("SHORT.TXT");
    fs_err::write(&short, b"short").unwrap();
    let image = path.to_str().unwrap();
    for (bits, size) in [("12", 3u64), ("16", 20), ("32", 80)] {
        fs_err::File::create(&path).unwrap().set_len(size * MIB).unwrap();
        run("mkfs.vfat", &["-F", bits, "-n", "BOOT", image]);
        run("mmd", &["-i", image, "::etc"]);
        for file in [&other, &short] {
            run("mcopy", &["-i", image, file.to_str().unwrap(), "::etc"]);
        }
        let system = system(&path);
        let magic = system.found[0].magic.as_ref().unwrap();
        assert_eq!((magic.format, magic.label.as_str()), (Format::Fat, "BOOT"));
        let tree = system.tree(b"etc").unwrap();
        let found = tree.get(b"etc/Some longer name.conf").unwrap();
        assert!(content(&tree, found) == noise(100_000), "FAT{bits}");
        assert_eq!(content(&tree, tree.get(b"etc/SHORT.TXT").unwrap()), b"short");
        assert!(found.mtime > 1_600_000_000);
    }
}

#[test]
fn tables_of_sfdisk() {
    if !have("sfdisk") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("disk");
    let script = scratch.path().join("script");
    let rows = |text: &str| {
        fs_err::File::create(&path).unwrap().set_len(64 * MIB).unwrap();
        fs_err::write(&script, text).unwrap();
        let line = format!("sfdisk -q {} < {}", path.display(), script.display());
        run("sh", &["-c", &line]);
        let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&path).unwrap());
        let list = partitions(&disk).unwrap();
        list.iter().map(|p| (p.slot.to_string(), p.role, p.part.size() / MIB)).collect::<Vec<_>>()
    };
    let gpt = rows(
        "label: gpt\nsize=1M, type=21686148-6449-6E6F-744E-656564454649\nsize=8M, type=uefi\nsize=10M, type=BC13C2FF-59E6-4262-A352-B275FD6F7172\nsize=20M, type=linux\n",
    );
    let expected = [
        ("partition 1", Role::Other, 1),
        ("partition 2", Role::Efi, 8),
        ("partition 3", Role::Boot, 10),
        ("partition 4", Role::Other, 20),
    ];
    let owned = |list: &[(&str, Role, u64)]| {
        list.iter().map(|(name, role, mib)| ((*name).to_owned(), *role, *mib)).collect::<Vec<_>>()
    };
    assert_eq!(gpt, owned(&expected));
    // The second copy serves when the first is gone.
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[600] ^= 1;
    fs_err::write(&path, &bytes).unwrap();
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&path).unwrap());
    assert_eq!(partitions(&disk).unwrap().len(), 4);
    let end = bytes.len() - 400;
    bytes[end] ^= 1;
    bytes[end - 100] ^= 1;
    fs_err::write(&path, &bytes).unwrap();
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&path).unwrap());
    assert!(partitions(&disk).unwrap_err().to_string().contains("GPT"));
    let mbr = rows("label: dos\nsize=5M, type=ef\nsize=5M, type=83\ntype=5\nsize=6M\nsize=7M\n");
    let expected = [
        ("partition 1", Role::Efi, 5),
        ("partition 2", Role::Other, 5),
        ("partition 5", Role::Other, 6),
        ("partition 6", Role::Other, 7),
    ];
    assert_eq!(mbr, owned(&expected));
}

#[test]
fn what_is_not_read_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("disk");
    for (at, magic, format) in
        [(1024, &b"\x10\x20\xf5\xf2"[..], Format::F2fs), (0, b"LUKS\xba\xbe", Format::Luks)]
    {
        let mut bytes = vec![0; 1 << 20];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        fs_err::write(&path, &bytes).unwrap();
        let system = system(&path);
        assert!(!system.has_root());
        let error = system.nothing("the root file system");
        assert!(error.to_string().contains(&format!("{format} in the whole disk")), "{error}");
        let SystemError::Nothing { unread, .. } = error else { panic!("{error}") };
        assert_eq!(unread, Some(format));
    }
    fs_err::write(&path, vec![0; 1 << 20]).unwrap();
    assert!(system(&path).nothing("x").to_string().contains("nothing known"));
}

#[test]
fn files_are_known_by_their_magic() {
    let mut tar = vec![0; FRONT];
    tar[257..262].copy_from_slice(b"ustar");
    let mut vdi = vec![0; FRONT];
    vdi[64..68].copy_from_slice(&0xbeda_107f_u32.to_le_bytes());
    for (front, expected) in [
        (&b"QFI\xfb"[..], Container::Qcow2),
        (b"KDMV", Container::Foreign("vmdk")),
        (b"vhdxfile", Container::Foreign("vhdx")),
        (&vdi, Container::Foreign("vdi")),
        (b"conectix", Container::Foreign("vpc")),
        (&tar, Container::Tar),
        (&[0; FRONT], Container::Raw),
        (b"hsqs", Container::Squashfs),
    ] {
        assert_eq!(Container::detect(front), expected);
    }
}
