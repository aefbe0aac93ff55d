//! The numbers of a file system of a given size, by the rules of mkfs.xfs(8), and where inodes
//! and the log lie.
//!
//! A block is named in three ways: by its number on the disk, which this writer counts in; by
//! group and number within the group, joined as bits, which the format stores; and by its
//! first sector.

use std::ops::Range;

use super::super::layout::{XfsFeature, XfsFeatures, XfsOptions};

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;
/// Bytes of an inode.
pub(super) const INODE: u64 = 512;
/// Inodes that are made together.
pub(super) const CHUNK: u64 = 64;
/// Blocks of a chunk.
pub(super) const CHUNK_BLOCKS: u64 = CHUNK * INODE / BLOCK;
/// Blocks of inodes that kernels read at a time.
pub(super) const CLUSTER_BLOCKS: u64 = 4;
/// Sectors of a group's headers: superblock, free space, inodes, spare blocks.
const HEADERS: u64 = 4;
/// Roots of trees behind the headers of every group: two of free space, two of chunks.
const ROOTS: u64 = 4;
/// Spare blocks of a group, for trees that grow.
const SPARE: u64 = 4;
/// Blocks of a group at the least.
const LEAST_GROUP: u64 = (16 << 20) / BLOCK;
/// Blocks of a group at the most.
const MOST_GROUP: u64 = (1 << 28) - 1;
/// Blocks of a group that are neither log nor inodes.
const OTHERS: u64 = 64;
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
    /// What is on.
    pub(super) features: XfsFeatures,
    /// The part that inodes may take, in percent; 0 for all.
    pub(super) inode_percent: u8,
}

/// Blocks of the log of a file system of `blocks` blocks.
fn log_of(blocks: u64) -> u64 {
    (blocks / 2048).clamp(16_384, 262_144)
}

/// The least blocks of a group, of a file system of `blocks` blocks: one has the log.
pub(super) fn least_group(blocks: u64) -> u64 {
    LEAST_GROUP.max(log_of(blocks) + OTHERS)
}

impl Geometry {
    /// The geometry of `len` bytes in sectors of `sector` bytes with room for `inodes` inodes;
    /// nothing when that is too small or they do not fit.
    pub(super) fn new(len: u64, sector: u64, options: &XfsOptions, inodes: u64) -> Option<Self> {
        if len < LEAST {
            return None;
        }
        let blocks = len / BLOCK;
        let group = match options.groups {
            None => blocks.div_ceil(4).min(MOST_GROUP),
            Some(groups) => {
                let group = blocks.div_ceil(u64::from(groups).max(1));
                (groups > 1 && (least_group(blocks)..=MOST_GROUP).contains(&group))
                    .then_some(group)?
            }
        };
        let mut groups = blocks.div_ceil(group);
        // A last group of less than 16 MiB is left off.
        let blocks = match blocks - (groups - 1) * group {
            last if last < LEAST_GROUP => {
                groups -= 1;
                groups * group
            }
            _ => blocks,
        };
        let mut geometry = Self {
            sector,
            blocks,
            group,
            groups,
            group_bits: (group - 1).ilog2() + 1,
            log: log_of(blocks),
            chunks: vec![0; super::super::sink::len_of(groups)],
            features: options.features,
            inode_percent: options.inode_percent.unwrap_or(25),
        };
        let placed = geometry.place(inodes.div_ceil(CHUNK));
        if options.inode_percent.is_none() && geometry.beyond_percent().is_some() {
            geometry.inode_percent = 0;
        }
        placed.then_some(geometry)
    }

    /// Divides chunks among the groups, the one with the log left out.
    fn place(&mut self, mut left: u64) -> bool {
        let log = self.log_group();
        for group in (0..self.groups).filter(|group| *group != log) {
            let room =
                (self.end(group) - self.start(group)).saturating_sub(OTHERS) / 2 / CHUNK_BLOCKS;
            // The list of chunks has one level of nodes.
            let here = left.min(room).min(LEAVES_IN_NODE * CHUNKS_IN_LEAF);
            if let Some(chunks) = self.chunks.get_mut(super::super::sink::len_of(group)) {
                *chunks = here;
            }
            left -= here;
        }
        left == 0
    }

    /// Blocks of inodes and how many they may be, when those are fewer.
    pub(super) fn beyond_percent(&self) -> Option<(u64, u64)> {
        let needed = self.chunks.iter().sum::<u64>() * CHUNK_BLOCKS;
        let room = self.blocks / 100 * u64::from(self.inode_percent);
        (self.inode_percent > 0 && needed > room).then_some((needed, room))
    }

    /// The group's block where the roots of its trees begin: behind the headers.
    pub(super) fn roots(&self) -> u64 {
        (HEADERS * self.sector).div_ceil(BLOCK)
    }

    /// The group's blocks that are spare.
    pub(super) fn spare(&self) -> Range<u64> {
        let first = self.roots() + ROOTS + u64::from(self.features.has(XfsFeature::Reflink));
        first..first + SPARE
    }

    /// Blocks at the beginning of each group: headers, roots of trees, spare ones.
    pub(super) fn head(&self) -> u64 {
        self.spare().end
    }

    /// Blocks that chunks are aligned to.
    pub(super) fn alignment(&self) -> u64 {
        if self.features.has(XfsFeature::Sparse) { CHUNK_BLOCKS } else { CLUSTER_BLOCKS }
    }

    /// The group's block where inodes begin: the first behind the head that is aligned, where
    /// xfs_repair(8) looks for the root directory.
    pub(super) fn first_chunk(&self) -> u64 {
        self.head().next_multiple_of(self.alignment())
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
                let block = self.first_chunk() + chunk * CHUNK_BLOCKS;
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
                let first = start + self.first_chunk();
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

    fn usual(len: u64, sector: u64, inodes: u64) -> Option<Geometry> {
        Geometry::new(len, sector, &XfsOptions::default(), inodes)
    }

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
        let g = usual(1 << 30, 512, 100).unwrap();
        assert_eq!((g.group, g.groups, g.group_bits, g.log), (65_536, 4, 16, 16_384));
        assert_eq!((g.ino(0), g.ino(63), g.ino(64)), (96, 159, 160));
        let many = usual(1 << 30, 512, 500_000).unwrap();
        assert_eq!(many.chunks, [4092, 3721, 0, 0]);
        assert_eq!(many.ino(4092 * 64), (65_536 + 12) << 3);
        assert!(usual(1 << 30, 512, 1 << 30).is_none());
        assert!(usual(LEAST - 1, 512, 1).is_none());
        assert_eq!(usual(8 << 40, 512, 1).unwrap().groups, 8, "8 blocks are left off");
    }

    #[test]
    fn headers_take_sectors_and_roots_blocks() {
        for (sector, roots, spare) in [(512, 1, 5..9), (1024, 1, 5..9), (4096, 4, 8..12)] {
            let g = usual(1 << 30, sector, 100).unwrap();
            assert_eq!((g.roots(), g.spare(), g.head()), (roots, spare.clone(), spare.end));
            assert_eq!(g.first_chunk(), 12);
        }
    }

    #[test]
    fn features_move_inodes_and_options_make_groups() {
        let with = |list: &[XfsFeature], sector| {
            let features = XfsFeatures::from(list.to_vec());
            let options = XfsOptions { features, ..XfsOptions::default() };
            let g = Geometry::new(1 << 30, sector, &options, 100).unwrap();
            (g.head(), g.first_chunk())
        };
        assert_eq!(with(&[XfsFeature::Reflink], 512), (10, 12));
        assert_eq!(with(&[XfsFeature::Reflink], 4096), (13, 16));
        assert_eq!(with(&[XfsFeature::Sparse], 512), (9, 16));
        let groups = |groups| {
            let options = XfsOptions { groups: Some(groups), ..XfsOptions::default() };
            Geometry::new(1 << 30, 512, &options, 100).map(|g| (g.groups, g.group))
        };
        assert_eq!(groups(8), Some((8, 32_768)));
        assert_eq!(groups(3), Some((3, 87_382)));
        let percent = |inode_percent, inodes| {
            let options = XfsOptions { inode_percent, ..XfsOptions::default() };
            let g = Geometry::new(1 << 30, 512, &options, inodes).unwrap();
            (g.inode_percent, g.beyond_percent())
        };
        assert_eq!(percent(None, 500_000), (25, None));
        assert_eq!(percent(None, 600_000), (0, None));
        assert_eq!(percent(Some(0), 600_000), (0, None));
        assert_eq!(percent(Some(1), 64), (1, None));
        assert_eq!(percent(Some(1), 64_000), (1, Some((8000, 2621))));
        // One has no copy of its superblock, and none of 16 has room for the log.
        assert_eq!((groups(0), groups(1), groups(16)), (None, None, None));
    }
}
