//! The numbers of a file system of a given size, by the rules of mke2fs(8), and where its own
//! blocks lie: superblocks, descriptors and their reserve in front of some groups, bitmaps and
//! inode tables of sixteen groups together.

use std::ops::Range;
use std::slice;

use super::super::layout::Ext4Options;
use super::block_map::Mapping;
use super::usage::Ext4Usage;

/// Groups that keep their metadata together.
const FLEX: u64 = 16;
/// The smallest journal that the kernel takes.
const MIN_JOURNAL: u64 = 1024;
/// The fewest blocks of a file system without a journal.
const MIN_BLOCKS: u64 = 256;
/// Blocks left in a last group that is worth having.
const SPARE: u64 = 50;

/// Where a group's own blocks lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
}

/// The numbers of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of a block.
    pub(super) block: u64,
    /// Blocks of the file system, which may be fewer than asked for: a last group too
    /// short for its own metadata is left off.
    pub(super) blocks: u64,
    /// The block that the first group begins with: behind the boot sector.
    pub(super) first: u64,
    /// Blocks of a group.
    pub(super) group: u64,
    /// Number of groups.
    pub(super) groups: u64,
    /// Bytes of an inode.
    pub(super) inode_size: u64,
    /// Inodes of a group.
    pub(super) inodes_per_group: u64,
    /// Bytes of a group's descriptor.
    pub(super) descriptor: u64,
    /// Blocks of all descriptors.
    pub(super) descriptors: u64,
    /// Blocks kept behind them for growth.
    pub(super) reserve: u64,
    /// Groups whose metadata lie together.
    pub(super) flex: u64,
    /// Blocks of the journal, or 0.
    pub(super) journal: u64,
    /// How inodes find their blocks.
    pub(super) mapping: Mapping,
    /// One for each group.
    pub(super) places: Vec<Place>,
    /// All of its own blocks but journal and reserve's index, ascending.
    pub(super) reserved: Vec<Range<u64>>,
    /// Blocks that files can use.
    pub(super) available: u64,
}

impl Geometry {
    /// The geometry of `len` bytes, or nothing when that is too small, or too large for the
    /// features.
    pub(super) fn new(len: u64, options: &Ext4Options) -> Option<Self> {
        let block = u64::from(options.block_size);
        let mut blocks = len / block;
        if !options.features.has("64bit") {
            blocks = blocks.min(u64::from(u32::MAX));
        }
        let least = if options.features.has("has_journal") { 4 * MIN_JOURNAL } else { MIN_BLOCKS };
        while blocks >= least {
            let g = Self::numbers(blocks, block, options)?;
            // Fewer blocks would make no more room: inodes are by the blocks, or more in each group.
            if g.table() + 2 + SPARE > g.group {
                return None;
            }
            let last = blocks - g.start(g.groups - 1);
            if last >= g.head(g.groups - 1) + 2 + g.table() + SPARE {
                return g.placed();
            }
            blocks = g.start(g.groups - 1);
        }
        None
    }

    /// Everything that needs no place.
    fn numbers(blocks: u64, block: u64, options: &Ext4Options) -> Option<Self> {
        let features = &options.features;
        let first = u64::from(block == 1024);
        let group = 8 * block;
        let groups = (blocks - first).div_ceil(group);
        let inode_size = u64::from(options.inode_size);
        let in_block = block / inode_size;
        let ratio = u64::from(options.inode_ratio.max(1024));
        let inodes = options.inode_count.map_or(blocks * block / ratio, u64::from);
        let most = group.min(u64::from(u32::MAX) / groups).min(65_536 - in_block);
        let step = in_block.max(8);
        let inodes_per_group =
            inodes.div_ceil(groups).max(16).next_multiple_of(step).min(most / step * step);
        let descriptor = if features.has("64bit") { 64 } else { 32 };
        let in_descriptors = block / descriptor;
        let descriptors = groups.div_ceil(in_descriptors);
        let reserve = if features.has("resize_inode") && blocks <= u64::from(u32::MAX) {
            let usual = blocks.saturating_mul(1024).min(u64::from(u32::MAX));
            let beyond = |most: u64| {
                let wanted = most.saturating_sub(first).div_ceil(group).div_ceil(in_descriptors);
                wanted.saturating_sub(descriptors).min(block / 4)
            };
            // What the descriptors have room for anyway is no wish, as mke2fs has it.
            options.most_blocks.map(beyond).filter(|wanted| *wanted > 0).unwrap_or(beyond(usual))
        } else {
            0
        };
        Some(Self {
            block,
            blocks,
            first,
            group,
            groups,
            inode_size,
            inodes_per_group,
            descriptor,
            descriptors,
            reserve,
            flex: if features.has("flex_bg") { FLEX } else { 1 },
            journal: if features.has("has_journal") { journal(blocks, block, options) } else { 0 },
            mapping: Mapping::of(features),
            places: Vec::new(),
            reserved: Vec::new(),
            available: 0,
        })
        .filter(|g| g.inodes_per_group > 0 && g.head(0) + 2 < group)
    }

    /// With every group's metadata in its place; nothing when there is no room for them.
    fn placed(mut self) -> Option<Self> {
        let heads: Vec<Range<u64>> = (0..self.groups)
            .filter(|&group| has_superblock(group))
            .map(|group| self.start(group)..self.start(group) + self.head(group))
            .collect();
        let mut reserved = heads.clone();
        let mut leader = 0;
        while leader < self.groups {
            let members = self.flex.min(self.groups - leader);
            let mut at = self.start(leader);
            let mut take = |count| {
                let range = next(&mut at, count, &heads);
                reserved.push(range.clone());
                range.start
            };
            let block_bitmaps: Vec<u64> = (0..members).map(|_| take(1)).collect();
            let inode_bitmaps: Vec<u64> = (0..members).map(|_| take(1)).collect();
            let table = self.table();
            for (block_bitmap, inode_bitmap) in block_bitmaps.into_iter().zip(inode_bitmaps) {
                self.places.push(Place { block_bitmap, inode_bitmap, inode_table: take(table) });
            }
            if at > self.end(leader + members - 1) {
                return None;
            }
            leader += members;
        }
        reserved.sort_by_key(|range| range.start);
        for range in reserved {
            match self.reserved.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.reserved.push(range),
            }
        }
        let taken: u64 = self.reserved.iter().map(|range| range.end - range.start).sum();
        let own =
            self.journal + self.mapping.nodes(slice::from_ref(&(0..self.journal)), self.block);
        let own = own + u64::from(self.reserve > 0);
        self.available = (self.blocks - self.first).checked_sub(taken + own)?;
        Some(self)
    }

    /// The first block of a group.
    pub(super) fn start(&self, group: u64) -> u64 {
        self.first + group * self.group
    }

    /// The block behind the last one of a group.
    pub(super) fn end(&self, group: u64) -> u64 {
        self.start(group + 1).min(self.blocks)
    }

    /// Blocks of a group's superblock, descriptors and their reserve.
    pub(super) fn head(&self, group: u64) -> u64 {
        if has_superblock(group) { 1 + self.descriptors + self.reserve } else { 0 }
    }

    /// Blocks of a group's inode table.
    pub(super) fn table(&self) -> u64 {
        (self.inodes_per_group * self.inode_size).div_ceil(self.block)
    }

    /// All inodes.
    pub(super) fn inodes(&self) -> u64 {
        self.inodes_per_group * self.groups
    }

    /// The groups with a superblock, behind the first.
    pub(super) fn backups(&self) -> impl Iterator<Item = u64> {
        (1..self.groups).filter(|&group| has_superblock(group))
    }

    /// Whether what is needed is there.
    pub(super) fn holds(&self, usage: &Ext4Usage) -> bool {
        self.available >= usage.blocks && self.inodes() >= usage.inodes
    }
}

/// Blocks of the journal: at most a quarter of the file system.
fn journal(blocks: u64, block: u64, options: &Ext4Options) -> u64 {
    let wanted = match options.journal_mib {
        Some(mib) => u64::from(mib) * (1 << 20) / block,
        None => match blocks {
            0..=32_767 => 1024,
            32_768..=262_143 => 4096,
            262_144..=524_287 => 8192,
            524_288..=4_194_303 => 16_384,
            4_194_304..=8_388_607 => 32_768,
            8_388_608..=16_777_215 => 65_536,
            16_777_216..=33_554_431 => 131_072,
            _ => 262_144,
        },
    };
    wanted.clamp(MIN_JOURNAL, (blocks / 4).clamp(MIN_JOURNAL, 10_240_000))
}

/// Moves `at` behind the next `count` blocks in one piece that none of `heads` lies in.
fn next(at: &mut u64, count: u64, heads: &[Range<u64>]) -> Range<u64> {
    let mut ahead = heads.partition_point(|head| head.end <= *at);
    while let Some(head) = heads.get(ahead)
        && head.start < *at + count
    {
        *at = head.end;
        ahead += 1;
    }
    let range = *at..*at + count;
    *at = range.end;
    range
}

/// Whether a group begins with a superblock (`sparse_super`).
pub(super) fn has_superblock(group: u64) -> bool {
    let power = |base: u64| {
        let mut n = group;
        while n > 1 && n.is_multiple_of(base) {
            n /= base;
        }
        n == 1
    };
    group == 0 || power(3) || power(5) || power(7)
}

/// The least length, in MiB steps, of an ext4 that holds `usage`.
pub(super) fn minimal_len(usage: &Ext4Usage, options: &Ext4Options) -> Option<u64> {
    const STEP: u64 = 1 << 20;
    let holds = |steps: u64| Geometry::new(steps * STEP, options).is_some_and(|g| g.holds(usage));
    let mut high = (usage.blocks * u64::from(options.block_size)).div_ceil(STEP).max(1);
    while !holds(high) {
        high += (high / 8).max(1);
        // From 16 TiB on there may be room only as inodes can no longer be counted.
        if high > 1 << 24 {
            return None;
        }
    }
    // Just below a boundary between groups less may fit than slightly above, so walk.
    while high > 1 && holds(high - 1) {
        high -= 1;
    }
    Some(high * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: u64 = 32_768;

    fn dib() -> Ext4Options {
        Ext4Options::default()
    }

    #[test]
    fn the_journal_is_at_most_a_quarter() {
        let journal = |mib: u64| Geometry::new(mib << 20, &dib()).map(|g| g.journal);
        assert_eq!(journal(15), None);
        assert_eq!(journal(16), Some(1024));
        assert_eq!(journal(100), Some(6400));
        assert_eq!(journal(256), Some(16_384));
        assert_eq!(journal(4096), Some(16_384));
        let none =
            Ext4Options { features: dib().features.changed("^has_journal").unwrap(), ..dib() };
        assert_eq!(Geometry::new(256 << 20, &none).unwrap().journal, 0);
    }

    #[test]
    fn a_last_group_too_short_for_its_tables_is_left_off() {
        let full = Geometry::new(2 << 30, &dib()).unwrap();
        assert_eq!(full.blocks, 16 * GROUP);
        assert_eq!(Geometry::new((2 << 30) + (4 << 20), &dib()).unwrap().blocks, 16 * GROUP);
        assert!(Geometry::new((2 << 30) + (16 << 20), &dib()).unwrap().blocks > 16 * GROUP);
    }

    #[test]
    fn the_reserve_is_for_a_thousandfold_or_what_is_asked() {
        let reserve = |options: &Ext4Options| Geometry::new(2 << 30, options).unwrap().reserve;
        assert_eq!(reserve(&dib()), 255);
        let most = |blocks| Ext4Options { most_blocks: Some(blocks), ..dib() };
        assert_eq!(reserve(&most(1 << 28)), 127);
        assert_eq!(reserve(&most(1 << 38)), 1024, "what one block can count");
        assert_eq!(reserve(&most(1 << 20)), 255, "8 GiB, which the first descriptors reach");
        let none =
            Ext4Options { features: dib().features.changed("^resize_inode").unwrap(), ..dib() };
        assert_eq!(reserve(&none), 0);
    }

    #[test]
    fn the_least_length_holds_and_a_mib_less_does_not() {
        for blocks in [10, 30_000, 400_000, 3_000_000] {
            let usage = Ext4Usage { blocks, inodes: blocks / 20 + 11 };
            let len = minimal_len(&usage, &dib()).unwrap();
            assert!(Geometry::new(len, &dib()).unwrap().holds(&usage));
            let less = Geometry::new(len - (1 << 20), &dib());
            assert!(less.is_none_or(|g| !g.holds(&usage)));
        }
    }
}
