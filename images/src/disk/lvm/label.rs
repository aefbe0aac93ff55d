//! The label of a physical volume and the header behind it.

use super::super::layout::PHYSICAL_START;
use super::{AREA, SECTOR, checksum};

/// The sector that the label is in.
const LABEL_SECTOR: u64 = 1;
/// Where the header begins in that sector.
const HEADER: u32 = 32;
/// What the label's checksum does not cover.
const UNSUMMED: usize = 20;

/// The first two sectors of a physical volume of `len` bytes.
pub(super) fn sectors(id: &str, len: u64) -> Vec<u8> {
    let mut summed = Vec::new();
    summed.extend(HEADER.to_le_bytes());
    summed.extend(b"LVM2 001");
    summed.extend(id.as_bytes());
    summed.extend(len.to_le_bytes());
    // Extents reach to the end of the device; then the one area of metadata; each list ends
    // with zeros.
    for (start, size) in [(PHYSICAL_START, 0), (0, 0), (AREA, PHYSICAL_START - AREA), (0, 0)] {
        summed.extend(u64::to_le_bytes(start));
        summed.extend(u64::to_le_bytes(size));
    }
    // The header's extension: version 2, the volume is in use, no room for boot loaders.
    summed.extend(2_u32.to_le_bytes());
    summed.extend(1_u32.to_le_bytes());
    let sector = usize::try_from(SECTOR).unwrap_or_default();
    summed.resize(sector - UNSUMMED, 0);
    let mut bytes = vec![0; sector];
    bytes.extend(b"LABELONE");
    bytes.extend(LABEL_SECTOR.to_le_bytes());
    bytes.extend(checksum(&summed).to_le_bytes());
    bytes.extend(summed);
    bytes
}
