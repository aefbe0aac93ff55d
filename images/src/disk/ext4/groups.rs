//! What groups say of themselves: descriptors and bitmaps.

use super::super::alloc::{Allocator, set};
use super::Fields;
use super::checksum::Sealer;
use super::geometry::Geometry;

/// No inode is used, and the bitmap is not written.
const INODES_UNUSED: u64 = 1;
/// No block but the group's own is used, and the bitmap is not written.
const BLOCKS_UNUSED: u64 = 2;
/// The inode table is zero where it is not used.
const TABLE_ZEROED: u64 = 4;

/// What is used of a file system.
pub(super) struct Groups<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) allocator: &'a Allocator,
    /// Inodes are used from the first to this one.
    pub(super) last_inode: u64,
    /// Directories in each group.
    pub(super) directories: &'a [u64],
    pub(super) sealer: Sealer,
}

/// One group's descriptor and the bitmaps that have to be written.
pub(super) struct Group {
    pub(super) descriptor: Vec<u8>,
    pub(super) block_bitmap: Option<Vec<u8>>,
    pub(super) inode_bitmap: Option<Vec<u8>>,
    pub(super) free_blocks: u64,
}

impl Groups<'_> {
    /// Inodes in use in a group.
    pub(super) fn used_inodes(&self, group: u64) -> u64 {
        let per_group = self.geometry.inodes_per_group;
        self.last_inode.saturating_sub(group * per_group).min(per_group)
    }

    /// A group's descriptor and bitmaps.
    pub(super) fn group(&self, group: u64) -> Option<Group> {
        let g = self.geometry;
        let index = usize::try_from(group).ok()?;
        let place = g.places.get(index)?;
        let range = g.start(group)..g.end(group);
        let taken = self.allocator.taken(&range);
        let free_blocks = range.end - range.start - taken;
        let used = self.used_inodes(group);
        let sealed = self.sealer.is_on();
        let mut flags = 0;
        if sealed {
            flags |= TABLE_ZEROED;
            flags |= if used == 0 { INODES_UNUSED } else { 0 };
            let idle = taken == g.head(group) && group + 1 < g.groups;
            flags |= if idle { BLOCKS_UNUSED } else { 0 };
        }
        let block_bitmap = (flags & BLOCKS_UNUSED == 0).then(|| {
            let mut bits = vec![0; super::super::sink::len_of(g.block)];
            self.allocator.mark(&range, &mut bits);
            set(&mut bits, range.end - range.start..8 * g.block);
            bits
        });
        let inode_bitmap = (flags & INODES_UNUSED == 0).then(|| {
            let mut bits = vec![0; super::super::sink::len_of(g.block)];
            set(&mut bits, 0..used);
            set(&mut bits, g.inodes_per_group..8 * g.block);
            bits
        });
        let free_inodes = g.inodes_per_group - used;
        let directories = self.directories.get(index).copied().unwrap_or(0);
        let unused = if sealed { free_inodes } else { 0 };
        let mut d = Fields::new(g.descriptor);
        for (low, high, value) in [
            (0x00, 0x20, place.block_bitmap),
            (0x04, 0x24, place.inode_bitmap),
            (0x08, 0x28, place.inode_table),
        ] {
            d.u32(low, value);
            d.u32(high, value >> 32);
        }
        for (low, high, value) in [
            (0x0c, 0x2c, free_blocks),
            (0x0e, 0x2e, free_inodes),
            (0x10, 0x30, directories),
            (0x1c, 0x32, unused),
        ] {
            d.u16(low, value);
            d.u16(high, value >> 16);
        }
        d.u16(0x12, flags);
        if sealed {
            let inodes = super::super::sink::len_of(g.inodes_per_group / 8);
            for (low, high, bits, length) in
                [(0x18, 0x38, &block_bitmap, usize::MAX), (0x1a, 0x3a, &inode_bitmap, inodes)]
            {
                let Some(bits) = bits else { continue };
                let checksum = self.sealer.of(&[bits.get(..length).unwrap_or(bits)]);
                d.u16(low, checksum);
                d.u16(high, checksum >> 16);
            }
            let checksum = self.sealer.of(&[&group.to_le_bytes()[..4], d.get()]);
            d.u16(0x1e, checksum);
        }
        Some(Group { descriptor: d.done(), block_bitmap, inode_bitmap, free_blocks })
    }
}
