//! The superblock, in the first block behind room for a boot sector.

use super::super::layout::Filesystem;
use super::super::sink::{len_of, offset_of};
use super::BLOCK;
use super::draft::Draft;
use super::plan::Plan;

const MAGIC: u32 = 0xe0f5_e1e2;
/// There is a checksum.
const CHECKSUM: u32 = 1;
/// Bytes from the superblock to the end of its block, which the checksum covers.
const COVERED: u64 = BLOCK - 1024;

/// The superblock up to the end of its block.
pub(super) fn bytes(
    filesystem: &Filesystem,
    plan: &Plan,
    draft: &Draft<'_>,
    epoch: i64,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(CHECKSUM.to_le_bytes());
    bytes.extend([12, 0]);
    bytes.extend(u16::try_from(plan.nid(0)).unwrap_or_default().to_le_bytes());
    bytes.extend(offset_of(draft.inodes.len()).to_le_bytes());
    bytes.extend(epoch.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(u32::try_from(plan.blocks).unwrap_or(u32::MAX).to_le_bytes());
    // Inodes are counted from the first block on, so that none is number 0; no attributes are
    // shared.
    bytes.extend([0; 8]);
    bytes.extend(filesystem.uuid.as_bytes());
    let mut label = filesystem.label.as_bytes().to_vec();
    label.resize(16, 0);
    bytes.extend(label);
    bytes.resize(len_of(COVERED), 0);
    let sum = !crc32c::crc32c(&bytes);
    if let Some(field) = bytes.get_mut(4..8) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}
