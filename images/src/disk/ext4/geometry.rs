//! What an ext4 needs beside its files, as mkext4 lays it out: block groups of
//! 32768 blocks of 4 KiB, sixteen of which keep their bitmaps and inode tables at
//! the first one's start.

use super::super::layout::Ext4Options;
use super::super::sink::offset_of;
use super::super::view::{Item, Node, View};

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;
/// Blocks of a group.
const GROUP: u64 = 32768;
/// Groups that keep their metadata together.
const FLEX: u64 = 16;
/// Inodes in a block of the inode table.
const INODES_IN_BLOCK: u64 = 16;
/// The smallest journal that the kernel takes.
const MIN_JOURNAL: u64 = 1024;
/// Smallest file system: its journal may be a quarter.
const MIN_BLOCKS: u64 = 4 * MIN_JOURNAL;
/// Blocks of `lost+found`.
const LOST_AND_FOUND: u64 = 4;
/// Inodes that are not files of the tree.
const RESERVED_INODES: u64 = 11;
/// Room for attributes inside an inode: the area without its magic and end.
const ATTRIBUTE_ROOM: usize = 96 - 8;

/// What a tree needs of an ext4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ext4Usage {
    /// Blocks of 4 KiB for files, directories, long links and attributes.
    pub blocks: u64,
    /// Inodes.
    pub inodes: u64,
}

impl Ext4Usage {
    /// What the items need.
    pub(super) fn of(view: &View<'_>) -> Self {
        let mut usage = Self { blocks: LOST_AND_FOUND, inodes: RESERVED_INODES };
        let mut names: std::collections::HashMap<&[u8], u64> = std::collections::HashMap::new();
        for item in &view.items {
            if !is_own(item) {
                let (parent, name) = item.split();
                *names.entry(parent).or_default() += record(name.len());
            }
            if matches!(item.node, Node::Dir) {
                names.entry(item.path).or_default();
            }
            if !matches!(item.node, Node::Link(_)) {
                usage.inodes += u64::from(!is_own(item));
                usage.blocks += content_blocks(item) + u64::from(has_attribute_block(item));
            }
        }
        usage.blocks += names.values().map(|&bytes| directory_blocks(bytes)).sum::<u64>();
        usage
    }
}

/// Whether the item's inode is there in every file system.
fn is_own(item: &Item<'_>) -> bool {
    matches!(item.path, b"" | b"lost+found")
}

/// Bytes of a directory's record for a name.
fn record(name: usize) -> u64 {
    (8 + offset_of(name)).next_multiple_of(4)
}

/// Blocks of a directory: one, or an index and leaves, which records do not fill.
fn directory_blocks(bytes: u64) -> u64 {
    if bytes < BLOCK - 24 {
        return 1;
    }
    let leaves = (bytes * 17 / 16).div_ceil(BLOCK - 12) + 1;
    1 + leaves + leaves / 500
}

fn content_blocks(item: &Item<'_>) -> u64 {
    match item.node {
        Node::File { size } => size.div_ceil(BLOCK) + extent_blocks(size),
        Node::Symlink(target) => u64::from(target.len() > 59),
        _ => 0,
    }
}

/// Blocks of the tree that a file's extents need when there are more than four. An
/// extent is at most 128 MiB and may be cut by a group's own blocks.
pub(super) fn extent_blocks(size: u64) -> u64 {
    match size {
        0..=0x0400_0000 => 0,
        _ => 1 + size.div_ceil(16 << 30) + u64::from(size > 16 << 30),
    }
}

fn has_attribute_block(item: &Item<'_>) -> bool {
    let bytes: usize = item
        .entry
        .xattrs
        .iter()
        .map(|(name, value)| 16 + name.len().next_multiple_of(4) + value.len().next_multiple_of(4))
        .sum();
    bytes > ATTRIBUTE_ROOM
}

/// The numbers of a file system of a given size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Blocks of the file system, which may be fewer than asked for: a last group too
    /// short for its own metadata is left off, as mke2fs does.
    pub(super) blocks: u64,
    /// Inodes to ask for.
    pub(super) inodes: u64,
    /// Blocks of the journal.
    pub(super) journal: u64,
    /// Blocks that files can use.
    pub(super) available: u64,
}

impl Geometry {
    /// The geometry of `len` bytes, or nothing when that is too small for any.
    pub(super) fn new(len: u64, options: &Ext4Options) -> Option<Self> {
        let mut blocks = len / BLOCK;
        while blocks >= MIN_BLOCKS {
            let groups = blocks.div_ceil(GROUP);
            let inodes = blocks * BLOCK / u64::from(options.inode_ratio.max(1024));
            let per_group =
                inodes.div_ceil(groups).next_multiple_of(INODES_IN_BLOCK).clamp(16, GROUP);
            let journal = journal(blocks, options);
            let table = per_group / INODES_IN_BLOCK;
            let last = blocks - (groups - 1) * GROUP;
            if last >= least_group(groups, table)
                && let Some(metadata) = metadata(blocks, groups, table)
            {
                let available = blocks.checked_sub(metadata + journal)?;
                return Some(Self { blocks, inodes: per_group * groups, journal, available });
            }
            blocks = (groups - 1) * GROUP;
        }
        None
    }

    /// Inodes that the tables hold.
    pub(super) fn holds(&self, usage: &Ext4Usage) -> bool {
        self.available >= usage.blocks && self.inodes >= usage.inodes
    }
}

/// Blocks of the journal: at most a quarter of the file system.
fn journal(blocks: u64, options: &Ext4Options) -> u64 {
    let wanted = match options.journal_mib {
        Some(mib) => u64::from(mib) * (1 << 20) / BLOCK,
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
    wanted.clamp(MIN_JOURNAL, (blocks / 4).max(MIN_JOURNAL))
}

/// Blocks of a superblock and the descriptors behind it.
fn head(groups: u64) -> u64 {
    1 + (groups * 32).div_ceil(BLOCK)
}

/// The fewest blocks of a last group that is worth having, by mke2fs' rule.
fn least_group(groups: u64, table: u64) -> u64 {
    let head = if has_superblock(groups - 1) { head(groups) } else { 0 };
    head + 2 + table + 50
}

/// Blocks of superblocks, descriptors, bitmaps and inode tables, and those that are
/// skipped to keep a table in one piece; nothing when they have no place.
fn metadata(blocks: u64, groups: u64, table: u64) -> Option<u64> {
    let head = head(groups);
    let backups: Vec<u64> = (0..groups).filter(|&g| has_superblock(g)).map(|g| g * GROUP).collect();
    let mut total = 0;
    let mut leader = 0;
    while leader < groups {
        let members = FLEX.min(groups - leader);
        let start = leader * GROUP;
        let mut at = start;
        for wanted in (0..2 * members).map(|_| 1).chain((0..members).map(|_| table)) {
            let first = take(&mut at, wanted, &backups, head);
            // A table that met a superblock is given up for a second one behind it.
            if first > 1 && take(&mut at, wanted, &backups, head) > 1 {
                return None;
            }
        }
        if at > blocks {
            return None;
        }
        let end = (leader + members) * GROUP;
        let behind = backups.iter().filter(|b| (at..end).contains(b)).count();
        total += at - start + offset_of(behind) * head;
        leader += FLEX;
    }
    Some(total)
}

/// Moves `at` behind the next `wanted` blocks that are free; the number of pieces they are in.
fn take(at: &mut u64, wanted: u64, backups: &[u64], head: u64) -> u64 {
    let mut left = wanted;
    let mut pieces = 0;
    while left > 0 {
        if let Some(b) = backups.iter().find(|&&b| b <= *at && *at < b + head) {
            *at = b + head;
        }
        let room = backups.iter().find(|&&b| b > *at).map_or(left, |b| b - *at);
        let piece = left.min(room);
        *at += piece;
        left -= piece;
        pieces += 1;
    }
    pieces
}

/// Groups that begin with a superblock.
fn has_superblock(group: u64) -> bool {
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
pub(super) fn minimal_len(usage: &Ext4Usage, options: &Ext4Options) -> u64 {
    const STEP: u64 = 1 << 20;
    let holds = |steps: u64| Geometry::new(steps * STEP, options).is_some_and(|g| g.holds(usage));
    let mut high = (usage.blocks * BLOCK).div_ceil(STEP).max(16);
    while !holds(high) {
        high += (high / 8).max(1);
        if high > 1 << 24 {
            return u64::MAX;
        }
    }
    // Just below a boundary between groups less may fit than slightly above, so walk.
    while high > 16 && holds(high - 1) {
        high -= 1;
    }
    high * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIB: Ext4Options =
        Ext4Options { inode_ratio: 4096, journal_mib: Some(64), reserved_percent: 5 };

    #[test]
    fn the_journal_is_at_most_a_quarter() {
        let journal = |mib: u64| Geometry::new(mib << 20, &DIB).map(|g| g.journal);
        assert_eq!(journal(15), None);
        assert_eq!(journal(16), Some(1024));
        assert_eq!(journal(100), Some(6400));
        assert_eq!(journal(256), Some(16_384));
        assert_eq!(journal(4096), Some(16_384));
    }

    #[test]
    fn a_last_group_too_short_for_its_tables_is_left_off() {
        let full = Geometry::new(2 << 30, &DIB).unwrap();
        assert_eq!(full.blocks, 16 * GROUP);
        assert_eq!(Geometry::new((2 << 30) + (4 << 20), &DIB).unwrap().blocks, 16 * GROUP);
        assert!(Geometry::new((2 << 30) + (16 << 20), &DIB).unwrap().blocks > 16 * GROUP);
    }

    #[test]
    fn the_least_length_holds_and_a_mib_less_does_not() {
        for blocks in [10, 30_000, 400_000, 3_000_000] {
            let usage = Ext4Usage { blocks, inodes: blocks / 20 + 11 };
            let len = minimal_len(&usage, &DIB);
            assert!(Geometry::new(len, &DIB).unwrap().holds(&usage));
            let less = Geometry::new(len - (1 << 20), &DIB);
            assert!(less.is_none_or(|g| !g.holds(&usage)));
        }
    }
}
