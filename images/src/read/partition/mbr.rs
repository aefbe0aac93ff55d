//! Master boot records, with logical partitions.

use super::super::fields::{le16, le32};
use super::super::medium::{Medium, bytes};
use super::{PartitionError, Role, Row};

const SECTOR: u64 = 512;
/// The most logical partitions.
const LOGICAL: u32 = 128;
/// Types of a partition that holds others.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// Type of the EFI system partition.
const EFI: u8 = 0xef;

/// One row of a boot record, in sectors.
#[derive(Clone, Copy)]
struct Raw {
    flag: u8,
    kind: u8,
    start: u64,
    sectors: u64,
}

/// The table's rows; none when the disk has no table.
pub(super) fn rows(disk: &dyn Medium) -> Result<Vec<Row>, PartitionError> {
    let mut rows = Vec::new();
    let Some(primary) = read(disk, 0)? else { return Ok(rows) };
    // A boot sector of something else has no flags of 0 and 0x80 only.
    if primary.iter().any(|row| row.flag & 0x7f != 0) {
        return Ok(rows);
    }
    for (number, row) in (1..).zip(primary) {
        if EXTENDED.contains(&row.kind) && row.sectors > 0 {
            logical(disk, row.start, &mut rows)?;
        } else if row.kind != 0 {
            rows.push(usable(number, row, 0));
        }
    }
    rows.sort_by_key(|row| row.number);
    let disk_id = le32(&bytes(disk, 440, 4)?, 0);
    for row in &mut rows {
        row.id = format!("{disk_id:08x}-{:02x}", row.number);
    }
    Ok(rows)
}

/// Follows the chain of extended boot records from sector `base` on.
fn logical(disk: &dyn Medium, base: u64, rows: &mut Vec<Row>) -> Result<(), PartitionError> {
    let mut at = base;
    for number in 5..5 + LOGICAL {
        let Some([own, next, ..]) = read(disk, at)? else { return Ok(()) };
        if own.kind != 0 && own.sectors > 0 {
            rows.push(usable(number, own, at));
        }
        if !EXTENDED.contains(&next.kind) || next.start == 0 {
            return Ok(());
        }
        // Relative to the first record; a chain leads onwards only.
        let following = base + next.start;
        if following <= at {
            return Err(PartitionError::Chain);
        }
        at = following;
    }
    Err(PartitionError::Chain)
}

fn usable(number: u32, row: Raw, base: u64) -> Row {
    let role = if row.kind == EFI { Role::Efi } else { Role::Other };
    let id = String::new();
    Row { number, role, id, start: (base + row.start) * SECTOR, size: row.sectors * SECTOR }
}

/// The four rows of the record at a sector; nothing when there is none.
fn read(disk: &dyn Medium, sector: u64) -> Result<Option<[Raw; 4]>, PartitionError> {
    let start = sector * SECTOR;
    if disk.size() < start + SECTOR {
        return Ok(None);
    }
    let record = bytes(disk, start, 512)?;
    if le16(&record, 510) != 0xaa55 {
        return Ok(None);
    }
    Ok(Some([0, 1, 2, 3].map(|number| {
        let at = 446 + number * 16;
        Raw {
            flag: record.get(at).copied().unwrap_or(0),
            kind: record.get(at + 4).copied().unwrap_or(0),
            start: le32(&record, at + 8).into(),
            sectors: le32(&record, at + 12).into(),
        }
    })))
}
