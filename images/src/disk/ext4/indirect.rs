//! Where the blocks of an inode lie without extents: the numbers of twelve in the inode, and of the
//! others in blocks of numbers, up to three deep.

use std::ops::Range;

use super::super::alloc::{Allocator, Extent};
use super::super::sink::len_of;
use super::Ext4Error;
use super::Fields;
use super::block_map::BlockMap;

/// Numbers of blocks in the inode.
const DIRECT: u64 = 12;
/// How deep blocks of numbers go.
const DEPTHS: Range<u32> = 1..4;

/// Numbers in a block.
fn per_block(block: u64) -> u64 {
    block / 4
}

/// The blocks of a file that are found `depth` deep.
fn found_at(depth: u32, block: u64) -> Range<u64> {
    let numbers = per_block(block);
    let start = DIRECT + (1..depth).map(|above| numbers.pow(above)).sum::<u64>();
    start..start + numbers.pow(depth)
}

/// The most blocks of a file, those in holes included.
pub(super) fn most(block: u64) -> u64 {
    found_at(DEPTHS.end - 1, block).end
}

/// How many blocks of numbers a file needs whose blocks these are, ascending.
pub(super) fn nodes(runs: &[Range<u64>], block: u64) -> u64 {
    let numbers = per_block(block);
    let mut all = 0;
    for depth in DEPTHS {
        let found = found_at(depth, block);
        for level in 1..=depth {
            // One stands for so many blocks.
            let each = numbers.pow(level);
            let mut last = None;
            for run in runs.iter().filter_map(|run| within(run, &found)) {
                let (first, end) = (run.start / each, (run.end - 1) / each);
                all += end - first + u64::from(last != Some(first));
                last = Some(end);
            }
        }
    }
    all
}

/// The part of a run that lies in `found`, counted from its start.
fn within(run: &Range<u64>, found: &Range<u64>) -> Option<Range<u64>> {
    let (from, end) = (run.start.max(found.start), run.end.min(found.end));
    (from < end).then(|| from - found.start..end - found.start)
}

/// Lists the blocks of an inode; blocks of numbers are of `allocator`.
pub(super) fn build(
    extents: &[Extent],
    block: u64,
    allocator: &mut Allocator,
) -> Result<BlockMap, Ext4Error> {
    let mut root = Fields::new(60);
    let mut nodes = Vec::new();
    let direct = 0..DIRECT;
    for (at, number) in extents.iter().flat_map(|extent| numbers(extent, &direct)) {
        root.u32(len_of(at * 4), number);
    }
    for depth in DEPTHS {
        let found = found_at(depth, block);
        let numbers = extents.iter().flat_map(|extent| numbers(extent, &found));
        let mut level = gather(numbers, block, &mut nodes, allocator)?;
        for _ in 1..depth {
            level = gather(level.into_iter(), block, &mut nodes, allocator)?;
        }
        if let Some((_, top)) = level.first() {
            root.u32(len_of((DIRECT + u64::from(depth) - 1) * 4), *top);
        }
    }
    let mut bytes = [0; 60];
    bytes.copy_from_slice(root.get());
    Ok(BlockMap { root: bytes, nodes })
}

/// Where the blocks of an extent are listed, counted from the start of `found`, and their numbers.
fn numbers(extent: &Extent, found: &Range<u64>) -> impl Iterator<Item = (u64, u64)> + use<> {
    let run = within(&(extent.logical..extent.logical + extent.count), found).unwrap_or(0..0);
    let first = (extent.start + run.start + found.start).saturating_sub(extent.logical);
    run.zip(first..)
}

/// Puts numbers, ascending by their places, into blocks; returns the places of those among their
/// like, and their numbers.
fn gather(
    numbers: impl Iterator<Item = (u64, u64)>,
    block: u64,
    nodes: &mut Vec<(u64, Vec<u8>)>,
    allocator: &mut Allocator,
) -> Result<Vec<(u64, u64)>, Ext4Error> {
    let each = per_block(block);
    let mut made: Vec<(u64, u64)> = Vec::new();
    let mut open = Fields::new(block);
    for (at, number) in numbers {
        let (place, within) = (at / each, at % each);
        if made.last().is_none_or(|(last, _)| *last != place) {
            if let Some((_, last)) = made.last() {
                nodes.push((*last, std::mem::replace(&mut open, Fields::new(block)).done()));
            }
            made.push((place, allocator.one()?));
        }
        open.u32(len_of(within * 4), number);
    }
    if let Some((_, last)) = made.last() {
        nodes.push((*last, open.done()));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::super::super::sink::offset_of;
    use super::*;

    #[test]
    fn blocks_of_numbers_are_counted_as_they_are_made() {
        let block = 1024;
        let last = most(block);
        for (pairs, expected) in [
            (&[][..], 0),
            (&[(0, 12)], 0),
            (&[(0, 13)], 1),
            (&[(0, 268)], 1),
            (&[(0, 269)], 3),
            (&[(11, 12), (267, 269)], 3),
            (&[(268, 269), (500, 501), (524, 525), (700, 701)], 3),
            (&[(0, 1), (65_804, 65_805)], 3),
            (&[(0, 70_000)], 1 + 257 + 1 + 1 + 17),
            (&[(last - 1, last)], 3),
        ] {
            let runs: Vec<_> = pairs.iter().map(|&(from, end)| from..end).collect();
            assert_eq!(nodes(&runs, block), expected, "{runs:?}");
            let mut allocator = Allocator::new(1..1 << 20, vec![30..40, 1000..1300], 32_768);
            let mut extents = Vec::new();
            for run in &runs {
                allocator.extend(&mut extents, run.start, run.end - run.start).unwrap();
            }
            let made = build(&extents, block, &mut allocator).unwrap();
            assert_eq!(offset_of(made.nodes.len()), expected, "{runs:?}");
        }
    }
}
