//! Tables as `sfdisk` and `partx` read them.

use crate::disk::layout::LayoutError;
use std::path::PathBuf;

use super::super::layout::{
    DiskLayout, MIB, Partition, PartitionKind, Table, derived_uuid, mbr_type, type_guid,
};
use super::super::sink::{DiskSink, RawSink, offset_of};
use super::super::test_support::{have, run};
use super::*;

fn gpt_disk(sector_size: u32) -> DiskLayout {
    let unit = MIB / u64::from(sector_size);
    let part = |number: u32, name: &str, start: u64, mib: u64, type_guid| Partition {
        number,
        name: name.into(),
        start_lba: start * unit,
        sectors: mib * unit,
        kind: PartitionKind::Gpt {
            type_guid,
            guid: derived_uuid("test", &format!("partition/{number}")),
            attributes: if number == 1 { 4 } else { 0 },
        },
    };
    DiskLayout {
        size_bytes: 64 * MIB,
        sector_size,
        epoch: 0,
        table: Table::Gpt { disk_guid: derived_uuid("test", "disk") },
        partitions: vec![
            part(14, "BSP", 1, 8, type_guid::BIOS_BOOT),
            part(15, "ESP", 9, 16, type_guid::ESP),
            part(1, "root-ü", 25, 38, type_guid::LINUX),
        ],
        groups: Vec::new(),
        elsewhere: Vec::new(),
        filesystems: Vec::new(),
    }
}

fn mbr_disk() -> DiskLayout {
    let part = |number: u32, start: u64, mib: u64, ebr: Option<u64>| Partition {
        number,
        name: format!("p{number}"),
        start_lba: start * 2048,
        sectors: mib * 2048,
        kind: PartitionKind::Mbr {
            type_byte: if number == 6 { mbr_type::SWAP } else { mbr_type::LINUX },
            active: number == 1,
            ebr_lba: ebr.map(|e| e * 2048),
        },
    };
    DiskLayout {
        size_bytes: 64 * MIB,
        sector_size: 512,
        epoch: 0,
        table: Table::Mbr { disk_id: 0x1234_abcd },
        partitions: vec![
            part(1, 1, 20, None),
            part(2, 21, 5, None),
            part(5, 27, 10, Some(26)),
            part(6, 38, 10, Some(37)),
            part(7, 49, 15, Some(48)),
        ],
        groups: Vec::new(),
        elsewhere: Vec::new(),
        filesystems: Vec::new(),
    }
}

/// Writes nothing but the table.
fn image(layout: &DiskLayout, dir: &tempfile::TempDir) -> PathBuf {
    layout.validate().unwrap();
    let path = dir.path().join("disk");
    let file = fs_err::File::create(&path).unwrap();
    let mut sink = RawSink::new(file, layout.size_bytes).unwrap();
    for fragment in fragments(layout).unwrap() {
        sink.data(fragment.offset, &fragment.bytes).unwrap();
        assert!(fragment.offset + offset_of(fragment.bytes.len()) <= layout.size_bytes);
    }
    path
}

#[test]
fn sfdisk_agrees_about_gpt() {
    let dir = tempfile::tempdir().unwrap();
    let layout = gpt_disk(512);
    let path = image(&layout, &dir);
    if !have("sfdisk") {
        return;
    }
    let path = path.to_str().unwrap();
    let check = run("sfdisk", &["-V", path]);
    assert!(check.contains("No errors detected"), "{check}");
    let dump = run("sfdisk", &["--dump", path]);
    let guid = derived_uuid("test", "disk").to_string().to_uppercase();
    assert!(dump.contains(&format!("label-id: {guid}")), "{dump}");
    for p in &layout.partitions {
        let PartitionKind::Gpt { type_guid, guid, .. } = p.kind else { panic!() };
        let name = format!("{path}{} ", p.number);
        let line: String = dump.lines().find(|l| l.starts_with(&name)).unwrap().replace(' ', "");
        for part in [
            format!("start={},size={},", p.start_lba, p.sectors),
            format!("type={}", type_guid.to_string().to_uppercase()),
            format!("uuid={}", guid.to_string().to_uppercase()),
        ] {
            assert!(line.contains(&part), "{part} in {line}");
        }
    }
    assert!(dump.contains("LegacyBIOSBootable"), "{dump}");
}

#[test]
fn partx_agrees_about_gpt_with_either_sector_size() {
    if !have("partx") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for sector in [512, 4096] {
        let layout = gpt_disk(sector);
        let path = image(&layout, &dir);
        let sector = sector.to_string();
        let columns = "NR,START,SECTORS,UUID,TYPE";
        let path = path.to_str().unwrap();
        let seen = run("partx", &["-r", "-g", "-S", &sector, "-o", columns, path]);
        for p in &layout.partitions {
            let PartitionKind::Gpt { type_guid, guid, .. } = p.kind else { panic!() };
            // partx counts sectors of 512 bytes whatever the disk's are.
            let factor = u64::from(layout.sector_size) / 512;
            let (start, sectors) = (p.start_lba * factor, p.sectors * factor);
            let line = format!("{} {start} {sectors} {guid} {type_guid}", p.number);
            assert!(seen.lines().any(|l| l == line), "{line} in\n{seen}");
        }
    }
}

#[test]
fn sfdisk_and_partx_agree_about_mbr() {
    let dir = tempfile::tempdir().unwrap();
    let layout = mbr_disk();
    let path = image(&layout, &dir);
    let path = path.to_str().unwrap();
    if have("sfdisk") {
        let check = run("sfdisk", &["-V", path]);
        assert!(check.contains("No errors detected"), "{check}");
        let dump = run("sfdisk", &["--dump", path]);
        assert!(dump.contains("label-id: 0x1234abcd"), "{dump}");
        let extended = dump.lines().find(|l| l.starts_with(&format!("{path}3"))).unwrap();
        assert!(extended.contains("type=f"), "{extended}");
    }
    if have("partx") {
        let seen = run("partx", &["-r", "-g", "-o", "NR,START,SECTORS", path]);
        for p in &layout.partitions {
            let line = format!("{} {} {}", p.number, p.start_lba, p.sectors);
            assert!(seen.lines().any(|l| l == line), "{line} in\n{seen}");
        }
    }
}

#[test]
fn a_full_table_has_no_place_for_logical_partitions() {
    let mut layout = mbr_disk();
    for number in [3, 4] {
        let mut p = layout.partitions[0].clone();
        p.number = number;
        layout.partitions.push(p);
    }
    assert!(matches!(fragments(&layout), Err(TableError::NoPlaceForExtended)));
}

#[test]
fn mbr_addresses_end_at_two_tib() {
    let mut layout = mbr_disk();
    layout.size_bytes = 4 << 40;
    layout.partitions[4].sectors = 1 << 32;
    let error = layout.validate().unwrap_err();
    assert_eq!(error.partition(), Some(layout.partitions[4].name.as_str()), "{error}");
    assert!(matches!(error, LayoutError::BeyondMbr { .. }));
}

#[test]
fn the_same_layout_gives_the_same_sectors() {
    for layout in [gpt_disk(512), gpt_disk(4096), mbr_disk()] {
        assert_eq!(fragments(&layout).unwrap(), fragments(&layout).unwrap());
    }
}
