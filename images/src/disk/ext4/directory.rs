//! The blocks of a directory: entries one after the other, or, when they need more than one
//! block, leaves below an index by hash.

use super::super::sink::{len_of, offset_of};
use super::Fields;
use super::checksum::Sealer;
use super::hash::hash;

/// Bytes of an entry without its name.
const ENTRY: usize = 8;
/// Bytes of the entry that holds a leaf's checksum.
const TAIL: usize = 12;
/// Bytes in front of the root's index.
const ROOT_HEAD: usize = 32;
/// Bytes that end an index with its checksum.
const INDEX_TAIL: usize = 8;
/// A name's type when it is a directory.
pub(super) const DIRECTORY: u8 = 2;

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child<'a> {
    /// Not empty, at most 255 bytes.
    pub(super) name: &'a [u8],
    /// Its inode.
    pub(super) ino: u64,
    /// The type as directories count them.
    pub(super) kind: u8,
}

/// A directory that is to be written.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    /// Its inode.
    pub(super) ino: u64,
    /// The one above.
    pub(super) parent: u64,
    /// Its names, without `.` and `..`.
    pub(super) children: Vec<Child<'a>>,
    /// Blocks that it has at the least, if it is no index.
    pub(super) least: usize,
}

/// The blocks of a directory.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Whole blocks.
    pub(super) bytes: Vec<u8>,
    /// Whether they are an index.
    pub(super) indexed: bool,
}

/// How a file system keeps its directories.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) block: u64,
    /// Whether large ones have an index.
    pub(super) index: bool,
    pub(super) seed: [u32; 4],
    pub(super) sealer: Sealer,
}

impl Format {
    /// The blocks of a directory, or nothing when an index of two levels is too small for it.
    pub(super) fn build(&self, directory: &Directory<'_>) -> Option<Blocks> {
        let own = [
            Child { name: b".", ino: directory.ino, kind: DIRECTORY },
            Child { name: b"..", ino: directory.parent, kind: DIRECTORY },
        ];
        let all: Vec<Child<'_>> = own.into_iter().chain(directory.children.clone()).collect();
        let mut blocks = pack(&all, self.room());
        if self.index && blocks.len() > directory.least.max(1) {
            return self.indexed(directory);
        }
        blocks.resize(blocks.len().max(directory.least), &[]);
        let leaves = blocks.iter().flat_map(|children| self.leaf(directory.ino, children));
        Some(Blocks { bytes: leaves.collect(), indexed: false })
    }

    /// How many blocks [`build`](Self::build) makes.
    pub(super) fn count(&self, directory: &Directory<'_>) -> Option<u64> {
        let bytes: usize = directory.children.iter().map(record).sum();
        if 24 + bytes <= self.room() {
            return Some(offset_of(directory.least.max(1)));
        }
        self.build(directory).map(|blocks| offset_of(blocks.bytes.len()) / self.block)
    }

    /// Bytes of a leaf that entries can use.
    fn room(&self) -> usize {
        len_of(self.block) - if self.sealer.is_on() { TAIL } else { 0 }
    }

    fn leaf(&self, ino: u64, children: &[Child<'_>]) -> Vec<u8> {
        let mut leaf = Fields::new(self.block);
        let (room, mut at) = (self.room(), 0);
        for (n, child) in children.iter().enumerate() {
            let last = n + 1 == children.len();
            let length = if last { room - at } else { record(child) };
            put(&mut leaf, at, child, length);
            at += length;
        }
        if children.is_empty() {
            leaf.u16(4, offset_of(room));
        }
        if self.sealer.is_on() {
            leaf.u16(room + 4, offset_of(TAIL));
            leaf.u8(room + 7, 0xde);
            let covered = leaf.get().get(..room).unwrap_or_default();
            let checksum = self.sealer.of_inode(ino, &[covered]);
            leaf.u32(room + 8, checksum);
        }
        leaf.done()
    }

    fn indexed(&self, directory: &Directory<'_>) -> Option<Blocks> {
        let mut hashed: Vec<((u32, u32), Child<'_>)> =
            directory.children.iter().map(|child| (hash(child.name, self.seed), *child)).collect();
        hashed.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(y.name)));
        let (hashes, sorted): (Vec<_>, Vec<_>) = hashed.into_iter().unzip();
        let leaves = pack(&sorted, self.room());
        // A leaf that goes on with the hash that the one before ended with says so.
        let (mut starts, mut at) = (Vec::new(), 0_usize);
        for leaf in &leaves {
            let first = hashes.get(at).map_or(0, |(major, _)| *major);
            let before = at.checked_sub(1).and_then(|n| hashes.get(n)).map(|(major, _)| *major);
            starts.push(u64::from(first) | u64::from(before == Some(first)));
            at += leaf.len();
        }
        let limit = |head: usize| {
            let tail = if self.sealer.is_on() { INDEX_TAIL } else { 0 };
            (len_of(self.block) - head - tail) / 8
        };
        let (in_root, in_node) = (limit(ROOT_HEAD), limit(8));
        let nodes = if leaves.len() > in_root { leaves.len().div_ceil(in_node) } else { 0 };
        if nodes > in_root {
            return None;
        }
        let first_leaf = 1 + nodes;
        let entries: Vec<(u64, u64)> =
            starts.into_iter().zip(first_leaf..).map(|(h, n)| (h, offset_of(n))).collect();
        let mut root = self.root(directory, nodes > 0);
        let mut bytes = Vec::new();
        if nodes == 0 {
            self.index(&mut root, directory.ino, ROOT_HEAD, in_root, &entries);
        } else {
            let chunks = || entries.chunks(in_node);
            let firsts = chunks().map(|chunk| chunk.first().map_or(0, |(hash, _)| *hash));
            let above: Vec<(u64, u64)> = firsts.zip(1..).collect();
            self.index(&mut root, directory.ino, ROOT_HEAD, in_root, &above);
            for chunk in chunks() {
                let mut node = Fields::new(self.block);
                node.u16(4, self.block);
                self.index(&mut node, directory.ino, 8, in_node, chunk);
                bytes.extend(node.done());
            }
        }
        let mut all = root.done();
        all.append(&mut bytes);
        for leaf in &leaves {
            all.extend(self.leaf(directory.ino, leaf));
        }
        Some(Blocks { bytes: all, indexed: true })
    }

    /// The first block of an index, without its entries.
    fn root(&self, directory: &Directory<'_>, two_levels: bool) -> Fields {
        let mut root = Fields::new(self.block);
        let child = |name, ino| Child { name, ino, kind: DIRECTORY };
        put(&mut root, 0, &child(b".", directory.ino), 12);
        put(&mut root, 12, &child(b"..", directory.parent), len_of(self.block) - 12);
        root.u8(28, 1); // half of MD4
        root.u8(29, 8); // bytes of this description
        root.u8(30, u64::from(two_levels));
        root
    }

    /// Fills in the entries of an index: hash and block of each; the first hash is left out.
    fn index(&self, to: &mut Fields, ino: u64, head: usize, most: usize, list: &[(u64, u64)]) {
        for (n, (hash, block)) in list.iter().enumerate() {
            to.u32(head + 8 * n, *hash);
            to.u32(head + 8 * n + 4, *block);
        }
        to.u16(head, offset_of(most));
        to.u16(head + 2, offset_of(list.len()));
        if self.sealer.is_on() {
            let covered = to.get().get(..head + 8 * list.len()).unwrap_or_default();
            let checksum = self.sealer.of_inode(ino, &[covered, &[0; INDEX_TAIL]]);
            to.u32(head + 8 * most + 4, checksum);
        }
    }
}

/// Bytes of an entry.
fn record(child: &Child<'_>) -> usize {
    (ENTRY + child.name.len()).next_multiple_of(4)
}

fn put(to: &mut Fields, at: usize, child: &Child<'_>, length: usize) {
    to.u32(at, child.ino);
    to.u16(at + 4, offset_of(length));
    to.u8(at + 6, offset_of(child.name.len()));
    to.u8(at + 7, u64::from(child.kind));
    to.bytes(at + ENTRY, child.name);
}

/// Divides entries among blocks of `room` bytes.
fn pack<'c, 'a>(children: &'c [Child<'a>], room: usize) -> Vec<&'c [Child<'a>]> {
    let (mut blocks, mut start, mut used) = (Vec::new(), 0, 0);
    for (n, child) in children.iter().enumerate() {
        let length = record(child);
        if used + length > room {
            blocks.push(children.get(start..n).unwrap_or_default());
            (start, used) = (n, 0);
        }
        used += length;
    }
    blocks.push(children.get(start..).unwrap_or_default());
    blocks
}
