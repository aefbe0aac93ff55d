//! Parts of a cluster that become blocks: neighbours are joined while that makes them shorter.

use super::cost::bits;
use super::symbols::{DIST, LITLEN};
use super::text::LONGEST;

/// A segment ends with the match that reaches the next multiple of this: where files begin.
pub(super) const SEGMENT: usize = 4096;
/// Segments there can be.
pub(super) const SEGMENTS: usize = LONGEST / SEGMENT;
/// What a block costs whatever is in it, and for each symbol that it uses. Measured: from a root
/// file system's clusters, these give the smallest result.
const BLOCK_BITS: u32 = 160;
const SYMBOL_BITS: u32 = 4;

/// A part of a cluster, and how often each symbol occurs in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) litlen: [u32; LITLEN],
    pub(super) dist: [u32; DIST],
    pub(super) bytes: usize,
    pub(super) sequences: usize,
}

impl Segment {
    pub(super) const EMPTY: Self =
        Self { litlen: [0; LITLEN], dist: [0; DIST], bytes: 0, sequences: 0 };

    fn join(&mut self, next: &Self) {
        for (count, more) in self.litlen.iter_mut().zip(&next.litlen) {
            *count += more;
        }
        for (count, more) in self.dist.iter_mut().zip(&next.dist) {
            *count += more;
        }
        self.bytes += next.bytes;
        self.sequences += next.sequences;
    }

    /// About how many bits it takes as a block, without those that follow symbols.
    fn cost(&self) -> i64 {
        let used = self.litlen.iter().chain(&self.dist).map(|&n| u32::from(n > 0)).sum::<u32>();
        let symbols = bits(&self.litlen) + bits(&self.dist);
        i64::from(symbols) + i64::from(BLOCK_BITS + used * SYMBOL_BITS)
    }

    fn cost_with(&self, next: &Self) -> i64 {
        let mut joined = *self;
        joined.join(next);
        joined.cost()
    }
}

/// The segments of a cluster.
#[derive(Debug)]
pub(super) struct Segments {
    list: [Segment; SEGMENTS],
    used: usize,
}

impl Segments {
    pub(super) const EMPTY: Self = Self { list: [Segment::EMPTY; SEGMENTS], used: 0 };

    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    pub(super) fn push(&mut self, segment: &Segment) {
        self.list[self.used] = *segment;
        self.used += 1;
    }

    pub(super) fn all(&self) -> &[Segment] {
        &self.list[..self.used]
    }

    /// Joins the two neighbours that gain most by it, again and again, while any gain.
    pub(super) fn unite(&mut self) {
        let mut list = &mut self.list[..self.used];
        let mut alone = [0_i64; SEGMENTS];
        let mut joined = [0_i64; SEGMENTS];
        for (cost, segment) in alone.iter_mut().zip(list.iter()) {
            *cost = segment.cost();
        }
        for (cost, pair) in joined.iter_mut().zip(list.windows(2)) {
            *cost = pair[0].cost_with(&pair[1]);
        }
        loop {
            let len = list.len();
            let best = (1..len).map(|i| (joined[i - 1] - alone[i - 1] - alone[i], i)).min();
            let Some((..=0, next)) = best else { break };
            let one = next - 1;
            let other = list[next];
            list[one].join(&other);
            alone[one] = joined[one];
            list.copy_within(next + 1.., next);
            alone.copy_within(next + 1.., next);
            joined.copy_within(next.., one);
            list = &mut list[..len - 1];
            if one > 0 {
                joined[one - 1] = list[one - 1].cost_with(&list[one]);
            }
            if next < list.len() {
                joined[one] = list[one].cost_with(&list[next]);
            }
        }
        self.used = list.len();
    }
}
