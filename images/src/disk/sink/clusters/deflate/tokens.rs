//! What a cluster was cut into.

use super::matches::Match;
use super::segments::{SEGMENT, Segment, Segments};
use super::symbols::{DIST, LENGTH, of_distance, of_length};
use super::text::{LONGEST, position};

/// Literals and the match after them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sequence {
    pub(super) literals: u16,
    pub(super) len: u16,
    pub(super) back: u16,
    /// The distance's symbol.
    pub(super) symbol: u16,
}

/// Literals and matches in their order, and their symbols, counted.
#[derive(Debug)]
pub(super) struct Tokens {
    sequences: [Sequence; LONGEST / 3 + 1],
    /// Sequences there are.
    count: usize,
    /// Where the last match ended.
    end: usize,
    /// The segment that is being filled, and the byte and sequence that it begins with.
    now: Segment,
    begin: (usize, usize),
    pub(super) segments: Segments,
}

impl Tokens {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            sequences: [Sequence { literals: 0, len: 0, back: 0, symbol: 0 }; LONGEST / 3 + 1],
            count: 0,
            end: 0,
            now: Segment::EMPTY,
            begin: (0, 0),
            segments: Segments::EMPTY,
        })
    }

    pub(super) fn clear(&mut self) {
        (self.count, self.end, self.begin) = (0, 0, (0, 0));
        self.now = Segment::EMPTY;
        self.segments.clear();
    }

    pub(super) fn sequences(&self) -> &[Sequence] {
        &self.sequences[..self.count]
    }

    /// Literals since the last match, up to the position `at`.
    pub(super) fn literals(&self, at: usize) -> usize {
        at - self.end
    }

    #[inline(always)]
    pub(super) fn literal(&mut self, byte: u8) {
        self.now.litlen[usize::from(byte)] += 1;
    }

    /// Adds the match at the position `at`; all before it that is no literal yet becomes its run.
    #[inline(always)]
    pub(super) fn found(&mut self, at: usize, found: Match) {
        let symbol = of_distance(found.back) % DIST;
        self.now.litlen[LENGTH + of_length(found.len)] += 1;
        self.now.dist[symbol] += 1;
        self.sequences[self.count] = Sequence {
            literals: position(at - self.end),
            len: position(found.len as usize),
            back: position(found.back as usize),
            symbol: position(symbol),
        };
        self.count += 1;
        self.end = at + found.len as usize;
        if self.end / SEGMENT != self.begin.0 / SEGMENT {
            self.cut(self.end);
        }
    }

    #[inline(never)]
    fn cut(&mut self, end: usize) {
        self.now.bytes = end - self.begin.0;
        self.now.sequences = self.count - self.begin.1;
        self.segments.push(&self.now);
        self.now = Segment::EMPTY;
        self.begin = (end, self.count);
    }

    /// Ends a cluster of `len` bytes.
    pub(super) fn finish(&mut self, len: usize) {
        if self.begin.0 < len || len == 0 {
            self.cut(len);
        }
    }
}
