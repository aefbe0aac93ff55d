//! Where the blocks of an inode lie: a tree of extents whose root is in the inode.

use super::super::alloc::{Allocator, Extent};
use super::Ext4Error;
use super::Fields;
use super::block_map::BlockMap;
use super::checksum::Sealer;

const MAGIC: u64 = 0xf30a;
const HEADER: u64 = 12;
const ENTRY: u64 = 12;
/// Entries in the inode.
const ROOT: usize = 4;
/// The most blocks of one extent.
pub(super) const LONGEST: u64 = 32_768;

/// Entries of a node of its own.
fn per_node(block: u64) -> u64 {
    (block - HEADER) / ENTRY
}

/// The most nodes of a tree of `extents` extents.
pub(super) fn nodes(extents: u64, block: u64) -> u64 {
    let (mut level, mut all) = (extents, 0);
    while level > 4 {
        level = level.div_ceil(per_node(block));
        all += level;
    }
    all
}

/// Makes the tree of inode `ino`; its nodes get blocks of `allocator`.
pub(super) fn build(
    extents: &[Extent],
    ino: u64,
    block: u64,
    sealer: Sealer,
    allocator: &mut Allocator,
) -> Result<BlockMap, Ext4Error> {
    let mut level: Vec<(u64, [u8; 12])> = extents.iter().map(leaf).collect();
    let (mut depth, mut nodes) = (0, Vec::new());
    let most = per_node(block);
    while level.len() > ROOT {
        let mut above = Vec::new();
        for entries in level.chunks(super::super::sink::len_of(most)) {
            let place = allocator.one()?;
            let mut node = Fields::new(block);
            fill(&mut node, entries, most, depth);
            if sealer.is_on() {
                let tail = super::super::sink::len_of(HEADER + most * ENTRY);
                let covered = node.get().get(..tail).unwrap_or_default();
                let checksum = sealer.of_inode(ino, &[covered]);
                node.u32(tail, checksum);
            }
            let first = entries.first().map_or(0, |(logical, _)| *logical);
            above.push((first, index(first, place)));
            nodes.push((place, node.done()));
        }
        level = above;
        depth += 1;
    }
    let mut root = Fields::new(60);
    fill(&mut root, &level, 4, depth);
    let mut bytes = [0; 60];
    bytes.copy_from_slice(root.get());
    Ok(BlockMap { root: bytes, nodes })
}

fn fill(node: &mut Fields, entries: &[(u64, [u8; 12])], most: u64, depth: u64) {
    node.u16(0, MAGIC);
    node.u16(2, super::super::sink::offset_of(entries.len()));
    node.u16(4, most);
    node.u16(6, depth);
    for (at, (_, entry)) in entries.iter().enumerate() {
        node.bytes(12 * (at + 1), entry);
    }
}

fn leaf(extent: &Extent) -> (u64, [u8; 12]) {
    let mut entry = Fields::new(ENTRY);
    entry.u32(0, extent.logical);
    entry.u16(4, extent.count);
    entry.u16(6, extent.start >> 32);
    entry.u32(8, extent.start);
    (extent.logical, array(&entry))
}

fn index(logical: u64, node: u64) -> [u8; 12] {
    let mut entry = Fields::new(ENTRY);
    entry.u32(0, logical);
    entry.u32(4, node);
    entry.u16(8, node >> 32);
    array(&entry)
}

fn array(entry: &Fields) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes.copy_from_slice(entry.get());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_counted_by_levels() {
        for (extents, expected) in [(0, 0), (4, 0), (5, 1), (340, 1), (341, 2), (1361, 6)] {
            assert_eq!(nodes(extents, 4096), expected, "{extents}");
        }
    }
}
