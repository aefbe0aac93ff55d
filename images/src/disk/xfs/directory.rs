//! Directories: within the inode, in one block, or in data blocks with an index of hashes.

use super::super::sink::{len_of, offset_of};
use super::fields::{Fields, sealed};
use super::geometry::BLOCK;
use super::hash::hash;

/// Bytes in front of a data block's entries.
const DATA_HEADER: u64 = 64;
/// Bytes in front of an index's entries.
const INDEX_HEADER: u64 = 64;
/// Hashes in a leaf, children in an inner block.
const IN_INDEX: usize = 504;
/// Lengths of free space in a block that lists them.
const IN_FREE: usize = 2016;
/// Where a directory's index begins, in its blocks.
const INDEX: u64 = 1 << 35 >> 12;
/// Where the lists of free space begin.
const FREE: u64 = 1 << 36 >> 12;

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child<'a> {
    /// Not empty, at most 255 bytes.
    pub(super) name: &'a [u8],
    /// Its inode.
    pub(super) ino: u64,
    /// The type as directories count it.
    pub(super) kind: u8,
}

/// A directory that is to be written.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    pub(super) ino: u64,
    pub(super) parent: u64,
    /// Its names, without `.` and `..`.
    pub(super) children: Vec<Child<'a>>,
}

/// A block of a directory: its logical number, and what makes its bytes of its place.
pub(super) struct Block {
    pub(super) logical: u64,
    fields: Fields,
    /// Where the block's own place is said, and where the checksum is.
    place: usize,
    checksum: usize,
}

impl Block {
    /// The bytes, for the block of the disk that it gets.
    pub(super) fn bytes(mut self, place: u64) -> Vec<u8> {
        self.fields.u64(self.place, place * 8);
        sealed(self.fields, self.checksum)
    }
}

/// An entry that has its place.
struct Placed<'a> {
    child: Child<'a>,
    /// Data block, and offset in it.
    block: u64,
    at: u64,
}

/// Bytes of an entry in a data block.
fn entry(name: usize) -> u64 {
    (8 + 1 + offset_of(name) + 1 + 2).next_multiple_of(8)
}

impl Directory<'_> {
    /// What the inode itself holds, if its `room` bytes suffice.
    pub(super) fn short(&self, room: u64) -> Option<Vec<u8>> {
        let wide = |ino: u64| u64::from(ino > u64::from(u32::MAX));
        let wides: u64 = self.children.iter().map(|child| wide(child.ino)).sum();
        let wides = wides + wide(self.parent);
        let number = if wides > 0 { 8 } else { 4 };
        let names: u64 =
            self.children.iter().map(|child| 3 + offset_of(child.name.len()) + 1 + number).sum();
        let bytes = 2 + number + names;
        if bytes > room || self.children.len() > 255 {
            return None;
        }
        let mut fields = Fields::new(bytes);
        let mut put = |at: usize, ino: u64| match number {
            8 => fields.u64(at, ino),
            _ => fields.u32(at, ino),
        };
        put(2, self.parent);
        let mut at = 2 + len_of(number);
        let mut starts = Vec::new();
        for child in &self.children {
            starts.push(at);
            at += 3 + child.name.len() + 1;
            put(at, child.ino);
            at += len_of(number);
        }
        fields.u8(0, offset_of(self.children.len()));
        fields.u8(1, wides);
        // Where the entry would be in a block.
        let mut offset = DATA_HEADER + entry(1) + entry(2);
        for (child, at) in self.children.iter().zip(starts) {
            fields.u8(at, offset_of(child.name.len()));
            fields.u16(at + 1, offset);
            fields.bytes(at + 3, child.name);
            fields.u8(at + 3 + child.name.len(), u64::from(child.kind));
            offset += entry(child.name.len());
        }
        Some(fields.done())
    }

    /// Blocks for one that is too large for its inode, ascending; the length of its data.
    pub(super) fn blocks(&self, uuid: uuid::Uuid) -> (Vec<Block>, u64) {
        let own = [
            Child { name: b".", ino: self.ino, kind: 2 },
            Child { name: b"..", ino: self.parent, kind: 2 },
        ];
        let all: Vec<Child<'_>> = own.into_iter().chain(self.children.iter().copied()).collect();
        let bytes: u64 = all.iter().map(|child| entry(child.name.len())).sum();
        let tail = 8 * offset_of(all.len()) + 8;
        if DATA_HEADER + bytes + tail <= BLOCK {
            let (placed, _) = place(&all, BLOCK - tail);
            let mut block = self.data(b"XDB3", uuid, 0, &placed, BLOCK - tail);
            let mut at = len_of(BLOCK - tail);
            for (hash, address) in hashes(&placed) {
                block.fields.u32(at, hash);
                block.fields.u32(at + 4, address);
                at += 8;
            }
            block.fields.u32(at, offset_of(all.len()));
            return (vec![block], BLOCK);
        }
        let (placed, count) = place(&all, BLOCK);
        let mut blocks = Vec::new();
        let mut free = Vec::new();
        for n in 0..count {
            let from = placed.partition_point(|entry| entry.block < n);
            let to = placed.partition_point(|entry| entry.block <= n);
            let here = placed.get(from..to).unwrap_or_default();
            free.push(BLOCK - here.last().map_or(DATA_HEADER, end));
            blocks.push(self.data(b"XDD3", uuid, n, here, BLOCK));
        }
        let hashes = hashes(&placed);
        let needed = INDEX_HEADER + 8 * offset_of(hashes.len()) + 2 * count + 4;
        if needed <= BLOCK {
            let mut leaf = self.index(uuid, INDEX, 0x3df1, (0, 0));
            list(&mut leaf.fields, &hashes);
            let tail = len_of(BLOCK) - 4;
            leaf.fields.u32(tail, count);
            for (n, length) in free.iter().enumerate() {
                leaf.fields.u16(tail - 2 * free.len() + 2 * n, *length);
            }
            blocks.push(leaf);
        } else {
            blocks.extend(self.tree(uuid, &hashes));
            blocks.extend(self.free(uuid, &free));
        }
        (blocks, count * BLOCK)
    }

    /// A data block with free space up to `end`.
    fn data(
        &self,
        magic: &[u8],
        uuid: uuid::Uuid,
        logical: u64,
        placed: &[Placed<'_>],
        limit: u64,
    ) -> Block {
        let mut fields = Fields::new(BLOCK);
        fields.bytes(0, magic);
        fields.bytes(24, uuid.as_bytes());
        fields.u64(40, self.ino);
        for Placed { child, at, .. } in placed {
            let start = len_of(*at);
            let length = len_of(entry(child.name.len()));
            fields.u64(start, child.ino);
            fields.u8(start + 8, offset_of(child.name.len()));
            fields.bytes(start + 9, child.name);
            fields.u8(start + 9 + child.name.len(), u64::from(child.kind));
            fields.u16(start + length - 2, *at);
        }
        let used = placed.last().map_or(DATA_HEADER, end);
        if used < limit {
            fields.u16(48, used);
            fields.u16(50, limit - used);
            fields.u16(len_of(used), 0xffff);
            fields.u16(len_of(used) + 2, limit - used);
            fields.u16(len_of(limit) - 2, used);
        }
        Block { logical, fields, place: 8, checksum: 4 }
    }

    /// A block of the index without its entries; siblings are 0 where there are none.
    fn index(&self, uuid: uuid::Uuid, logical: u64, magic: u64, siblings: (u64, u64)) -> Block {
        let mut fields = Fields::new(BLOCK);
        fields.u32(0, siblings.1);
        fields.u32(4, siblings.0);
        fields.u16(8, magic);
        fields.bytes(32, uuid.as_bytes());
        fields.u64(48, self.ino);
        Block { logical, fields, place: 16, checksum: 12 }
    }

    /// Leaves of hashes, and inner blocks above them, of which the root comes first.
    fn tree(&self, uuid: uuid::Uuid, hashes: &[(u64, u64)]) -> Vec<Block> {
        let mut level: Vec<Vec<(u64, u64)>> = hashes.chunks(IN_INDEX).map(<[_]>::to_vec).collect();
        // The root's number is the first; those of leaves and inner blocks follow by levels.
        let (mut blocks, mut next, mut height) = (Vec::new(), INDEX + 1, 0);
        loop {
            let root = level.len() == 1;
            let first = if root { INDEX } else { next };
            let (mut above, last) = (Vec::new(), first + offset_of(level.len()) - 1);
            for (logical, entries) in (first..).zip(&level) {
                let before = if logical == first { 0 } else { logical - 1 };
                let behind = if logical == last { 0 } else { logical + 1 };
                let magic = if height == 0 { 0x3dff } else { 0x3ebe };
                let mut block = self.index(uuid, logical, magic, (before, behind));
                list(&mut block.fields, entries);
                if height > 0 {
                    block.fields.u16(58, height);
                }
                above.push((entries.last().map_or(0, |(hash, _)| *hash), logical));
                blocks.push(block);
            }
            if root {
                blocks.sort_by_key(|block| block.logical);
                return blocks;
            }
            next = last + 1;
            height += 1;
            level = above.chunks(IN_INDEX).map(<[_]>::to_vec).collect();
        }
    }

    /// Lists of the free space of data blocks.
    fn free(&self, uuid: uuid::Uuid, lengths: &[u64]) -> Vec<Block> {
        let lists = (FREE..).zip(lengths.chunks(IN_FREE).enumerate());
        let block = |(logical, (n, lengths)): (u64, (usize, &[u64]))| {
            let mut fields = Fields::new(BLOCK);
            fields.bytes(0, b"XDF3");
            fields.bytes(24, uuid.as_bytes());
            fields.u64(40, self.ino);
            fields.u32(48, offset_of(n * IN_FREE));
            fields.u32(52, offset_of(lengths.len()));
            fields.u32(56, offset_of(lengths.len()));
            for (n, length) in lengths.iter().enumerate() {
                fields.u16(64 + 2 * n, *length);
            }
            Block { logical, fields, place: 8, checksum: 4 }
        };
        lists.map(block).collect()
    }
}

/// Gives entries their places in data blocks that end at `limit`; returns how many blocks.
fn place<'a>(children: &[Child<'a>], limit: u64) -> (Vec<Placed<'a>>, u64) {
    let (mut block, mut at) = (0, DATA_HEADER);
    let mut placed = Vec::with_capacity(children.len());
    for child in children {
        let length = entry(child.name.len());
        if at + length > limit {
            block += 1;
            at = DATA_HEADER;
        }
        placed.push(Placed { child: *child, block, at });
        at += length;
    }
    (placed, block + 1)
}

fn end(placed: &Placed<'_>) -> u64 {
    placed.at + entry(placed.child.name.len())
}

/// Hashes with addresses, in order.
fn hashes(placed: &[Placed<'_>]) -> Vec<(u64, u64)> {
    let one = |entry: &Placed<'_>| {
        (u64::from(hash(entry.child.name)), (entry.block * BLOCK + entry.at) >> 3)
    };
    let mut list: Vec<(u64, u64)> = placed.iter().map(one).collect();
    list.sort_unstable();
    list
}

/// Entries of an index block, and their number.
fn list(fields: &mut Fields, entries: &[(u64, u64)]) {
    fields.u16(56, offset_of(entries.len()));
    for (n, (hash, to)) in entries.iter().enumerate() {
        fields.u32(64 + 8 * n, *hash);
        fields.u32(68 + 8 * n, *to);
    }
}
