//! GUID partition tables, with sectors of 512 or 4096 bytes.

use super::super::fields::{agrees, index, le32, le64};
use super::super::medium::{Medium, bytes};
use super::{PartitionError, Role, Row};

/// The most entries, and the longest one.
const ENTRIES: u32 = 4096;
const ENTRY: u32 = 4096;

/// Types that say what a partition is for, in the byte order of the disk.
const EFI: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const BOOT: &str = "bc13c2ff-59e6-4262-a352-b275fd6f7172";
/// The root file systems of x86-64, x86, arm64, arm, ppc64le, s390x and riscv64.
const ROOTS: [&str; 7] = [
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    "44479540-f297-41b2-9af7-d131d5f0458a",
    "b921b045-1df0-41c3-af44-4c6f280d3fae",
    "69dad710-2ce4-4e3c-b16c-21a1d49abed3",
    "c31c45e6-3f39-412e-80fb-4809c4980599",
    "5eead9a9-fe09-4a1e-a1d7-520d00531306",
    "72ec70a6-cf74-40e6-bd49-4bda08e8f224",
];

/// The table's rows; nothing when the disk has no GPT.
pub(super) fn rows(disk: &dyn Medium) -> Result<Option<Vec<Row>>, PartitionError> {
    let mut damage = None;
    for sector in [512u64, 4096] {
        // The second copy is in the last sector.
        let last = (disk.size() / sector).saturating_sub(1);
        for at in [1, last] {
            match copy(disk, sector, at) {
                Ok(None) => {}
                Ok(rows) => return Ok(rows),
                Err(PartitionError::Gpt { reason }) => damage = damage.or(Some(reason)),
                Err(error) => return Err(error),
            }
        }
    }
    match damage {
        None => Ok(None),
        Some(reason) => Err(PartitionError::Gpt { reason }),
    }
}

fn copy(disk: &dyn Medium, sector: u64, at: u64) -> Result<Option<Vec<Row>>, PartitionError> {
    let damaged = |reason| PartitionError::Gpt { reason };
    let Some(end) = at.checked_add(1).and_then(|end| end.checked_mul(sector)) else {
        return Ok(None);
    };
    if at == 0 || end > disk.size() {
        return Ok(None);
    }
    let header = bytes(disk, at * sector, index(sector))?;
    if !header.starts_with(b"EFI PART") {
        return Ok(None);
    }
    let len = index(le32(&header, 12));
    if len < 92 || len > header.len() {
        return Err(damaged("the header's length is out of range"));
    }
    let mut summed = header.get(..len).unwrap_or_default().to_vec();
    summed.get_mut(16..20).unwrap_or_default().fill(0);
    if !agrees(sum(&summed), le32(&header, 16)) {
        return Err(damaged("the header's checksum is wrong"));
    }
    let (count, size) = (le32(&header, 80), le32(&header, 84));
    if count > ENTRIES || !(128..=ENTRY).contains(&size) || size % 8 != 0 {
        return Err(damaged("the number or the size of its entries is out of range"));
    }
    let start = le64(&header, 72).checked_mul(sector);
    let start = start.ok_or_else(|| damaged("its entries lie outside of the disk"))?;
    let entries = bytes(disk, start, index(count) * index(size));
    let Ok(entries) = entries else {
        return Err(damaged("its entries lie outside of the disk"));
    };
    if !agrees(sum(&entries), le32(&header, 88)) {
        return Err(damaged("the checksum of its entries is wrong"));
    }
    let numbered = (1..).zip(entries.chunks_exact(index(size)));
    Ok(Some(numbered.filter_map(|(number, entry)| row(number, entry, sector)).collect()))
}

fn row(number: u32, entry: &[u8], sector: u64) -> Option<Row> {
    let guid: [u8; 16] = entry.get(..16)?.try_into().ok()?;
    if guid == [0; 16] {
        return None;
    }
    let (first, last) = (le64(entry, 32), le64(entry, 40));
    let start = first.checked_mul(sector)?;
    let size = last.checked_sub(first)?.checked_add(1)?.checked_mul(sector)?;
    let guid = uuid::Uuid::from_bytes_le(guid).to_string();
    let role = match guid.as_str() {
        EFI => Role::Efi,
        BOOT => Role::Boot,
        text if ROOTS.contains(&text) => Role::Root,
        _ => Role::Other,
    };
    let id = uuid::Uuid::from_bytes_le(entry.get(16..32)?.try_into().ok()?).to_string();
    Some(Row { number, role, id, start, size })
}

fn sum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
