//! The header of a dynamic block: the lengths of its codewords, in a code of their own
//! (RFC 1951, 3.2.7).

use super::bits::{BitWriter, Tail};
use super::huffman::{codewords, find_lengths};
use super::symbols::{DIST, LENGTH, LITLEN};

/// Symbols of the code for lengths: 0 to 15 are lengths, the others repeat.
const SYMBOLS: usize = 19;
/// Repeats the length before 3 to 6 times.
const REPEAT: u8 = 16;
/// Repeats no length 3 to 10 times.
const FEW: u8 = 17;
/// Repeats no length 11 to 138 times.
const MANY: u8 = 18;
/// The order in which lengths of the code for lengths are written.
const ORDER: [usize; SYMBOLS] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Lengths of codewords, as they are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// Symbols, and what follows them.
    steps: [(u8, u8); LITLEN + DIST],
    used: usize,
    lengths: [u8; SYMBOLS],
    litlen: usize,
    dist: usize,
    /// How many of [`ORDER`] are written.
    ordered: usize,
}

impl Header {
    pub(super) const EMPTY: Self = Self {
        steps: [(0, 0); LITLEN + DIST],
        used: 0,
        lengths: [0; SYMBOLS],
        litlen: 0,
        dist: 0,
        ordered: 0,
    };

    /// Becomes the header of lengths; how many bits it has.
    pub(super) fn take(&mut self, litlen: &[u8; LITLEN], dist: &[u8; DIST]) -> usize {
        self.litlen = used(litlen).max(LENGTH);
        self.dist = used(dist).max(1);
        self.used = 0;
        let mut all = [0; LITLEN + DIST];
        all[..self.litlen].copy_from_slice(&litlen[..self.litlen]);
        all[self.litlen..self.litlen + self.dist].copy_from_slice(&dist[..self.dist]);
        for run in all[..self.litlen + self.dist].chunk_by(|one, next| one == next) {
            self.run(run[0], run.len());
        }
        let mut counts = [0; SYMBOLS];
        for (symbol, _) in &self.steps[..self.used] {
            counts[usize::from(*symbol)] += 1;
        }
        find_lengths(&counts, 7, &mut self.lengths);
        self.ordered =
            ORDER.iter().rposition(|&symbol| self.lengths[symbol] > 0).map_or(4, |i| i + 1).max(4);
        let steps = (0_u8..).zip(counts).zip(self.lengths).map(|((symbol, count), len)| {
            count as usize * (usize::from(len) + usize::from(bits_after(symbol)))
        });
        14 + 3 * self.ordered + steps.sum::<usize>()
    }

    fn run(&mut self, len: u8, times: usize) {
        let mut left = times;
        if len > 0 {
            self.step(len, 0);
            left -= 1;
        }
        while left > 0 {
            let (symbol, least, most) = match (len, left) {
                (0, 11..) => (MANY, 11, 138),
                (0, 3..) => (FEW, 3, 10),
                (1.., 3..) => (REPEAT, 3, 6),
                _ => (len, 1, 1),
            };
            let now = left.min(most);
            self.step(symbol, now - least);
            left -= now;
        }
    }

    fn step(&mut self, symbol: u8, more: usize) {
        self.steps[self.used] = (symbol, u8::try_from(more).unwrap_or(0));
        self.used += 1;
    }

    /// Writes it.
    pub(super) fn write(&self, tail: &mut Tail, out: &mut BitWriter) {
        tail.add((self.litlen - LENGTH) as u64, 5);
        tail.add((self.dist - 1) as u64, 5);
        tail.add((self.ordered - 4) as u64, 4);
        tail.flush(out);
        for &symbol in &ORDER[..self.ordered] {
            tail.add(self.lengths[symbol].into(), 3);
            tail.flush(out);
        }
        let mut words = [0; SYMBOLS];
        codewords(&self.lengths, &mut words);
        for &(symbol, more) in &self.steps[..self.used] {
            let index = usize::from(symbol);
            tail.add(words[index].into(), self.lengths[index].into());
            tail.add(more.into(), bits_after(symbol).into());
            tail.flush(out);
        }
    }
}

/// Symbols up to the last one that has a codeword.
fn used(lengths: &[u8]) -> usize {
    lengths.iter().rposition(|&len| len > 0).map_or(0, |last| last + 1)
}

fn bits_after(symbol: u8) -> u8 {
    match symbol {
        REPEAT => 2,
        FEW => 3,
        MANY => 7,
        _ => 0,
    }
}
