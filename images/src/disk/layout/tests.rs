use uuid::Uuid;

use super::*;

fn root() -> Filesystem {
    Filesystem {
        name: "mkfs_root".into(),
        on: On::Partition(1),
        kind: FsKind::Ext4(Ext4Options::default()),
        label: "cloudimg-rootfs".into(),
        uuid: derived_uuid("seed", "filesystem/mkfs_root"),
        mount_point: Some("/".into()),
    }
}

fn gpt() -> DiskLayout {
    let part = |number, start_lba, sectors, type_guid| Partition {
        number,
        name: format!("p{number}"),
        start_lba,
        sectors,
        kind: PartitionKind::Gpt {
            type_guid,
            guid: derived_uuid("seed", &format!("partition/{number}")),
            attributes: 0,
        },
    };
    DiskLayout {
        size_bytes: 64 * MIB,
        sector_size: 512,
        epoch: 0,
        table: Table::Gpt { disk_guid: derived_uuid("seed", "disk") },
        partitions: vec![
            part(2, 2048, 2048, type_guid::BIOS_BOOT),
            part(1, 4096, 100_000, type_guid::LINUX),
        ],
        groups: Vec::new(),
        elsewhere: Vec::new(),
        filesystems: vec![root()],
    }
}

#[test]
fn a_good_layout_passes_and_survives_json() {
    let layout = gpt();
    layout.validate().unwrap();
    let text = serde_json::to_string(&layout).unwrap();
    assert_eq!(serde_json::from_str::<DiskLayout>(&text).unwrap(), layout);
}

#[test]
fn bios_area_is_the_boot_partition_or_the_gap() {
    assert_eq!(gpt().bios_area(), Some(Extent { offset: MIB, len: MIB }));
    let mut mbr = gpt();
    mbr.table = Table::Mbr { disk_id: 1 };
    assert_eq!(mbr.bios_area(), Some(Extent { offset: 512, len: 2047 * 512 }));
    assert_eq!(DiskLayout::bare(MIB, 0, root()).bios_area(), None);
}

#[test]
fn bad_layouts_are_refused() {
    type Case = (fn(&mut DiskLayout), &'static str);
    let cases: &[Case] = &[
        (|l| l.sector_size = 520, "sector size 520"),
        (|l| l.size_bytes += 1, "not a multiple"),
        (|l| l.partitions[1].start_lba = 3000, "overlap"),
        (|l| l.partitions[0].start_lba = 33, "usable sectors 34"),
        (|l| l.partitions[1].sectors = 1 << 30, "outside"),
        (|l| l.partitions[1].number = 2, "number 2"),
        (|l| l.partitions[0].name = "x".repeat(37), "36"),
        (|l| l.table = Table::Mbr { disk_id: 1 }, "kind"),
        (|l| l.filesystems[0].on = On::Whole, "no partition"),
        (|l| l.filesystems[0].on = On::Partition(9), "no partition"),
        (|l| l.filesystems[0].label = "x".repeat(17), "longer than 16"),
        (|l| l.filesystems[0].kind = FsKind::Xfs(XfsOptions::default()), "longer than 12"),
        (
            |l| {
                (l.filesystems[0].kind, l.filesystems[0].label) =
                    (FsKind::Xfs(XfsOptions::default()), "x".into());
            },
            "xfs needs 300 MiB",
        ),
        (|l| l.filesystems[0].mount_point = Some("boot".into()), "mount point"),
        (|l| l.filesystems[0].mount_point = Some("/a/../b".into()), "mount point"),
    ];
    for (spoil, expected) in cases {
        let mut layout = gpt();
        spoil(&mut layout);
        let error = layout.validate().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}: no {expected}");
    }
}

#[test]
fn derived_ids_are_fixed() {
    let id = derived_uuid("image", "disk");
    assert_eq!(id.get_version_num(), 5);
    assert_eq!(id, derived_uuid("image", "disk"));
    assert_ne!(id, derived_uuid("image", "partition/1"));
    assert_ne!(derived_u32("image", "disk"), derived_u32("other", "disk"));
}

#[test]
fn gpt_types_are_known_by_code_and_by_guid() {
    assert_eq!(type_guid::parse("ef02"), Some(type_guid::BIOS_BOOT));
    assert_eq!(type_guid::parse("0x4100"), Some(type_guid::PREP));
    assert_eq!(type_guid::parse("0fc63daf-8483-4772-8e79-3d69d8477de4"), Some(type_guid::LINUX));
    assert!(type_guid::parse("fd00").is_some() && type_guid::parse("ea00").is_some());
    for none in ["nonsense", "ffff", "+f00", "", "0x"] {
        assert_eq!(type_guid::parse(none), None, "{none}");
    }
    assert_ne!(type_guid::LINUX, Uuid::nil());
}
