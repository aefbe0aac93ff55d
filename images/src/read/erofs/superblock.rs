//! The superblock.

use super::super::fields::{agrees, index, le16, le32, le64};
use super::super::medium::{Medium, bytes};
use super::{Result, VolumeError};

/// Where it lies.
const AT: u64 = 1024;
/// Bytes of it that are looked at.
const LEN: usize = 128;
/// There is a checksum.
const CHECKSUM: u32 = 1;
/// There are files in chunks.
const CHUNKS: u32 = 0x4;
/// Some of the files are compressed: padding in front, algorithms, large clusters, ends beside
/// inodes, ends of many files together, equal ones once.
const COMPRESSED: u32 = 0x1 | 0x2 | 0x10 | 0x20;

/// What of it matters.
#[derive(Debug)]
pub(super) struct Superblock {
    block_bits: u8,
    /// The root directory's number.
    pub(super) root: u64,
    /// Where inodes begin, in bytes.
    pub(super) inodes: u64,
    /// Where attributes begin that many inodes have, in bytes.
    pub(super) shared: u64,
    /// The time of short inodes.
    pub(super) time: (i64, u32),
}

impl Superblock {
    pub(super) fn read(medium: &dyn Medium) -> Result<Self> {
        let damaged = |reason| VolumeError::damaged("the superblock", reason);
        let fields = bytes(medium, AT, LEN)?;
        let block_bits = fields.get(12).copied().unwrap_or(0);
        if !(9..=16).contains(&block_bits) {
            return Err(damaged("the size of blocks is out of range"));
        }
        let block = 1u64 << block_bits;
        if le32(&fields, 8) & CHECKSUM != 0 {
            let covered = if block > AT { block - AT } else { block };
            let mut whole = bytes(medium, AT, index(covered))?;
            let stored = le32(&whole, 4);
            if let Some(field) = whole.get_mut(4..8) {
                field.fill(0);
            }
            if !agrees(!crc32c::crc32c(&whole), stored) {
                return Err(damaged("its checksum is wrong"));
            }
        }
        let features = le32(&fields, 80);
        if features & COMPRESSED != 0 {
            return Err(VolumeError::Unsupported {
                what: "an erofs that is compressed".to_owned(),
            });
        }
        let unknown = features & !CHUNKS;
        let prefixes = fields.get(91).copied().unwrap_or(0);
        if unknown != 0 || prefixes != 0 || fields.get(90).copied().unwrap_or(0) != 0 {
            let what = format!("an erofs with features {unknown:#x} and {prefixes} prefixes");
            return Err(VolumeError::Unsupported { what });
        }
        if u64::from(le32(&fields, 36)) * block > medium.size() {
            return Err(damaged("the file system is larger than its disk"));
        }
        Ok(Self {
            block_bits,
            root: le16(&fields, 14).into(),
            inodes: u64::from(le32(&fields, 40)) * block,
            shared: u64::from(le32(&fields, 44)) * block,
            time: (le64(&fields, 24).cast_signed(), le32(&fields, 32).min(999_999_999)),
        })
    }

    /// Bytes of a block.
    pub(super) fn block_size(&self) -> u64 {
        1 << self.block_bits
    }

    /// The same as a power of two.
    pub(super) fn block_bits(&self) -> u32 {
        self.block_bits.into()
    }
}
