//! Headers and trees of allocation groups.

use super::super::alloc::Allocator;
use super::super::layout::XfsFeature;
use super::super::sink::{len_of, offset_of};
use super::fields::{Fields, sealed};
use super::geometry::{
    BLOCK, CHUNK, CHUNK_BLOCKS, CHUNKS_IN_LEAF, Geometry, LEAVES_IN_NODE, parts,
};

/// No block, no inode.
const NULL: u64 = 0xffff_ffff;
/// Bytes in front of a tree block's records.
const TREE_HEADER: u64 = 56;

/// What is used of a file system.
pub(super) struct Groups<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) allocator: &'a Allocator,
    /// Inodes in use.
    pub(super) inodes: u64,
    pub(super) uuid: uuid::Uuid,
}

/// One group.
pub(super) struct Group {
    /// The headers behind the superblock, and the roots of trees.
    pub(super) head: Vec<u8>,
    /// The blocks below the root of the list of chunks.
    pub(super) leaves: Vec<(u64, Vec<u8>)>,
    /// Free blocks, the spare ones included.
    pub(super) free: u64,
}

impl Groups<'_> {
    /// The `number`th group.
    pub(super) fn group(&self, number: u64) -> Group {
        let g = self.geometry;
        let (start, end) = (g.start(number), g.end(number));
        let free: Vec<(u64, u64)> = self
            .allocator
            .free(&(start..end))
            .into_iter()
            .map(|range| (range.start - start, range.end - range.start))
            .collect();
        let mut by_size = free.clone();
        by_size.sort_by_key(|(first, count)| (*count, *first));
        let total: u64 = free.iter().map(|(_, count)| count).sum();
        let chunks = g.chunks.get(len_of(number)).copied().unwrap_or(0);
        let before: u64 = g.chunks.iter().take(len_of(number)).sum();
        let records = self.chunks(before, chunks);
        let open: Vec<_> = records.iter().copied().filter(|(_, free, _)| *free > 0).collect();
        let unused: u64 = open.iter().map(|(_, free, _)| free).sum();
        let (root, leaves) = self.chunk_tree(number, &records);

        let roots = g.roots();
        let mut head = Vec::new();
        let longest = by_size.last().map_or(0, |(_, count)| *count);
        head.extend(self.free_header(number, (total, longest)));
        head.extend(self.inode_header(number, &records, unused, offset_of(leaves.len())));
        head.extend(self.spare_list(number));
        head.resize(len_of(roots * BLOCK - g.sector), 0);
        let pairs = |list: &[(u64, u64)]| -> Vec<[u64; 2]> {
            list.iter().map(|(first, count)| [*first, *count]).collect()
        };
        for (block, magic, list) in [(roots, b"AB3B", &free), (roots + 1, b"AB3C", &by_size)] {
            let tree = self.tree(number, block, magic, 0, (NULL, NULL), offset_of(list.len()));
            head.extend(filled(tree, &pairs(list)));
        }
        head.extend(root);
        let tree = self.tree(number, roots + 3, b"FIB3", 0, (NULL, NULL), offset_of(open.len()));
        head.extend(self.chunk_records(tree, &open));
        if g.features.has(XfsFeature::Reflink) {
            let tree = self.tree(number, roots + 4, b"R3FC", 0, (NULL, NULL), 0);
            head.extend(sealed(tree, 52));
        }
        Group { head, leaves, free: total + offset_of(g.spare().count()) }
    }

    /// The header that says where free space is listed: its blocks, and those of the longest run.
    fn free_header(&self, number: u64, (total, longest): (u64, u64)) -> Vec<u8> {
        let (roots, spare) = (self.geometry.roots(), self.geometry.spare());
        let mut agf = self.header(b"XAGF", number);
        for (at, value) in [
            (16, roots),     // root by place
            (20, roots + 1), // root by size
            (28, 1),         // their levels
            (32, 1),
            (40, 1), // the spare blocks: from, to, count
            (44, spare.end - spare.start),
            (48, spare.end - spare.start),
            (52, total),
            (56, longest),
        ] {
            agf.u32(at, value);
        }
        agf.bytes(64, self.uuid.as_bytes());
        if self.geometry.features.has(XfsFeature::Reflink) {
            // The list of shared blocks, which is empty: its blocks, root, levels.
            for (at, value) in [(84, 1), (88, roots + 4), (92, 1)] {
                agf.u32(at, value);
            }
        }
        sealed(agf, 216)
    }

    /// The header that says where inodes are listed: their chunks, those of their inodes that are
    /// `unused`, and blocks of the list below its root.
    fn inode_header(
        &self,
        number: u64,
        records: &[(u64, u64, u64)],
        unused: u64,
        leaves: u64,
    ) -> Vec<u8> {
        let roots = self.geometry.roots();
        let mut agi = self.header(b"XAGI", number);
        for (at, value) in [
            (16, offset_of(records.len()) * CHUNK),
            (20, roots + 2), // root of the list of chunks
            (24, if leaves == 0 { 1 } else { 2 }),
            (28, unused),
            (32, records.last().map_or(NULL, |(first, ..)| *first)), // made last
            (36, NULL),
            (328, roots + 3), // root of the list of those with unused inodes
            (332, 1),
        ] {
            agi.u32(at, value);
        }
        agi.bytes(40, &[0xff; 256]);
        agi.bytes(296, self.uuid.as_bytes());
        if self.geometry.features.has(XfsFeature::Inobtcount) {
            agi.u32(336, 1 + leaves);
            agi.u32(340, 1);
        }
        sealed(agi, 312)
    }

    /// The sector that lists spare blocks.
    fn spare_list(&self, number: u64) -> Vec<u8> {
        let sector = self.geometry.sector;
        let mut agfl = Fields::new(sector);
        agfl.bytes(0, b"XAFL");
        agfl.u32(4, number);
        agfl.bytes(8, self.uuid.as_bytes());
        agfl.bytes(36, &vec![0xff; len_of(sector) - 36]);
        for (n, block) in self.geometry.spare().enumerate() {
            agfl.u32(36 + 4 * (n + 1), block);
        }
        sealed(agfl, 32)
    }

    /// First inode within the group, free inodes and their bits, of each chunk; `before` are
    /// chunks of other groups.
    fn chunks(&self, before: u64, chunks: u64) -> Vec<(u64, u64, u64)> {
        let one = |chunk: u64| {
            let used = self.inodes.saturating_sub((before + chunk) * CHUNK).min(CHUNK);
            let free = u64::MAX.checked_shl(u32::try_from(used).unwrap_or(64)).unwrap_or(0);
            ((self.geometry.first_chunk() + chunk * CHUNK_BLOCKS) * 8, CHUNK - used, free)
        };
        (0..chunks).map(one).collect()
    }

    /// The root of the list of chunks, and the blocks below it.
    fn chunk_tree(
        &self,
        number: u64,
        records: &[(u64, u64, u64)],
    ) -> (Vec<u8>, Vec<(u64, Vec<u8>)>) {
        let (count, place) = (offset_of(records.len()), self.geometry.roots() + 2);
        if count <= CHUNKS_IN_LEAF {
            let tree = self.tree(number, place, b"IAB3", 0, (NULL, NULL), count);
            return (self.chunk_records(tree, records), Vec::new());
        }
        let first = self.geometry.first_chunk() + count * CHUNK_BLOCKS;
        let last = first + Geometry::chunk_leaves(count) - 1;
        let mut leaves = Vec::new();
        let mut root = self.tree(number, place, b"IAB3", 1, (NULL, NULL), last - first + 1);
        for (block, part) in (first..).zip(parts(records, CHUNKS_IN_LEAF)) {
            let before = if block == first { NULL } else { block - 1 };
            let behind = if block == last { NULL } else { block + 1 };
            let many = offset_of(part.len());
            let tree = self.tree(number, block, b"IAB3", 0, (before, behind), many);
            let at = len_of(TREE_HEADER) + 4 * leaves.len();
            root.u32(at, part.first().map_or(0, |(first, ..)| *first));
            root.u32(at + 4 * len_of(LEAVES_IN_NODE), block);
            leaves.push((self.geometry.start(number) + block, self.chunk_records(tree, part)));
        }
        (sealed(root, 52), leaves)
    }

    /// A header of a group, without what is its own.
    fn header(&self, magic: &[u8], number: u64) -> Fields {
        let mut header = Fields::new(self.geometry.sector);
        header.bytes(0, magic);
        header.u32(4, 1); // version
        header.u32(8, number);
        header.u32(12, self.geometry.end(number) - self.geometry.start(number));
        header
    }

    /// A block of a tree without its records.
    fn tree(
        &self,
        number: u64,
        block: u64,
        magic: &[u8],
        level: u64,
        siblings: (u64, u64),
        records: u64,
    ) -> Fields {
        let mut tree = Fields::new(BLOCK);
        tree.bytes(0, magic);
        tree.u16(4, level);
        tree.u16(6, records);
        tree.u32(8, siblings.0);
        tree.u32(12, siblings.1);
        tree.u64(16, (self.geometry.start(number) + block) * 8);
        tree.bytes(32, self.uuid.as_bytes());
        tree.u32(48, number);
        tree
    }

    fn chunk_records(&self, mut tree: Fields, records: &[(u64, u64, u64)]) -> Vec<u8> {
        let sparse = self.geometry.features.has(XfsFeature::Sparse);
        for (n, (first, free, bits)) in records.iter().enumerate() {
            let at = len_of(TREE_HEADER) + 16 * n;
            tree.u32(at, *first);
            if sparse {
                // No part of it is missing.
                tree.u8(at + 6, CHUNK);
                tree.u8(at + 7, *free);
            } else {
                tree.u32(at + 4, *free);
            }
            tree.u64(at + 8, *bits);
        }
        sealed(tree, 52)
    }
}

fn filled(mut tree: Fields, records: &[[u64; 2]]) -> Vec<u8> {
    for (n, [a, b]) in records.iter().enumerate() {
        let at = len_of(TREE_HEADER) + 8 * n;
        tree.u32(at, *a);
        tree.u32(at + 4, *b);
    }
    sealed(tree, 52)
}
