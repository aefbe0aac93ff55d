//! Directory entries of FAT: short names, and the long ones in front of them.

use super::super::fields::{le16, le32};
use super::super::volume::Name;
use super::{Result, VolumeError, Width};

const DIRECTORY: u8 = 0x10;
const VOLUME: u8 = 0x08;
const LONG: u8 = 0x0f;
/// The most entries of a long name: 13 characters each.
const PARTS: u8 = 20;

/// A short entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    name: [u8; 11],
    attributes: u8,
    case: u8,
    low: u16,
    high: u16,
    time: u16,
    date: u16,
    pub(super) size: u32,
}

impl Record {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        Self {
            name: bytes.get(..11).and_then(|name| name.try_into().ok()).unwrap_or_default(),
            attributes: byte(11),
            case: byte(12),
            low: le16(bytes, 26),
            high: le16(bytes, 20),
            time: le16(bytes, 22),
            date: le16(bytes, 24),
            size: le32(bytes, 28),
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.attributes & DIRECTORY != 0
    }

    pub(super) fn cluster(&self, width: Width) -> u32 {
        let high = if width == Width::Bits32 { u32::from(self.high) << 16 } else { 0 };
        u32::from(self.low) | high
    }

    /// Seconds since the epoch; FAT keeps local time of an unknown place, taken as UTC.
    pub(super) fn mtime(&self) -> i64 {
        let (date, time) = (u32::from(self.date), u32::from(self.time));
        let year = 1980 + i32::from(self.date >> 9);
        chrono::NaiveDate::from_ymd_opt(year, (date >> 5) & 15, date & 31)
            .and_then(|day| day.and_hms_opt(time >> 11, (time >> 5) & 63, (time & 31) * 2))
            .map_or(0, |moment| moment.and_utc().timestamp())
    }

    /// `NAME.EXT`, lower case where flags say so.
    fn short_name(&self) -> Vec<u8> {
        let (base, extension) = self.name.split_at(8);
        let part = |bytes: &[u8], lower: bool| {
            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            let text = text.trim_end_matches(' ').to_owned();
            if lower { text.to_lowercase() } else { text }
        };
        let mut name = part(base, self.case & 0x08 != 0);
        // A name that begins with the mark of deleted entries is stored with another byte.
        if self.name.first() == Some(&0x05) {
            name.replace_range(..1, "\u{e5}");
        }
        let extension = part(extension, self.case & 0x10 != 0);
        if !extension.is_empty() {
            name = format!("{name}.{extension}");
        }
        name.into_bytes()
    }

    /// What long entries carry to show that they belong to this one.
    fn sum(&self) -> u8 {
        self.name.iter().fold(0u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
    }
}

/// Parts of a long name, the last one first, as they come.
#[derive(Default)]
struct Long {
    units: Vec<u16>,
    expected: u8,
    sum: u8,
}

impl Long {
    fn take(&mut self, entry: &[u8]) {
        let byte = |at: usize| entry.get(at).copied().unwrap_or(0);
        let number = byte(0) & 0x1f;
        if byte(0) & 0x40 != 0 {
            *self = Self { units: Vec::new(), expected: number, sum: byte(13) };
        }
        if number == 0 || number > PARTS || number != self.expected || byte(13) != self.sum {
            *self = Self::default();
            return;
        }
        let at = (0..5).map(|n| 1 + n * 2).chain((0..6).map(|n| 14 + n * 2)).chain([28, 30]);
        let part: Vec<u16> = at.map(|at| le16(entry, at)).collect();
        self.units.splice(0..0, part);
        self.expected = number - 1;
    }

    fn finish(self, record: &Record) -> Option<Vec<u8>> {
        if self.units.is_empty() || self.expected != 0 || self.sum != record.sum() {
            return None;
        }
        let end = self.units.iter().position(|&unit| unit == 0).unwrap_or(self.units.len());
        let units = self.units.get(..end).unwrap_or_default();
        Some(String::from_utf16_lossy(units).into_bytes())
    }
}

/// Names of the entries, each with its offset.
pub(super) fn names(records: &[(u64, Vec<u8>)]) -> Result<Vec<Name>> {
    let mut names = Vec::new();
    let mut long = Long::default();
    for (offset, bytes) in records {
        let record = Record::parse(bytes);
        match bytes.first() {
            None | Some(0) => break,
            Some(0xe5) => {
                long = Long::default();
                continue;
            }
            _ => {}
        }
        if record.attributes & 0x3f == LONG {
            long.take(bytes);
            continue;
        }
        let name = std::mem::take(&mut long).finish(&record);
        if record.attributes & VOLUME != 0 {
            continue;
        }
        let name = name.unwrap_or_else(|| record.short_name());
        if name == b"." || name == b".." {
            continue;
        }
        let name = Name::new(name, *offset);
        let bad = || VolumeError::damaged("a directory", "an entry has an impossible name");
        names.push(name.ok_or_else(bad)?);
    }
    Ok(names)
}
