//! The fixed-size records of a FAT: boot sector, information sector, directory entries.

use chrono::{DateTime, Datelike, Timelike};

use super::super::layout::VfatOptions;
use super::geometry::{Bits, FATS, Geometry};
use super::names::Short;

/// A volume's label, filled with spaces.
pub(super) type Label = [u8; 11];
/// The label of a volume without one.
const NO_LABEL: &Label = b"NO NAME    ";
/// Where FAT32 keeps its information sector.
const INFO_SECTOR: u64 = 1;
/// Where FAT32 keeps a copy of its first sectors.
const BACKUP_SECTOR: u64 = 6;
/// Asks the firmware for the next boot device: int 18h, then stops.
const NOT_BOOTABLE: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];

/// What a directory entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Attribute {
    VolumeLabel = 0x08,
    Directory = 0x10,
    Archive = 0x20,
}

/// Low bytes of a number that fits them.
fn low<const N: usize>(value: u64) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(value.to_le_bytes()) {
        *to = from;
    }
    out
}

/// A label as the disk has it: upper-case, eleven bytes.
pub(super) fn label(text: &str) -> Option<Label> {
    let upper = text.to_ascii_uppercase();
    let possible = upper.len() <= 11
        && upper.bytes().all(|b| matches!(b, b' '..=b'~') && !b"\"*+,./:;<=>?[\\]|".contains(&b));
    let mut label = [b' '; 11];
    for (to, from) in label.iter_mut().zip(upper.bytes()) {
        *to = from;
    }
    possible.then_some(label)
}

/// All reserved sectors.
pub(super) fn reserved(
    g: &Geometry,
    options: &VfatOptions,
    label: Option<&Label>,
    hidden: u64,
    free_clusters: u64,
) -> Vec<u8> {
    let sector = super::len_of(g.sector);
    let boot = boot_sector(g, options, label.unwrap_or(NO_LABEL), hidden);
    let mut out = vec![0; super::len_of(g.reserved) * sector];
    let mut place = |index: u64, bytes: &[u8]| {
        let at = super::len_of(index) * sector;
        if let Some(to) = out.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    };
    place(0, &boot);
    if g.bits == Bits::B32 {
        let info = info_sector(g, free_clusters);
        place(INFO_SECTOR, &info);
        place(BACKUP_SECTOR, &boot);
        place(BACKUP_SECTOR + INFO_SECTOR, &info);
    }
    out
}

fn boot_sector(g: &Geometry, options: &VfatOptions, label: &Label, hidden: u64) -> Vec<u8> {
    let wide = g.bits == Bits::B32;
    let short_count = if wide || g.sectors > 0xffff { 0 } else { g.sectors };
    let mut b = vec![0xeb, if wide { 0x58 } else { 0x3c }, 0x90];
    b.extend(b"MSWIN4.1");
    b.extend(low::<2>(g.sector));
    b.extend(low::<1>(g.sectors_per_cluster));
    b.extend(low::<2>(g.reserved));
    b.extend(low::<1>(FATS));
    b.extend(low::<2>(g.root_entries()));
    b.extend(low::<2>(short_count));
    b.push(0xf8); // a hard disk
    b.extend(low::<2>(if wide { 0 } else { g.fat_sectors }));
    b.extend(low::<2>(63)); // sectors of a track
    b.extend(low::<2>(255)); // heads
    b.extend(low::<4>(hidden));
    b.extend(low::<4>(if short_count == 0 { g.sectors } else { 0 }));
    if wide {
        b.extend(low::<4>(g.fat_sectors));
        b.extend([0; 4]); // both tables are kept, version 0
        b.extend(low::<4>(2)); // the root directory's cluster
        b.extend(low::<2>(INFO_SECTOR));
        b.extend(low::<2>(BACKUP_SECTOR));
        b.extend([0; 12]);
    }
    b.extend([0x80, 0, 0x29]); // first drive; the next three fields exist
    b.extend(options.volume_id.to_le_bytes());
    b.extend(label);
    b.extend(match g.bits {
        Bits::B12 => b"FAT12   ",
        Bits::B16 => b"FAT16   ",
        Bits::B32 => b"FAT32   ",
    });
    b.extend(NOT_BOOTABLE);
    b.resize(510, 0);
    b.extend([0x55, 0xaa]);
    b
}

fn info_sector(g: &Geometry, free_clusters: u64) -> Vec<u8> {
    let next = g.clusters - free_clusters + 2;
    let mut b = b"RRaA".to_vec();
    b.resize(484, 0);
    b.extend(b"rrAa");
    b.extend(low::<4>(free_clusters));
    b.extend(low::<4>(if free_clusters == 0 { 0xffff_ffff } else { next }));
    b.resize(510, 0);
    b.extend([0x55, 0xaa]);
    b
}

/// A directory entry.
pub(super) fn entry(
    name: &Short,
    what: Attribute,
    mtime: i64,
    cluster: u32,
    size: u32,
) -> [u8; 32] {
    let (date, time, tenths) = stamp(mtime);
    let [c0, c1, c2, c3] = cluster.to_le_bytes();
    let mut e = [0; 32];
    let fields: [(usize, &[u8]); 9] = [
        (0, name),
        (11, &[what as u8, 0, tenths]),
        (14, &time),
        (16, &date),
        (18, &date),
        (20, &[c2, c3]),
        (22, &time),
        (24, &date),
        (26, &[c0, c1]),
    ];
    for (at, bytes) in fields {
        if let Some(to) = e.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }
    if let Some(to) = e.get_mut(28..) {
        to.copy_from_slice(&size.to_le_bytes());
    }
    e
}

/// A time as date, time and hundredths of seconds, within the years FAT knows.
fn stamp(mtime: i64) -> ([u8; 2], [u8; 2], u8) {
    const FIRST: i64 = 315_532_800; // 1980-01-01
    const LAST: i64 = 4_354_819_198; // 2107-12-31 23:59:58
    let at = DateTime::from_timestamp(mtime.clamp(FIRST, LAST), 0).unwrap_or_default().naive_utc();
    let year = u64::try_from(at.year() - 1980).unwrap_or(0);
    let date = (year << 9) | u64::from(at.month() << 5) | u64::from(at.day());
    let time = (at.hour() << 11) | (at.minute() << 5) | (at.second() / 2);
    let tenths = if at.second() % 2 == 1 { 100 } else { 0 };
    (low(date), low(u64::from(time)), tenths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_utc_within_the_range() {
        // 2023-11-14 22:13:20
        let (date, time) = ((43 << 9) | (11 << 5) | 14_u16, (22 << 11) | (13 << 5) | 10_u16);
        assert_eq!(stamp(1_700_000_000), (date.to_le_bytes(), time.to_le_bytes(), 0));
        assert_eq!(stamp(1_700_000_001).2, 100);
        assert_eq!(stamp(-5), ([0x21, 0], [0, 0], 0));
        assert_eq!(stamp(i64::MAX).0, ((127 << 9) | (12 << 5) | 31_u16).to_le_bytes());
    }

    #[test]
    fn labels_are_upper_case_ascii() {
        assert_eq!(label("mkfs_esp"), Some(*b"MKFS_ESP   "));
        assert_eq!(label("ünï"), None);
        assert_eq!(label("a/b"), None);
    }
}
