//! Deflate (RFC 1951) for one cluster at a time, with a window of 4 KiB.
//!
//! Readers of qcow2 inflate with a window of 4 KiB, and no library makes the most of one: they
//! keep tables for 32 KiB, slide their input, and trade size for speed where both can be had.
//! A cluster lies in memory as a whole and its positions fit into 16 bits, so that
//! all tables stay in the nearest cache and nothing slides; what its blocks are
//! is decided when all of it is known; and the length of the result is known before a bit is
//! written. docs/qcow2.md has the numbers.
//!
//! ```text
//! text -> matches -> parse -> tokens      literals, lengths and distances, counted in segments
//!      -> segments                        neighbours that are joined become a block
//!      -> blocks -> huffman, header       each stored, fixed or dynamic, whichever is shortest
//!      -> bits
//! ```
//!
//! All of it is integer arithmetic on the cluster alone: the same bytes on every machine.

mod bits;
mod blocks;
mod cost;
mod header;
mod huffman;
mod matches;
mod parse;
mod segments;
mod symbols;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

use bits::BitWriter;
use blocks::Blocks;
use matches::Finder;
use parse::Effort;
use tokens::Tokens;

/// A compressor; what it needs is allocated once.
pub(in super::super) struct Deflate {
    effort: Effort,
    finder: Box<Finder>,
    tokens: Box<Tokens>,
    blocks: Box<Blocks>,
    out: Box<BitWriter>,
}

impl Deflate {
    /// A compressor of level 1 (fast) to 9 (small); others are the nearest of these.
    pub(super) fn new(level: u32) -> Self {
        Self {
            effort: Effort::of(level),
            finder: Finder::new(),
            tokens: Tokens::new(),
            blocks: Blocks::new(),
            out: BitWriter::new(),
        }
    }

    /// The deflated cluster, unless it has more than `most` bytes or the cluster more than 64 KiB.
    pub(super) fn pack(&mut self, cluster: &[u8], most: usize) -> Option<Vec<u8>> {
        if cluster.len() > text::LONGEST {
            return None;
        }
        self.finder.fill(cluster);
        parse::parse(&mut self.finder, &mut self.tokens, self.effort);
        self.tokens.segments.unite();
        let len = self.blocks.plan(self.tokens.segments.all());
        if len > most.min(bits::ROOM) {
            return None;
        }
        Some(self.blocks.write(&self.finder.text, self.tokens.sequences(), &mut self.out))
    }
}
