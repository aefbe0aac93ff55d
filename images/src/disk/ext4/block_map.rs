//! Where the blocks of an inode lie, in one of the two ways that there are.

use std::ops::Range;

use super::super::alloc::{Allocator, Extent};
use super::super::layout::Ext4Features;
use super::super::sink::offset_of;
use super::checksum::Sealer;
use super::{Ext4Error, extents, indirect};

/// How an inode finds its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    /// By a tree of extents.
    Extents,
    /// By the number of each, in the inode and in indirect blocks.
    Indirect,
}

/// What an inode has of where its blocks lie, and what else there is to it.
#[derive(Debug)]
pub(super) struct BlockMap {
    /// What the inode holds.
    pub(super) root: [u8; 60],
    /// The other nodes: block and content.
    pub(super) nodes: Vec<(u64, Vec<u8>)>,
}

impl Mapping {
    pub(super) fn of(features: &Ext4Features) -> Self {
        if features.has("extent") { Self::Extents } else { Self::Indirect }
    }

    /// The most blocks of a file of blocks of `block` bytes, holes included: numbers of blocks
    /// have 32 bits.
    pub(super) fn most(self, block: u64) -> u64 {
        match self {
            Self::Extents => u64::from(u32::MAX),
            Self::Indirect => indirect::most(block),
        }
    }

    /// The most blocks that it takes to find these of a file, which ascend. A run is cut where a
    /// group's head, or metadata of several groups, lie in its way.
    pub(super) fn nodes(self, runs: &[Range<u64>], block: u64) -> u64 {
        match self {
            Self::Extents => {
                let blocks: u64 = runs.iter().map(|run| run.end - run.start).sum();
                let cuts = 2 * (blocks / extents::LONGEST.min(8 * block)) + 2;
                extents::nodes(offset_of(runs.len()) + cuts, block)
            }
            Self::Indirect => indirect::nodes(runs, block),
        }
    }

    /// Writes down where the blocks of inode `ino` lie; what that needs is of `allocator`.
    pub(super) fn build(
        self,
        list: &[Extent],
        ino: u64,
        block: u64,
        sealer: Sealer,
        allocator: &mut Allocator,
    ) -> Result<BlockMap, Ext4Error> {
        match self {
            Self::Extents => extents::build(list, ino, block, sealer, allocator),
            Self::Indirect => indirect::build(list, block, allocator),
        }
    }
}
