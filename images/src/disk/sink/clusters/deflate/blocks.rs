//! Blocks: which form is the shortest for each, and how it is written.

use std::ops::Range;

use super::bits::{BitWriter, Tail};
use super::header::Header;
use super::huffman::{codewords, find_lengths};
use super::segments::{SEGMENTS, Segment};
use super::symbols::{
    DIST, DISTANCE_BITS, END, LENGTH, LENGTH_BITS, LENGTHS, LITLEN, of_length, shortest,
};
use super::text::{Text, position};
use super::tokens::Sequence;

/// The longest codeword.
const LIMIT: usize = 15;
/// The most that a stored block holds.
const MOST_STORED: usize = 65535;

/// How a block is written, by the number that it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Stored,
    Fixed,
    Dynamic,
}

/// Lengths of codewords.
#[derive(Debug, Clone, Copy)]
struct Code {
    litlen: [u8; LITLEN],
    dist: [u8; DIST],
}

/// The code of fixed blocks (RFC 1951, 3.2.6).
const FIXED: Code = {
    let mut litlen = [8; LITLEN];
    let mut symbol = 144;
    while symbol < 280 {
        litlen[symbol] = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    Code { litlen, dist: [5; DIST] }
};

impl Code {
    /// How many bits a segment takes with its end.
    fn bits(&self, segment: &Segment) -> usize {
        let sum = |counts: &[u32], lengths: &[u8]| -> u32 {
            counts.iter().zip(lengths).map(|(count, &len)| count * u32::from(len)).sum()
        };
        let after = sum(&segment.litlen[LENGTH..], &LENGTH_BITS)
            + sum(&segment.dist, &DISTANCE_BITS)
            + u32::from(self.litlen[END]);
        (sum(&segment.litlen, &self.litlen) + sum(&segment.dist, &self.dist) + after) as usize
    }
}

/// A block that is going to be written.
#[derive(Debug, Clone, Copy)]
struct Block {
    form: Form,
    code: Code,
    header: Header,
    bytes: usize,
    sequences: usize,
}

/// The blocks of a cluster.
#[derive(Debug)]
pub(super) struct Blocks {
    list: [Block; SEGMENTS],
    used: usize,
}

impl Blocks {
    pub(super) fn new() -> Box<Self> {
        let block = Block {
            form: Form::Stored,
            code: FIXED,
            header: Header::EMPTY,
            bytes: 0,
            sequences: 0,
        };
        Box::new(Self { list: [block; SEGMENTS], used: 0 })
    }

    /// Chooses the form of each block; how many bytes all of them have.
    pub(super) fn plan(&mut self, segments: &[Segment]) -> usize {
        self.used = segments.len();
        let mut bits = 0_usize;
        for (block, segment) in self.list.iter_mut().zip(segments) {
            (block.bytes, block.sequences) = (segment.bytes, segment.sequences);
            bits += block.plan(segment, bits);
        }
        bits.div_ceil(8)
    }

    /// Writes the blocks that were planned.
    pub(super) fn write(
        &self,
        text: &Text,
        sequences: &[Sequence],
        out: &mut BitWriter,
    ) -> Vec<u8> {
        let mut tail = Tail::default();
        let (mut at, mut first) = (0, 0);
        for (index, block) in self.list[..self.used].iter().enumerate() {
            let (end, last) = (at + block.bytes, first + block.sequences);
            tail.add(u64::from(index + 1 == self.used), 1);
            tail.add(block.form as u64, 2);
            tail.flush(out);
            if block.form == Form::Stored {
                let len = u64::from(position(block.bytes));
                tail.align(out);
                tail.add(len | (len ^ 0xffff) << 16, 32);
                tail.flush(out);
                tail.append(out, &text.bytes()[at..end]);
            } else {
                if block.form == Form::Dynamic {
                    block.header.write(&mut tail, out);
                }
                tail =
                    Words::of(&block.code).write(tail, out, text, at..end, &sequences[first..last]);
            }
            (at, first) = (end, last);
        }
        out.finish(tail)
    }
}

impl Block {
    /// Takes its form; how many bits it has that begins after so many.
    fn plan(&mut self, segment: &Segment, before: usize) -> usize {
        let mut litlen = segment.litlen;
        litlen[END] = 1;
        find_lengths(&litlen, LIMIT, &mut self.code.litlen);
        find_lengths(&segment.dist, LIMIT, &mut self.code.dist);
        let header = self.header.take(&self.code.litlen, &self.code.dist);
        let dynamic = 3 + header + self.code.bits(segment);
        let fixed = 3 + FIXED.bits(segment);
        let begin = (before + 3).next_multiple_of(8) + 32;
        let stored = begin - before + 8 * segment.bytes;
        let (bits, form) = if stored < dynamic.min(fixed) && segment.bytes <= MOST_STORED {
            (stored, Form::Stored)
        } else if fixed <= dynamic {
            self.code = FIXED;
            (fixed, Form::Fixed)
        } else {
            (dynamic, Form::Dynamic)
        };
        self.form = form;
        bits
    }
}

/// What is written for each literal, length and distance: bits, and from [`COUNT`] on how many.
struct Words {
    literals: [u32; 256],
    lengths: [u32; 512],
    distances: [u32; DIST],
    end: u32,
}

/// Where the number of bits begins; up to 20 bits are before it.
const COUNT: u32 = 24;
const BITS: u32 = (1 << COUNT) - 1;
/// Which of the three literals before a match there are, by their number.
const KEPT: [[u32; 3]; 4] = [[0; 3], [!0, 0, 0], [!0, !0, 0], [!0; 3]];

impl Words {
    fn of(code: &Code) -> Self {
        let mut litlen = [0; LITLEN];
        codewords(&code.litlen, &mut litlen);
        let mut dist = [0; DIST];
        codewords(&code.dist, &mut dist);
        let word = |word: u16, len: u8| u32::from(word) | u32::from(len) << COUNT;
        let mut words = Self {
            literals: std::array::from_fn(|i| word(litlen[i], code.litlen[i])),
            lengths: [0; 512],
            distances: std::array::from_fn(|i| word(dist[i], code.dist[i])),
            end: word(litlen[END], code.litlen[END]),
        };
        for len in 3..=258 {
            let symbol = of_length(len) % LENGTHS;
            let bits = code.litlen[LENGTH + symbol];
            let more = (len - shortest(symbol)) << bits;
            words.lengths[len as usize] =
                (word(litlen[LENGTH + symbol], bits + LENGTH_BITS[symbol])) | more;
        }
        words
    }

    /// Writes what is in `range` of the text, and its end.
    fn write(
        &self,
        mut tail: Tail,
        out: &mut BitWriter,
        text: &Text,
        range: Range<usize>,
        sequences: &[Sequence],
    ) -> Tail {
        let literal = |at: usize| self.literals[usize::from(text.byte(position(at)))];
        let mut at = range.start;
        for sequence in sequences {
            let end = at + usize::from(sequence.literals);
            while at + 3 < end {
                for k in 0..3 {
                    add(&mut tail, literal(at + k));
                }
                tail.flush(out);
                at += 3;
            }
            // The last ones without a branch: how many there are cannot be foreseen.
            for (k, kept) in KEPT[(end - at) % 4].into_iter().enumerate() {
                add(&mut tail, literal(at + k) & kept);
            }
            tail.flush(out);
            add(&mut tail, self.lengths[usize::from(sequence.len) % 512]);
            let symbol = usize::from(sequence.symbol) % DIST;
            add(&mut tail, self.distances[symbol]);
            let more = u32::from(DISTANCE_BITS[symbol]);
            tail.add(u64::from(u32::from(sequence.back - 1) & ((1 << more) - 1)), more);
            tail.flush(out);
            at = end + usize::from(sequence.len);
        }
        for at in at..range.end {
            add(&mut tail, literal(at));
            tail.flush(out);
        }
        add(&mut tail, self.end);
        tail.flush(out);
        tail
    }
}

#[inline(always)]
fn add(tail: &mut Tail, word: u32) {
    tail.add(u64::from(word & BITS), word >> COUNT);
}
