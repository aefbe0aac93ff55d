//! The superblock, checked; and how blocks and inodes are numbered.

use super::super::crc32c::sealed;
use super::super::fields::{agrees, be16, be32, be64, index, le32};
use super::super::medium::{Medium, bytes};
use super::{Result, VolumeError};

/// Incompatible features that change nothing for a reader, or that are read here: types in
/// directories, sparse inode chunks, a second identifier, wide times, wide counters of
/// extents, exchanged ranges, parent pointers.
const READ: u32 = FTYPE | 0x2 | META_UUID | 0x8 | 0x20 | 0x40 | 0x80;
const FTYPE: u32 = 0x1;
const META_UUID: u32 = 0x4;
const NEEDS_REPAIR: u32 = 0x10;

/// Version bits and features of version 4.
const DIRECTORIES_2: u16 = 0x2000;
const MORE_BITS: u16 = 0x8000;
const FTYPE_4: u32 = 0x200;

/// What reading needs of it.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) block_size: usize,
    pub(super) block_log: u32,
    pub(super) blocks: u64,
    pub(super) root: u64,
    pub(super) inode_size: usize,
    pub(super) directory_block: usize,
    /// Whether metadata has checksums: version 5.
    pub(super) checked: bool,
    /// Whether directories say what kind their entries are of.
    pub(super) has_file_types: bool,
    /// The identifier that metadata carries.
    pub(super) uuid: [u8; 16],
    /// First block of the journal, 0 when it is on another disk; its length in blocks.
    pub(super) log: (u64, u32),
    inode_log: u32,
    group_blocks: u32,
    group_log: u32,
    groups: u32,
}

impl Superblock {
    pub(super) fn read(medium: &dyn Medium) -> Result<Self> {
        let front = bytes(medium, 0, 512)?;
        let damaged = |reason| VolumeError::damaged("the superblock", reason);
        let unsupported = |what: String| Err(VolumeError::Unsupported { what });
        if front.get(..4) != Some(b"XFSB") {
            return Err(damaged("its magic number is wrong"));
        }
        let byte = |at: usize| u32::from(front.get(at).copied().unwrap_or(0));
        let version = be16(&front, 100);
        let sector = be16(&front, 102);
        let checked = match version & 0xf {
            4 if version & DIRECTORIES_2 != 0 => false,
            5 => true,
            other => return unsupported(format!("version {other} of XFS")),
        };
        if !sector.is_power_of_two() || !(512..=32768).contains(&sector) {
            return Err(damaged("the size of sectors is out of range"));
        }
        let features = if checked { features(medium, sector)? } else { 0 };
        let more = if version & MORE_BITS != 0 { be32(&front, 200) } else { 0 };
        let has_file_types = if checked { features & FTYPE != 0 } else { more & FTYPE_4 != 0 };
        let (block_log, inode_log, group_log) = (byte(120), byte(122), byte(124));
        let uuid_at = if checked && features & META_UUID != 0 { 248 } else { 32 };
        let uuid = front.get(uuid_at..uuid_at + 16).and_then(|bytes| bytes.try_into().ok());
        let directory_log = block_log.saturating_add(byte(192));
        if !(9..=16).contains(&block_log) || directory_log > 16 {
            return Err(damaged("the size of blocks is out of range"));
        }
        let this = Self {
            block_size: 1 << block_log,
            block_log,
            blocks: be64(&front, 8),
            root: be64(&front, 56),
            inode_size: index(be16(&front, 104)),
            directory_block: 1 << directory_log,
            checked,
            has_file_types,
            uuid: uuid.unwrap_or_default(),
            log: (be64(&front, 48), be32(&front, 96)),
            inode_log,
            group_blocks: be32(&front, 84),
            group_log,
            groups: be32(&front, 88),
        };
        if index(be32(&front, 4)) != this.block_size {
            return Err(damaged("the size of blocks is out of range"));
        }
        this.sizes(medium.size())?;
        Ok(this)
    }

    /// Whether sizes and counts fit each other and the disk.
    fn sizes(&self, disk: u64) -> Result<()> {
        let damaged = |reason| Err(VolumeError::damaged("the superblock", reason));
        let inodes = if self.checked { 9 } else { 8 }..=self.block_log.min(11);
        if !inodes.contains(&self.inode_log) || self.inode_size != 1 << self.inode_log {
            return damaged("the size of inodes is out of range");
        }
        let (group, groups) = (u64::from(self.group_blocks), u64::from(self.groups));
        // Numbers of groups and blocks share 64 bits with those of inodes.
        let fits = self.group_log < 32 && group <= 1 << self.group_log;
        if !fits || group < 64 || groups == 0 {
            return damaged("the size of groups is out of range");
        }
        if self.blocks > group * groups || self.blocks <= group * (groups - 1) {
            return damaged("its groups have another size than the file system");
        }
        if u128::from(self.blocks) << self.block_log > u128::from(disk) {
            return damaged("the file system is larger than its disk");
        }
        Ok(())
    }

    /// The offset of `count` blocks from a block on, which must all be in one group.
    pub(super) fn offset(&self, block: u64, count: u64) -> Result<u64> {
        let (group, within) = (block >> self.group_log, block & ((1 << self.group_log) - 1));
        let from = group.saturating_mul(self.group_blocks.into()).saturating_add(within);
        let inside = group < self.groups.into()
            && within.saturating_add(count) <= self.group_blocks.into()
            && from.saturating_add(count) <= self.blocks;
        if !inside {
            let reason = "it lies outside of the file system";
            return Err(VolumeError::damaged(format!("block {block}"), reason));
        }
        Ok(from << self.block_log)
    }

    /// The offset of an inode.
    pub(super) fn inode(&self, number: u64) -> Result<u64> {
        let each = self.block_log - self.inode_log;
        let within = number & ((1 << each) - 1);
        Ok(self.offset(number >> each, 1)? + (within << self.inode_log))
    }
}

/// The incompatible features of version 5, whose superblock has a checksum.
fn features(medium: &dyn Medium, sector: u16) -> Result<u32> {
    let damaged = |reason| VolumeError::damaged("the superblock", reason);
    let whole = bytes(medium, 0, usize::from(sector))?;
    if !agrees(sealed(&whole, 224), le32(&whole, 224)) {
        return Err(damaged("its checksum is wrong"));
    }
    let features = be32(&whole, 216);
    if features & NEEDS_REPAIR != 0 {
        return Err(damaged("it says that it needs a repair"));
    }
    let unknown = features & !READ;
    if unknown != 0 {
        let what = format!("an XFS with the incompatible features {unknown:#x}");
        return Err(VolumeError::Unsupported { what });
    }
    Ok(features)
}
