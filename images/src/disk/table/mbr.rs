//! DOS partition table: four primary entries, and a chain of extended boot
//! records for logical partitions.
//!
//! The extended partition reaches from the first record to the end of the disk.
//! Addresses are LBA; the older cylinder fields say what they can of them.

use super::super::layout::{DiskLayout, Partition, PartitionKind, mbr_type};
use super::{Fragment, TableError};

const SECTOR: u64 = 512;
/// Where the disk signature lies.
const DISK_ID: usize = 440;
/// Where the four entries lie.
const ENTRIES: usize = 446;
/// The last two bytes.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

pub(super) fn fragments(layout: &DiskLayout, disk_id: u32) -> Result<Vec<Fragment>, TableError> {
    let (mut logical, primary): (Vec<&Partition>, Vec<&Partition>) =
        layout.partitions.iter().partition(|p| p.ebr_lba().is_some());
    logical.sort_by_key(|p| p.number);
    let mut slots: [Option<Entry>; 4] = [None; 4];
    for p in primary {
        let index = usize::try_from(p.number - 1).unwrap_or(usize::MAX);
        if let (Some(slot), Some(entry)) = (slots.get_mut(index), Entry::of(p)) {
            *slot = Some(entry);
        }
    }
    if let Some(first) = logical.iter().filter_map(|p| p.ebr_lba()).min() {
        let last = slots.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
        let free = (last..4).chain(0..last).find(|&i| slots.get(i).is_some_and(Option::is_none));
        let slot = free.and_then(|i| slots.get_mut(i)).ok_or(TableError::NoPlaceForExtended)?;
        *slot = Some(Entry {
            active: false,
            type_byte: mbr_type::EXTENDED_LBA,
            start: first,
            sectors: layout.size_bytes / SECTOR - first,
            chs_base: 0,
        });
    }
    let mut sector = record(&slots);
    if let Some(id) = sector.get_mut(DISK_ID..DISK_ID + 4) {
        id.copy_from_slice(&disk_id.to_le_bytes());
    }
    let mut fragments = vec![Fragment { offset: 0, bytes: sector }];
    fragments.extend(extended_records(&logical));
    Ok(fragments)
}

/// The record before each logical partition: the partition, then the next record.
fn extended_records(logical: &[&Partition]) -> Vec<Fragment> {
    let first = logical.iter().filter_map(|p| p.ebr_lba()).min().unwrap_or(0);
    let mut fragments = Vec::new();
    for (i, p) in logical.iter().enumerate() {
        let Some(ebr) = p.ebr_lba() else { continue };
        let own = Entry::of(p).map(|e| Entry { start: e.start - ebr, chs_base: ebr, ..e });
        let next = logical.get(i + 1).and_then(|n| {
            n.ebr_lba().map(|next| Entry {
                active: false,
                type_byte: mbr_type::EXTENDED,
                start: next - first,
                sectors: n.end_lba() - next,
                chs_base: first,
            })
        });
        fragments.push(Fragment { offset: ebr * SECTOR, bytes: record(&[own, next, None, None]) });
    }
    fragments
}

/// One entry of a record.
#[derive(Clone, Copy)]
struct Entry {
    active: bool,
    type_byte: u8,
    /// Relative to what the record demands.
    start: u64,
    sectors: u64,
    /// What `start` is relative to; cylinder addresses are absolute.
    chs_base: u64,
}

impl Entry {
    fn of(p: &Partition) -> Option<Self> {
        let PartitionKind::Mbr { type_byte, active, .. } = p.kind else { return None };
        Some(Self { active, type_byte, start: p.start_lba, sectors: p.sectors, chs_base: 0 })
    }

    fn encode(&self) -> Vec<u8> {
        let absolute = self.chs_base + self.start;
        let low = |v: u64| u32::try_from(v).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = vec![if self.active { 0x80 } else { 0 }];
        bytes.extend(chs(absolute));
        bytes.push(self.type_byte);
        bytes.extend(chs(absolute + self.sectors - 1));
        bytes.extend(low(self.start));
        bytes.extend(low(self.sectors));
        bytes
    }
}

/// A sector with four entries and the signature.
fn record(entries: &[Option<Entry>; 4]) -> Vec<u8> {
    let mut sector = vec![0; ENTRIES];
    for entry in entries {
        sector.extend(entry.map_or_else(|| vec![0; 16], |e| e.encode()));
    }
    sector.extend(SIGNATURE);
    sector
}

/// Cylinder, head and sector with 255 heads and 63 sectors, or their highest values.
fn chs(lba: u64) -> [u8; 3] {
    let (cylinder, rest) = (lba / (255 * 63), lba % (255 * 63));
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    let byte = |v: u64| u8::try_from(v & 0xff).unwrap_or(0);
    [byte(rest / 63), byte((rest % 63 + 1) | ((cylinder >> 8) << 6)), byte(cylinder)]
}
