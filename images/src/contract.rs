//! The bytes that a release writes for a fixed input are a contract: an image that is built
//! again from the same input has the same digest.

/// The contract's number. It changes with any byte of any format.
///
/// 1 was ext4 by mkext4; 2 is ext4 by a writer of our own, and xfs; 3 is qcow2 with zlib by an
/// encoder of our own.
pub const BYTES: u32 = 3;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest as _, Sha256};

    use super::BYTES;
    use crate::disk::layout::{
        DiskLayout, Ext4Options, Filesystem, FsKind, LogicalVolume, MIB, On, Partition,
        PartitionKind, PhysicalVolume, Segment, Table, VfatOptions, VolumeGroup, XfsOptions,
        derived_u32, derived_uuid, derived_volume_id, mbr_type, type_guid,
    };
    use crate::disk::sink::{
        Compression, DiskSink, FixedVhdSink, ImageIdentity, Qcow2Options, Qcow2Sink, RawSink, Tee,
        VdiSink, VhdSink, VhdxSink, VmdkOptions, VmdkSink, VmdkStreamSink, copy_raw,
    };
    use crate::disk::test_support::{create, dir, entry, file, noise, tree};
    use crate::disk::{BiosBoot, BootFiles, write};
    use crate::oci::{self, Packing, Platform};
    use crate::tree::{Archives, Entry, Kind, Packing as Pack, Tree};

    const EPOCH: i64 = 1_700_000_000;

    /// What is pinned: format and digest.
    const GOLDEN: &[(&str, &str)] = &[
        ("gpt.raw", "94f90750838e6b679964df2180434adf51045489c5c491ed56a6b777cb4463a4"),
        ("gpt.qcow2-plain", "8b6fab9daacefc958f03c60c3dc2e2a13c58a97e1f1a349a47b771c2b7506fc5"),
        ("gpt.qcow2-zlib", "d705f49e8aba5b3df69b13897883c03121ce239df9898d95a2e12f8c6285a0af"),
        ("gpt.qcow2-zstd", "ebae6b4f32e121a4a00eb956773c1dfb67a97ae42aab1b0cd50ab63ccd318269"),
        ("gpt.vhd", "667d06341f5977a0b7d5364a42041e89b9a7092d919199e13ef9cd1614140fd5"),
        ("gpt.vhd-fixed", "69f6ba3eb09b4923a4dd1177f38628b851aaad37637d3632d21af8836291e4a0"),
        ("gpt.vhdx", "65ee5af169372ecd22ae30819caf73720e3d7f25c7b80dbb687bb1285432ea4e"),
        ("gpt.vmdk", "8e847f2e7168ba8285f668b0ac93b2a09a888a385fd56e33e2c50cbddf7fd847"),
        ("gpt.vmdk-stream", "61ef9fddbbfee2574e5f1ec963c088576ff7b8854c7a1e7b9dc5b9984990c00c"),
        ("gpt.vdi", "ae3086d6e38bf5e74890aaf4c28f3504942609fa63364225671d440f6f626585"),
        ("mbr.raw", "edd9e88a1481178754235281593a16f8b13343740640e64ccba4bc24e6a7b625"),
        ("xfs.raw", "3b18a6a337ae2c66f370e2feb7b10d829e99e315be08d9576b37ee82d9dc7231"),
        ("btrfs.raw", "ca5bafb230a434f0ce614408b1e7504969a44d417468288e09bcda6f3450d312"),
        ("erofs.raw", "90a269c260cece41480395b5853114e36029f491c079771777827cec7547b0a6"),
        ("4096.raw", "409dabb1fc3f29520826eb38b2199005b055b9f85fe1b15891518337c4fc3d6e"),
        ("lvm.raw", "0194a5d90e81c185ff534fb3648695604f7f0332865265aab2ba0ebed07e4805"),
        ("tar", "dea4528103fb121186230f4ab0070d2ca6e0e63e185099914b685f417bbaac78"),
        ("tgz", "54355cc54b8abbea42aa812d07632caa1831a1b3baab4995e60f085e94abacb2"),
        ("tar.zst", "5bb8b37a95141cf4b04654f2e7a26b0f203952d68d6a8f715e3d29084fc72e7a"),
        ("oci-gzip", "72b36efcebf15ce26aa694238cf256da359898686da9dc2d0466d264a9f6dcde"),
        ("oci-zstd", "189af6269bf4bc5696bfb542a62c34fdefa462ebc15a95042fbeb2e28e568abf"),
        ("docker", "dbffa2076b48d3cb9ce7cc3f81a42833e3861040634de0c07bafd9b622df1b70"),
    ];

    /// One of everything, none of it from this host.
    fn system() -> Tree {
        let with = |mut entry: Entry, change: fn(&mut Entry)| {
            change(&mut entry);
            entry
        };
        let mut entries = vec![
            dir(""),
            dir("boot"),
            file("boot/vmlinuz", &noise(3_000_000)),
            dir("boot/efi"),
            dir("boot/efi/EFI"),
            file("boot/efi/EFI/BOOTX64.EFI", &noise(200_000)),
            dir("dev"),
            entry("dev/null", Kind::Char { major: 1, minor: 3 }),
            entry("dev/pipe", Kind::Fifo),
            dir("etc"),
            with(file("etc/shadow", b"root:*:\n"), |e| (e.mode, e.gid) = (0o640, 42)),
            entry("etc/long", Kind::Symlink(vec![b'l'; 200])),
            entry("etc/short", Kind::Symlink(b"shadow".to_vec())),
            dir("home"),
            file("home/notes", &b"text ".repeat(100_000)),
            entry("home/same", Kind::Hardlink(b"home/notes".to_vec())),
            dir("many"),
            with(file("ping", b"ping"), |e| {
                e.mode = 0o4755;
                e.mtime_nsec = 7;
                e.xattrs = vec![
                    (b"security.capability".to_vec(), [1, 0, 0, 2].repeat(5)),
                    (b"user.large".to_vec(), noise(1000)),
                ];
            }),
            file("zeros", &vec![0; 5_000_000]),
        ];
        entries.extend((0..600).map(|i| file(&format!("many/name-{i:04}"), &[b'm'; 9])));
        tree(entries)
    }

    fn filesystem(name: &str, number: u32, kind: FsKind, point: Option<&str>) -> Filesystem {
        Filesystem {
            name: name.into(),
            on: if number == 0 { On::Whole } else { On::Partition(number) },
            kind,
            label: name.into(),
            uuid: derived_uuid("contract", name),
            mount_point: point.map(Into::into),
        }
    }

    fn ext4() -> FsKind {
        FsKind::Ext4(Ext4Options { journal_mib: Some(4), ..Ext4Options::default() })
    }

    fn gpt() -> DiskLayout {
        let part = |number: u32, start: u64, mib: u64, type_guid| {
            let guid = derived_uuid("contract", &format!("partition/{number}"));
            Partition {
                number,
                name: format!("p{number}"),
                start_lba: start * 2048,
                sectors: mib * 2048,
                kind: PartitionKind::Gpt { type_guid, guid, attributes: 0 },
            }
        };
        let volume_id = derived_u32("contract", "esp");
        let esp = FsKind::Vfat(VfatOptions { volume_id, fat_bits: None });
        DiskLayout {
            size_bytes: 96 * MIB,
            sector_size: 512,
            epoch: EPOCH,
            table: Table::Gpt { disk_guid: derived_uuid("contract", "disk") },
            partitions: vec![
                part(14, 1, 8, type_guid::BIOS_BOOT),
                part(15, 9, 16, type_guid::ESP),
                part(1, 25, 70, type_guid::LINUX),
            ],
            groups: Vec::new(),
            elsewhere: Vec::new(),
            filesystems: vec![
                filesystem("esp", 15, esp, Some("/boot/efi")),
                filesystem("root", 1, ext4(), Some("/")),
            ],
        }
    }

    fn mbr() -> DiskLayout {
        let part = |number: u32, start: u64, mib: u64, type_byte, ebr: Option<u64>| {
            let (active, ebr_lba) = (number == 1, ebr.map(|e| e * 2048));
            Partition {
                number,
                name: format!("p{number}"),
                start_lba: start * 2048,
                sectors: mib * 2048,
                kind: PartitionKind::Mbr { type_byte, active, ebr_lba },
            }
        };
        DiskLayout {
            size_bytes: 96 * MIB,
            sector_size: 512,
            epoch: EPOCH,
            table: Table::Mbr { disk_id: derived_u32("contract", "disk") },
            partitions: vec![
                part(1, 1, 50, mbr_type::LINUX, None),
                part(5, 52, 10, mbr_type::SWAP, Some(51)),
                part(6, 63, 30, mbr_type::LINUX, Some(62)),
            ],
            groups: Vec::new(),
            elsewhere: Vec::new(),
            filesystems: vec![
                filesystem("root", 1, ext4(), Some("/")),
                filesystem("swap", 5, FsKind::Swap, None),
                filesystem("home", 6, ext4(), Some("/home")),
            ],
        }
    }

    fn bare(kind: FsKind) -> DiskLayout {
        DiskLayout::bare(300 * MIB, EPOCH, filesystem("root", 0, kind, Some("/")))
    }

    /// The same partitions in sectors of 4096 bytes.
    fn sectors() -> DiskLayout {
        let mut layout = gpt();
        layout.sector_size = 4096;
        for partition in &mut layout.partitions {
            partition.start_lba /= 8;
            partition.sectors /= 8;
        }
        layout
    }

    /// A root file system on two physical volumes, and one of blocks and inodes of other sizes.
    fn lvm() -> DiskLayout {
        let mut layout = gpt();
        let id = |name: &str| derived_volume_id("contract", name);
        let physical = |number: u32, extents: u64| PhysicalVolume {
            name: format!("pv{number}"),
            on: On::Partition(number),
            id: id(&format!("pv{number}")),
            extents,
        };
        let run = |physical, first, extents| Segment { physical, first, extents };
        layout.groups = vec![VolumeGroup {
            name: "vg-one".into(),
            id: id("vg-one"),
            extent_bytes: 4 * MIB,
            physical: vec![physical(15, 3), physical(1, 17)],
            logical: vec![
                LogicalVolume {
                    name: "home".into(),
                    id: id("home"),
                    segments: vec![run(0, 0, 2), run(1, 15, 1)],
                },
                LogicalVolume {
                    name: "root".into(),
                    id: id("root"),
                    segments: vec![run(1, 0, 15)],
                },
            ],
        }];
        let small = Ext4Options {
            block_size: 1024,
            inode_size: 128,
            inode_ratio: 8192,
            journal_mib: Some(1),
            ..Ext4Options::default()
        };
        let on = |volume, name: &str, kind, point| Filesystem {
            on: On::Volume { group: 0, volume },
            ..filesystem(name, 0, kind, Some(point))
        };
        layout.filesystems =
            vec![on(1, "root", ext4(), "/"), on(0, "home", FsKind::Ext4(small), "/home")];
        layout
    }

    fn sha256(path: &Path) -> String {
        hex::encode(Sha256::digest(fs_err::read(path).unwrap()))
    }

    fn disks(to: &Path) {
        let layout = gpt();
        let size = layout.size_bytes;
        let identity = ImageIdentity::of(&layout, "contract");
        let at = |name: &str| create(&to.join(format!("gpt.{name}")));
        let qcow2 = |name: &str, compression| {
            let options = Qcow2Options { compression, threads: 2 };
            Box::new(Qcow2Sink::new(at(name), size, &options).unwrap()) as Box<dyn DiskSink>
        };
        let vmdk = VmdkOptions { adapter: "ide".into(), hardware: 4 };
        let mut tee = Tee::default();
        for sink in [
            Box::new(RawSink::new(at("raw"), size).unwrap()) as Box<dyn DiskSink>,
            qcow2("qcow2-plain", Compression::None),
            qcow2("qcow2-zlib", Compression::Zlib { level: 6 }),
            qcow2("qcow2-zstd", Compression::Zstd { level: 3 }),
            Box::new(VhdSink::new(at("vhd"), size, &identity).unwrap()),
            Box::new(FixedVhdSink::new(at("vhd-fixed"), size, &identity).unwrap()),
            Box::new(VhdxSink::new(at("vhdx"), size, &identity).unwrap()),
            Box::new(VmdkSink::new(at("vmdk"), size, &identity, &vmdk).unwrap()),
            Box::new(VdiSink::new(at("vdi"), size, &identity).unwrap()),
        ] {
            tee.push(sink);
        }
        let bios = BiosBoot { boot_img: vec![0xeb; 512], core_img: noise(100_000) };
        let boot = BootFiles { bios: Some(bios) };
        write(&layout, &system(), &mut tee, &boot).unwrap();
        let raw = fs_err::File::open(to.join("gpt.raw")).unwrap();
        let mut stream = VmdkStreamSink::new(at("vmdk-stream"), size, &identity, &vmdk, 2).unwrap();
        copy_raw(&raw, size, &mut stream).unwrap();
        let layout = mbr();
        let mut sink = RawSink::new(create(&to.join("mbr.raw")), layout.size_bytes).unwrap();
        write(&layout, &system(), &mut sink, &boot).unwrap();
        for (name, layout) in [
            ("xfs", bare(FsKind::Xfs(XfsOptions::default()))),
            ("btrfs", bare(FsKind::Btrfs)),
            ("erofs", bare(FsKind::Erofs)),
            ("4096", sectors()),
            ("lvm", lvm()),
        ] {
            let file = create(&to.join(format!("{name}.raw")));
            let mut sink = RawSink::new(file, layout.size_bytes).unwrap();
            write(&layout, &system(), &mut sink, &BootFiles::default()).unwrap();
        }
    }

    fn archives(to: &Path) {
        let mut all = Archives::default();
        for (name, packing) in [("tar", Pack::None), ("tgz", Pack::Gzip), ("tar.zst", Pack::Zstd)] {
            all.push(packing, create(&to.join(name))).unwrap();
        }
        system().write_tar(&mut all).unwrap();
        all.finish().unwrap();
        for (name, compression, docker) in [
            ("oci-gzip", oci::Compression::Gzip, false),
            ("oci-zstd", oci::Compression::Zstd, false),
            ("docker", oci::Compression::None, true),
        ] {
            let packing = Packing {
                platform: Platform::of_debian("amd64"),
                epoch: EPOCH,
                created_by: vec!["contract".into()],
                compression,
                tag: "latest".into(),
                docker_name: docker.then(|| "contract:1".into()),
            };
            let mut full = system();
            full.remove_where(|e| matches!(e.kind, Kind::Char { .. }));
            oci::pack(None, full, &packing, create(&to.join(name)).into_parts().0).unwrap();
        }
    }

    #[test]
    fn bytes_are_those_of_the_contract() {
        let scratch = tempfile::tempdir().unwrap();
        disks(scratch.path());
        archives(scratch.path());
        let found: Vec<(&str, String)> =
            GOLDEN.iter().map(|(name, _)| (*name, sha256(&scratch.path().join(name)))).collect();
        let same = found.iter().zip(GOLDEN).all(|((_, found), (_, golden))| found == golden);
        let lines: String =
            found.iter().map(|(name, sum)| format!("        (\"{name}\", \"{sum}\"),\n")).collect();
        assert!(
            same,
            "images no longer have the bytes of contract {BYTES}. Where that is no mistake: \
             raise BYTES, say in CHANGELOG.md which formats changed, and put these digests into \
             GOLDEN:\n{lines}"
        );
    }
}
