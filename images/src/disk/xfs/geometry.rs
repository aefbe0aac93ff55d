//! The numbers of a file system of a given size, by the rules of mkfs.xfs(8), and where inodes
//! and the log lie.
//!
//! A block is named in three ways: by its number on the disk, which this writer counts in; by
//! group and number within the group, joined as bits, which the format stores; and by its
//! first sector.

use std::ops::Range;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;
/// Bytes of an inode.
pub(super) const INODE: u64 = 512;
/// Inodes that are made together.
pub(super) const CHUNK: u64 = 64;
/// Blocks of a chunk.
pub(super) const CHUNK_BLOCKS: u64 = CHUNK * INODE / BLOCK;
/// Sectors of a group's headers: superblock, free space, inodes, spare blocks.
const HEADERS: u64 = 4;
/// Roots of trees behind the headers of a group: two of free space, two of chunks.
const ROOTS: u64 = 4;
/// Spare blocks of a group, for trees that grow.
const SPARE: u64 = 4;
/// The group's block where inodes begin: the first behind the head that is aligned, whatever the
/// size of sectors.
pub(super) const FIRST_CHUNK: u64 = 12;
/// What mkfs.xfs(8) makes no file system below.
pub(in crate::disk) const LEAST: u64 = 300 << 20;
/// Records of chunks in a block.
pub(super) const CHUNKS_IN_LEAF: u64 = (BLOCK - 56) / 16;
/// Leaves of an inner block of a list of chunks.
pub(super) const LEAVES_IN_NODE: u64 = (BLOCK - 56) / 8;

/// Divides records among as few blocks as hold them, `most` in each, and evenly: a block of a tree
/// that is not its root is at least half full.
pub(super) fn parts<T>(mut records: &[T], most: u64) -> Vec<&[T]> {
    let blocks = records.len().div_ceil(super::super::sink::len_of(most));
    let mut parts = Vec::with_capacity(blocks);
    for left in (1..=blocks).rev() {
        let (part, rest) = records.split_at(records.len().div_ceil(left));
        parts.push(part);
        records = rest;
    }
    parts
}

/// The numbers of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of a sector, 512 to a block.
    pub(super) sector: u64,
    /// Blocks of the file system.
    pub(super) blocks: u64,
    /// Blocks of a group; the last may have fewer.
    pub(super) group: u64,
    /// Number of groups.
    pub(super) groups: u64,
    /// Bits of a block's number within its group.
    pub(super) group_bits: u32,
    /// Blocks of the log.
    pub(super) log: u64,
    /// Inode chunks of each group.
    pub(super) chunks: Vec<u64>,
}

impl Geometry {
    /// The geometry of `len` bytes in sectors of `sector` bytes with room for `inodes` inodes;
    /// nothing when that is too small or they do not fit.
    pub(super) fn new(len: u64, sector: u64, inodes: u64) -> Option<Self> {
        if len < LEAST {
            return None;
        }
        let blocks = len / BLOCK;
        let most = (1 << 28) - 1;
        let group = if blocks < 4 << 28 { blocks.div_ceil(4) } else { most };
        let mut groups = blocks.div_ceil(group);
        // A last group of less than 16 MiB is left off.
        let blocks = match blocks - (groups - 1) * group {
            last if last < 4096 => {
                groups -= 1;
                groups * group
            }
            _ => blocks,
        };
        let log = (blocks / 2048).clamp(16_384, 262_144);
        let mut geometry = Self {
            sector,
            blocks,
            group,
            groups,
            group_bits: (group - 1).ilog2() + 1,
            log,
            chunks: vec![0; super::super::sink::len_of(groups)],
        };
        geometry.place(inodes.div_ceil(CHUNK)).then_some(geometry)
    }

    /// Divides chunks among the groups, the one with the log left out.
    fn place(&mut self, mut left: u64) -> bool {
        let log = self.log_group();
        for group in (0..self.groups).filter(|group| *group != log) {
            let room = (self.end(group) - self.start(group)).saturating_sub(64) / 2 / CHUNK_BLOCKS;
            // The list of chunks has one level of nodes.
            let here = left.min(room).min(LEAVES_IN_NODE * CHUNKS_IN_LEAF);
            if let Some(chunks) = self.chunks.get_mut(super::super::sink::len_of(group)) {
                *chunks = here;
            }
            left -= here;
        }
        left == 0
    }

    /// The group's block where the roots of its trees begin: behind the headers.
    pub(super) fn roots(&self) -> u64 {
        (HEADERS * self.sector).div_ceil(BLOCK)
    }

    /// The group's blocks that are spare.
    pub(super) fn spare(&self) -> Range<u64> {
        let first = self.roots() + ROOTS;
        first..first + SPARE
    }

    /// Blocks at the beginning of each group: headers, roots of trees, spare ones.
    pub(super) fn head(&self) -> u64 {
        self.spare().end
    }

    /// The group with the log.
    pub(super) fn log_group(&self) -> u64 {
        self.groups / 2
    }

    /// The log's first block.
    pub(super) fn log_start(&self) -> u64 {
        self.start(self.log_group()) + self.head()
    }

    /// A group's first block.
    pub(super) fn start(&self, group: u64) -> u64 {
        group * self.group
    }

    /// The block behind a group's last one.
    pub(super) fn end(&self, group: u64) -> u64 {
        self.start(group + 1).min(self.blocks)
    }

    /// A block as the format stores it.
    pub(super) fn stored(&self, block: u64) -> u64 {
        ((block / self.group) << self.group_bits) | (block % self.group)
    }

    /// Blocks of a group's list of chunks beside its root.
    pub(super) fn chunk_leaves(chunks: u64) -> u64 {
        if chunks > CHUNKS_IN_LEAF { chunks.div_ceil(CHUNKS_IN_LEAF) } else { 0 }
    }

    /// The number of the `n`th inode.
    pub(super) fn ino(&self, n: u64) -> u64 {
        let (mut chunk, within) = (n / CHUNK, n % CHUNK);
        for (group, chunks) in (0..).zip(&self.chunks) {
            if chunk < *chunks {
                let block = FIRST_CHUNK + chunk * CHUNK_BLOCKS;
                return ((group << self.group_bits | block) << 3) + within;
            }
            chunk -= chunks;
        }
        0
    }

    /// What is not for files, ascending.
    pub(super) fn reserved(&self) -> Vec<Range<u64>> {
        let mut reserved = Vec::new();
        for (group, chunks) in (0..).zip(&self.chunks) {
            let start = self.start(group);
            if group == self.log_group() {
                reserved.push(start..start + self.head() + self.log);
                continue;
            }
            reserved.push(start..start + self.head());
            if *chunks > 0 {
                let first = start + FIRST_CHUNK;
                let end = first + chunks * CHUNK_BLOCKS + Self::chunk_leaves(*chunks);
                reserved.push(first..end);
            }
        }
        reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_few_as_can_be_and_at_least_half_full() {
        let records = vec![0; 60_000];
        for count in [0, 1, 252, 253, 313, 504, 505, 33_000, 60_000] {
            let parts = parts(&records[..count], 252);
            assert_eq!(parts.len(), count.div_ceil(252));
            assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), count);
            let half = |part: &&[i32]| parts.len() == 1 || (126..=252).contains(&part.len());
            assert!(parts.iter().all(half), "{count}");
        }
    }

    #[test]
    fn inodes_fill_the_groups_around_the_log() {
        let g = Geometry::new(1 << 30, 512, 100).unwrap();
        assert_eq!((g.group, g.groups, g.group_bits, g.log), (65_536, 4, 16, 16_384));
        assert_eq!((g.ino(0), g.ino(63), g.ino(64)), (96, 159, 160));
        let many = Geometry::new(1 << 30, 512, 500_000).unwrap();
        assert_eq!(many.chunks, [4092, 3721, 0, 0]);
        assert_eq!(many.ino(4092 * 64), (65_536 + 12) << 3);
        assert!(Geometry::new(1 << 30, 512, 1 << 30).is_none());
        assert!(Geometry::new(LEAST - 1, 512, 1).is_none());
        assert_eq!(Geometry::new(8 << 40, 512, 1).unwrap().groups, 8, "8 blocks are left off");
    }

    #[test]
    fn headers_take_sectors_and_roots_blocks() {
        for (sector, roots, spare) in [(512, 1, 5..9), (1024, 1, 5..9), (4096, 4, 8..12)] {
            let g = Geometry::new(1 << 30, sector, 100).unwrap();
            assert_eq!((g.roots(), g.spare(), g.head()), (roots, spare.clone(), spare.end));
            assert!(g.head() <= FIRST_CHUNK);
        }
    }
}
