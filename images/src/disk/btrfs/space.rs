//! Where data and nodes may lie: chunks, around the copies of the superblock.

use super::{NODE, SECTOR};

/// The superblock and its copies, as far as the disk has room for them.
pub(super) const COPIES: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];
/// What chunks keep free from each copy on.
const KEPT: u64 = 64 << 10;
const MIB: u64 = 1 << 20;

/// What is in a chunk.
pub(super) const DATA: u64 = 1;
pub(super) const SYSTEM: u64 = 2;
pub(super) const METADATA: u64 = 4;

/// A run of the disk for one purpose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) kind: u64,
    pub(super) start: u64,
    pub(super) len: u64,
    /// Bytes in use.
    pub(super) used: u64,
}

/// The chunks in the order of their addresses: for the tree of chunks, for files, for nodes.
#[derive(Debug)]
pub(super) struct Chunks(pub(super) [Chunk; 3]);

/// Where files begin.
pub(super) const FIRST_DATA: u64 = 9 * MIB;

impl Chunks {
    /// For files that end at `data_end`; how many nodes there are is not known yet.
    pub(super) fn new(data_end: u64) -> Self {
        let system = Chunk { kind: SYSTEM, start: MIB, len: 8 * MIB, used: 0 };
        let len = (data_end - FIRST_DATA).next_multiple_of(MIB).max(8 * MIB);
        let data = Chunk { kind: DATA, start: FIRST_DATA, len, used: 0 };
        let start = FIRST_DATA + len;
        Self([system, data, Chunk { kind: METADATA, start, len: 16 * MIB, used: 0 }])
    }

    /// Places for `count` nodes of the tree of chunks, or of others.
    pub(super) fn nodes(&self, kind: u64, count: u64) -> Vec<u64> {
        let mut at = self.of(kind).start;
        let mut places = Vec::new();
        for _ in 0..count {
            at = clear(at, NODE);
            places.push(at);
            at += NODE;
        }
        places
    }

    /// Makes the last chunk as large as nodes that end at `end` need, with room for changes.
    pub(super) fn grow(&mut self, end: u64) {
        let [_, _, last] = &mut self.0;
        let used = end.saturating_sub(last.start);
        last.len = (used + used / 4 + 16 * MIB).next_multiple_of(MIB);
    }

    pub(super) fn of(&self, kind: u64) -> Chunk {
        let [system, data, last] = self.0;
        match kind {
            SYSTEM => system,
            DATA => data,
            _ => last,
        }
    }

    /// How long the disk has to be: the kernel needs a place for another chunk to change anything.
    pub(super) fn needed(&self) -> u64 {
        let last = self.of(METADATA);
        last.start + last.len + 16 * MIB
    }

    pub(super) fn used(&self) -> u64 {
        self.0.iter().map(|chunk| chunk.used).sum()
    }
}

/// The first address from `at` on where `len` bytes keep clear of copies of the superblock.
pub(super) fn clear(at: u64, len: u64) -> u64 {
    let hit = COPIES.iter().find(|copy| at < **copy + KEPT && at + len > **copy);
    hit.map_or(at, |copy| copy + KEPT)
}

/// How many bytes from `at`, which is clear, lie before the next copy.
pub(super) fn room(at: u64) -> u64 {
    let next = COPIES.iter().find(|copy| **copy > at);
    next.map_or(u64::MAX, |copy| copy - at) / SECTOR * SECTOR
}
