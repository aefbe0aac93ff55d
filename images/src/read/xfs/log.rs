//! The journal: only whether it is empty. What a file system that was not unmounted has in
//! there would have to be carried out before it can be read.

use super::super::fields::{be32, index};
use super::super::medium::{Medium, bytes};
use super::{Result, Superblock, VolumeError};

const MAGIC: u32 = 0xfeed_babe;
/// The unit of the journal.
const SECTOR: u64 = 512;
/// The most sectors of a record: 256 KiB, and their headers.
const RECORD: u64 = 640;
/// The flag of the operation that unmounting leaves.
const UNMOUNT: u8 = 0x20;

struct Log<'a> {
    medium: &'a dyn Medium,
    offset: u64,
    sectors: u64,
}

/// Refuses a file system whose journal holds changes.
pub(super) fn refuse_dirty(medium: &dyn Medium, superblock: &Superblock) -> Result<()> {
    let (start, blocks) = superblock.log;
    let unsupported = |what: &str| Err(VolumeError::Unsupported { what: what.into() });
    if start == 0 {
        return unsupported("an XFS whose journal is on another disk");
    }
    let offset = superblock.offset(start, blocks.into())?;
    let sectors = (u64::from(blocks) << superblock.block_log) / SECTOR;
    if sectors < 2 {
        return Err(VolumeError::damaged("the journal", "it is too small"));
    }
    if (Log { medium, offset, sectors }).is_clean()? {
        return Ok(());
    }
    unsupported("an XFS that was not unmounted, whose journal holds changes,")
}

impl Log<'_> {
    fn sector(&self, number: u64) -> Result<Vec<u8>> {
        Ok(bytes(self.medium, self.offset + number % self.sectors * SECTOR, index(SECTOR))?)
    }

    /// In which round through the journal a sector was written last.
    fn cycle(&self, number: u64) -> Result<u32> {
        let sector = self.sector(number)?;
        Ok(if be32(&sector, 0) == MAGIC { be32(&sector, 4) } else { be32(&sector, 0) })
    }

    /// Whether the last record is the one that unmounting wrote.
    fn is_clean(&self) -> Result<bool> {
        let first = self.cycle(0)?;
        if first == 0 {
            return Ok(true);
        }
        // Sectors of the present round come before those of the last one.
        let (mut low, mut high) = (1, self.sectors);
        while low < high {
            let middle = low.midpoint(high);
            if self.cycle(middle)? == first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let head = low;
        for back in 1..=RECORD.min(self.sectors) {
            let at = head + self.sectors - back;
            let header = self.sector(at)?;
            if be32(&header, 0) != MAGIC {
                continue;
            }
            // Large records have further headers.
            let headers = match be32(&header, 320) {
                size @ 32769.. if be32(&header, 8) & 2 != 0 => u64::from(size.div_ceil(32768)),
                _ => 1,
            };
            let sectors = u64::from(be32(&header, 12)).div_ceil(SECTOR);
            if be32(&header, 40) != 1 || headers + sectors != back {
                return Ok(false);
            }
            let operation = self.sector(at + headers)?;
            return Ok(operation.get(9).is_some_and(|flags| flags & UNMOUNT != 0));
        }
        Ok(false)
    }
}
