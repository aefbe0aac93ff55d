//! The superblock, checked; and where it puts group descriptors.

use super::super::fields::{index, le16, le32};
use super::super::medium::{Medium, bytes};
use super::{Result, VolumeError};

/// Incompatible features that change nothing for a reader, or that are read here.
const READ: u32 = FILETYPE
    | RECOVER
    | META_BG
    | EXTENTS
    | BIT64
    | MMP
    | FLEX_BG
    | EA_INODE
    | CSUM_SEED
    | LARGEDIR
    | INLINE_DATA
    | ENCRYPT
    | CASEFOLD;
const FILETYPE: u32 = 0x2;
const RECOVER: u32 = 0x4;
const JOURNAL_DEV: u32 = 0x8;
const META_BG: u32 = 0x10;
const EXTENTS: u32 = 0x40;
const BIT64: u32 = 0x80;
const MMP: u32 = 0x100;
const FLEX_BG: u32 = 0x200;
const EA_INODE: u32 = 0x400;
const CSUM_SEED: u32 = 0x2000;
const LARGEDIR: u32 = 0x4000;
const INLINE_DATA: u32 = 0x8000;
const ENCRYPT: u32 = 0x10000;
const CASEFOLD: u32 = 0x20000;

const SPARSE_SUPER: u32 = 0x1;
const SPARSE_SUPER2: u32 = 0x200;
const HAS_JOURNAL: u32 = 0x4;

/// What reading needs of it.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) block_size: usize,
    pub(super) blocks: u64,
    pub(super) inodes: u32,
    pub(super) inode_size: usize,
    pub(super) descriptor_size: usize,
    pub(super) journal: u32,
    first_block: u64,
    blocks_per_group: u64,
    inodes_per_group: u32,
    features: Features,
    first_meta_group: u64,
    backups: [u32; 2],
}

#[derive(Debug)]
struct Features {
    compatible: u32,
    incompatible: u32,
    read_only: u32,
}

impl Superblock {
    pub(super) fn read(medium: &dyn Medium) -> Result<Self> {
        let sb = bytes(medium, 1024, 1024)?;
        let damaged = |reason| VolumeError::damaged("the superblock", reason);
        if le16(&sb, 0x38) != 0xef53 {
            return Err(damaged("its magic number is wrong"));
        }
        let revision = le32(&sb, 0x4c);
        let features = Features {
            compatible: le32(&sb, 0x5c),
            incompatible: le32(&sb, 0x60),
            read_only: le32(&sb, 0x64),
        };
        if features.incompatible & JOURNAL_DEV != 0 {
            return Err(VolumeError::Unsupported { what: "the journal of another disk".into() });
        }
        let unknown = features.incompatible & !READ;
        if unknown != 0 {
            let what = format!("an ext4 with the incompatible features {unknown:#x}");
            return Err(VolumeError::Unsupported { what });
        }
        let shift = le32(&sb, 0x18);
        if shift > 6 {
            return Err(damaged("the size of blocks is out of range"));
        }
        let wide = features.incompatible & BIT64 != 0;
        let high = if wide { le32(&sb, 0x150) } else { 0 };
        let inode_size = if revision == 0 { 128 } else { index(le16(&sb, 0x58)) };
        let this = Self {
            block_size: 1024 << shift,
            blocks: u64::from(le32(&sb, 4)) | u64::from(high) << 32,
            inodes: le32(&sb, 0),
            inode_size,
            descriptor_size: if wide { index(le16(&sb, 0xfe)) } else { 32 },
            journal: le32(&sb, 0xe0),
            first_block: le32(&sb, 0x14).into(),
            blocks_per_group: le32(&sb, 0x20).into(),
            inodes_per_group: le32(&sb, 0x28),
            first_meta_group: le32(&sb, 0x104).into(),
            backups: [le32(&sb, 0x24c), le32(&sb, 0x250)],
            features,
        };
        let block = this.block_size;
        if !inode_size.is_power_of_two() || !(128..=block).contains(&inode_size) {
            return Err(damaged("the size of inodes is out of range"));
        }
        let descriptor = this.descriptor_size;
        if !descriptor.is_power_of_two() || !(32..=block).contains(&descriptor) {
            return Err(damaged("the size of group descriptors is out of range"));
        }
        let bits = 8 * block as u64;
        if !(1..=bits).contains(&u64::from(this.inodes_per_group))
            || !(1..=bits * 65536).contains(&this.blocks_per_group)
        {
            return Err(damaged("the size of groups is out of range"));
        }
        if this.blocks == 0 || u128::from(this.blocks) * block as u128 > u128::from(medium.size()) {
            return Err(damaged("the file system is larger than its disk"));
        }
        Ok(this)
    }

    pub(super) fn needs_recovery(&self) -> bool {
        self.features.incompatible & RECOVER != 0 && self.features.compatible & HAS_JOURNAL != 0
    }

    /// Whether directories say what kind their entries are of.
    pub(super) fn has_file_types(&self) -> bool {
        self.features.incompatible & FILETYPE != 0
    }

    /// The group of an inode, and its place in there.
    pub(super) fn split(&self, inode: u32) -> (u64, u32) {
        let from_zero = inode.saturating_sub(1);
        (u64::from(from_zero / self.inodes_per_group), from_zero % self.inodes_per_group)
    }

    /// The offset of a block, which must be one of the file system's.
    pub(super) fn offset(&self, block: u64) -> Result<u64> {
        if block == 0 || block >= self.blocks {
            let reason = "it lies outside of the file system";
            return Err(VolumeError::damaged(format!("block {block}"), reason));
        }
        Ok(block * self.block_size as u64)
    }

    /// The offset of a group's descriptor.
    pub(super) fn descriptor(&self, group: u64) -> u64 {
        let each = (self.block_size / self.descriptor_size) as u64;
        let (table, within) = (group / each, group % each);
        let meta = self.features.incompatible & META_BG != 0 && table >= self.first_meta_group;
        let block = if meta {
            // Each block of descriptors is in the first group of those that it describes.
            let first = table * each;
            // With small blocks and bigalloc, the first group begins a block before its
            // superblock.
            let before = self.block_size == 1024 && table == 0 && self.first_block == 0;
            self.first_block
                .saturating_add(first.saturating_mul(self.blocks_per_group))
                .saturating_add(u64::from(self.has_copy(first)) + u64::from(before))
        } else {
            // The superblock is at byte 1024, whatever the size of blocks.
            1024 / self.block_size as u64 + 1 + table
        };
        block.saturating_mul(self.block_size as u64) + within * self.descriptor_size as u64
    }

    /// Whether a group begins with a copy of the superblock.
    fn has_copy(&self, group: u64) -> bool {
        if group == 0 {
            return true;
        }
        if self.features.compatible & SPARSE_SUPER2 != 0 {
            return self.backups.iter().any(|&backup| u64::from(backup) == group);
        }
        if self.features.read_only & SPARSE_SUPER == 0 || group == 1 {
            return true;
        }
        [3u64, 5, 7].iter().any(|base| {
            let mut power = *base;
            while power < group {
                power = power.saturating_mul(*base);
            }
            power == group
        })
    }
}
