//! Volume groups as LVM's own tools read them.

use super::super::layout::{
    Extent, LogicalVolume, MIB, On, Partition, PartitionKind, PhysicalVolume, Segment, Table,
    VolumeGroup, derived_uuid, derived_volume_id, type_guid,
};
use super::super::sink::{DiskSink, RawSink};
use super::super::test_support::{create, have, run};
use super::super::write_empty;
use super::*;

const EXTENT: u64 = 4 * MIB;

/// Two physical volumes of 40 and 24 MiB; the second logical volume lies on both.
fn layout() -> DiskLayout {
    let part = |number: u32, start: u64, mib: u64| Partition {
        number,
        name: format!("p{number}"),
        start_lba: start * 2048,
        sectors: mib * 2048,
        kind: PartitionKind::Gpt {
            type_guid: type_guid::LVM,
            guid: derived_uuid("test", &format!("partition/{number}")),
            attributes: 0,
        },
    };
    let physical = |number: u32, extents: u64| PhysicalVolume {
        name: format!("p{number}"),
        on: On::Partition(number),
        id: derived_volume_id("test", &format!("pv{number}")),
        extents,
    };
    let logical = |name: &str, runs: &[(usize, u64, u64)]| LogicalVolume {
        name: name.into(),
        id: derived_volume_id("test", name),
        segments: runs
            .iter()
            .map(|&(physical, first, extents)| Segment { physical, first, extents })
            .collect(),
    };
    DiskLayout {
        size_bytes: 68 * MIB,
        sector_size: 512,
        epoch: 1_700_000_000,
        table: Table::Gpt { disk_guid: derived_uuid("test", "disk") },
        partitions: vec![part(1, 1, 40), part(2, 41, 24)],
        groups: vec![VolumeGroup {
            name: "vg-a".into(),
            id: derived_volume_id("test", "vg"),
            extent_bytes: EXTENT,
            physical: vec![physical(1, 9), physical(2, 5)],
            logical: vec![logical("root", &[(0, 0, 5)]), logical("both", &[(0, 5, 4), (1, 0, 2)])],
        }],
        filesystems: Vec::new(),
        elsewhere: Vec::new(),
    }
}

#[test]
fn volumes_are_runs_of_the_disk() {
    let layout = layout();
    layout.validate().unwrap();
    let both = layout.volume_extents(0, 1).unwrap();
    let first = Extent { offset: 2 * MIB + 5 * EXTENT, len: 4 * EXTENT };
    assert_eq!(both, [first, Extent { offset: 42 * MIB, len: 2 * EXTENT }]);
    assert_eq!(layout.groups[0].mapped_name(&layout.groups[0].logical[0]), "vg--a-root");
    type Case = (fn(&mut DiskLayout), &'static str);
    let cases: &[Case] = &[
        (|l| l.groups[0].physical[0].extents = 10, "room for 9"),
        (|l| l.groups[0].physical[1].on = On::Partition(1), "no place"),
        (|l| l.groups[0].physical[1].on = On::Whole, "no place"),
        (|l| l.groups[0].logical[1].segments[0].first = 4, "share extents"),
        (|l| l.groups[0].logical[1].segments[1].extents = 6, "do not exist"),
        (|l| l.groups[0].logical[1].name = "root".into(), "taken"),
        (|l| l.groups[0].logical[1].segments.clear(), "no extents"),
        (|l| l.groups[0].name = "a b".into(), "name"),
        (|l| l.groups.push(l.groups[0].clone()), "same name"),
        (|l| l.groups[0].extent_bytes = 1000, "1000"),
    ];
    for (spoil, expected) in cases {
        let mut layout = self::layout();
        spoil(&mut layout);
        let error = layout.validate().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}: no {expected}");
    }
}

#[test]
fn bytes_of_a_volume_reach_their_runs() {
    #[derive(Default)]
    struct Seen(Vec<(u64, u64, bool)>);
    impl DiskSink for Seen {
        fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
            self.0.push((offset, u64::try_from(bytes.len()).unwrap(), true));
            Ok(())
        }
        fn zeros(&mut self, offset: u64, len: u64) -> std::io::Result<()> {
            self.0.push((offset, len, false));
            Ok(())
        }
        fn finish(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let extents = [Extent { offset: 100, len: 10 }, Extent { offset: 50, len: 6 }];
    let mut seen = Seen::default();
    let mut runs = Runs::new(&mut seen, &extents);
    runs.data(8, &[1; 4]).unwrap();
    runs.zeros(0, 8).unwrap();
    runs.zeros(12, 4).unwrap();
    assert!(runs.data(14, &[0; 3]).is_err());
    assert_eq!(seen.0, [(108, 2, true), (50, 2, true), (100, 8, false), (52, 4, false)]);
}

#[test]
fn pvck_finds_label_header_and_metadata_right() {
    let directory = tempfile::tempdir().unwrap();
    let layout = layout();
    let disk = directory.path().join("disk");
    let mut sink = RawSink::new(create(&disk), layout.size_bytes).unwrap();
    write_empty(&layout, &mut sink).unwrap();
    let bytes = fs_err::read(&disk).unwrap();
    let len = |offset: u64| usize::try_from(offset).unwrap();
    for (partition, count) in layout.partitions.iter().zip([9, 5]) {
        let extent = layout.partition_extent(partition);
        let device = directory.path().join(&partition.name);
        fs_err::write(&device, &bytes[len(extent.offset)..len(extent.end())]).unwrap();
        if !have("pvck") {
            continue;
        }
        let device = device.to_str().unwrap();
        let headers = run("pvck", &["--dump", "headers", device]);
        for line in [
            "label_header at 512",
            "label_header.crc",
            "pv_header.disk_locn[0].offset 1048576",
            "pv_header.disk_locn[2].offset 4096",
            "pv_header.disk_locn[2].size 1044480",
            "mda_header_1 at 4096",
        ] {
            assert!(headers.contains(line), "{line} in {headers}");
        }
        let lower = headers.to_lowercase();
        assert!(!lower.contains("error") && !lower.contains("expect"), "{headers}");
        let text = run("pvck", &["--dump", "metadata", device]);
        assert!(text.contains("crc") && !text.to_lowercase().contains("mismatch"), "{text}");
        for line in ["vg-a {", &format!("pe_count = {count}"), "\"pv1\", 0", "both {"] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
