//! The newest text in an area of metadata, which is a ring behind a header of one sector.

use std::ops::Range;

use super::super::fields::{agrees, index, le32, le64};
use super::super::medium::{Medium, bytes};
use super::super::volume::VolumeError;
use super::{SECTOR, checksum, slice};

const MAGIC: &[u8; 16] = b" LVM2 x[5A%r0N*>";
/// Where the header's list of texts begins; the first one counts, the second is one that was
/// not finished.
const TEXTS: usize = 40;
/// A flag of a text: the area is not in use.
const IGNORED: u32 = 1;
/// The longest text. An area of LVM's usual size has room for two of half a MiB.
const LONGEST: u64 = 8 << 20;

/// The text that an area holds; nothing when it has none, or is not in use.
pub(super) fn text(part: &dyn Medium, area: &Range<u64>) -> Result<Option<Vec<u8>>, VolumeError> {
    let damaged = |reason| VolumeError::damaged("the metadata of the physical volume", reason);
    let len = area.end.saturating_sub(area.start);
    if len <= SECTOR {
        return Err(damaged("their area is too small"));
    }
    let header = bytes(part, area.start, index(SECTOR))?;
    if !agrees(checksum(header.get(4..).unwrap_or_default()), le32(&header, 0)) {
        return Err(damaged("the checksum of their header is wrong"));
    }
    if slice(&header, 4, 16) != MAGIC || le32(&header, 20) != 1 {
        return Err(damaged("their header is of an unknown kind"));
    }
    if (le64(&header, 24), le64(&header, 32)) != (area.start, len) {
        return Err(damaged("their header is of another place"));
    }
    let (offset, size) = (le64(&header, TEXTS), le64(&header, TEXTS + 8));
    let (sum, flags) = (le32(&header, TEXTS + 16), le32(&header, TEXTS + 20));
    if offset == 0 || flags & IGNORED != 0 {
        return Ok(None);
    }
    if offset < SECTOR || offset >= len || size > len - SECTOR || size > LONGEST {
        return Err(damaged("they lie outside of their area"));
    }
    // What does not fit before the end goes on behind the header.
    let first = size.min(len - offset);
    let mut text = bytes(part, area.start + offset, index(first))?;
    text.extend(bytes(part, area.start + SECTOR, index(size - first))?);
    if !agrees(checksum(&text), sum) {
        return Err(damaged("their checksum is wrong"));
    }
    Ok(Some(text))
}
