//! Finds where the bytes at a position were seen before.
//!
//! A table by the hash of four bytes says where they were last, and a ring says for each of the
//! last 4096 positions how far before it the one before with that hash is. The table has four times
//! as many slots as the window has positions, so that one look into it tells most of what has
//! no match. Three bytes are worth a match where nothing longer is; of those the last place is known.

use super::text::{Text, position};

/// The farthest that a match may lie back: readers of qcow2 inflate with a window of 4 KiB.
pub(super) const WINDOW: u32 = 4096;
/// Deflate's longest match.
pub(super) const LONGEST_MATCH: u32 = 258;
/// Places in the ring, one for each position of the window.
const RING: usize = 4096;
const HASH_BITS: u32 = 14;
const NEAR_BITS: u32 = 12;

/// A match; no match has length 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) len: u32,
    pub(super) back: u32,
}

/// How long to look for the best match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Places that are looked at, from the nearest on.
    pub(super) places: u32,
    /// A match of this length is taken at once.
    pub(super) enough: u32,
}

/// A cluster, and the positions of what it holds.
#[derive(Debug)]
pub(super) struct Finder {
    pub(super) text: Text,
    /// The last position of each hash of four bytes; 0 where there was none.
    last: [u16; 1 << HASH_BITS],
    /// How far before each position the one before with its hash is.
    steps: [u16; RING],
    /// The last position of each hash of three bytes.
    near: [u16; 1 << NEAR_BITS],
}

impl Finder {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            text: Text::EMPTY,
            last: [0; 1 << HASH_BITS],
            steps: [0; RING],
            near: [0; 1 << NEAR_BITS],
        })
    }

    /// Takes a cluster; position 0 is noted.
    pub(super) fn fill(&mut self, cluster: &[u8]) {
        self.text.fill(cluster);
        self.last.fill(0);
        self.near.fill(0);
        self.note(0);
        // Nothing is before position 0, which empty slots name as well.
        self.steps[0] = u16::MAX;
    }

    /// Notes what is at a position. Positions only grow.
    #[inline(always)]
    pub(super) fn note(&mut self, at: u16) {
        let word = self.text.word(at, 0);
        self.near[hash(word << 8, NEAR_BITS)] = at;
        self.step(at, word);
    }

    /// Puts a position before those with its hash; how far the nearest of them is.
    #[inline(always)]
    fn step(&mut self, at: u16, word: u64) -> u32 {
        let last = &mut self.last[hash(word, HASH_BITS)];
        let step = at.wrapping_sub(*last);
        *last = at;
        self.steps[usize::from(at) % RING] = step;
        u32::from(step)
    }

    /// The best match at a position from 1 on, which is noted. It may go past the text's end.
    #[inline(always)]
    pub(super) fn first(&mut self, at: u16, patience: Patience) -> Match {
        let word = self.text.word(at, 0);
        let near = &mut self.near[hash(word << 8, NEAR_BITS)];
        let nearest = *near;
        *near = at;
        let back = self.step(at, word);
        let found = self.longer(at, back, 3, patience);
        if found.len > 0 {
            return found;
        }
        let back = u32::from(at.wrapping_sub(nearest));
        let same = (self.text.word(nearest, 0) ^ word) & 0xff_ffff == 0;
        // One branch for both, as neither can be foreseen.
        if same & (back.wrapping_sub(1) < WINDOW) {
            Match { len: 3, back }
        } else {
            Match::default()
        }
    }

    /// A match at a position that is longer than `len`, which is 3 or more; the position is noted.
    #[inline(always)]
    pub(super) fn better(&mut self, at: u16, len: u32, patience: Patience) -> Match {
        let word = self.text.word(at, 0);
        self.near[hash(word << 8, NEAR_BITS)] = at;
        let back = self.step(at, word);
        self.longer(at, back, len, patience)
    }

    /// Judges the place `back` itself: many have no other, and a call costs more than that.
    #[inline(always)]
    fn longer(&self, at: u16, back: u32, len: u32, patience: Patience) -> Match {
        if back.wrapping_sub(1) >= WINDOW {
            return Match::default();
        }
        let hit = Aim::beyond(&self.text, at, len).hit(&self.text, at, back);
        let found = hit.unwrap_or_default();
        if found.len >= patience.enough {
            return found;
        }
        let back = back + self.step_of(at, back);
        if (back > WINDOW) | (patience.places < 2) {
            return found;
        }
        self.walk(at, back, len, found, patience)
    }

    /// The best of `found` and what is longer than `len` at the places from `back` on.
    #[inline(never)]
    fn walk(
        &self,
        at: u16,
        mut back: u32,
        len: u32,
        mut found: Match,
        patience: Patience,
    ) -> Match {
        let mut left = patience.places - 1;
        let mut aim = Aim::beyond(&self.text, at, len.max(found.len));
        loop {
            if let Some(better) = aim.hit(&self.text, at, back) {
                found = better;
                if better.len >= patience.enough {
                    return found;
                }
                aim = Aim::beyond(&self.text, at, better.len);
            }
            back += self.step_of(at, back);
            left -= 1;
            if (back > WINDOW) | (left == 0) {
                return found;
            }
        }
    }

    /// How much farther than `back` the next place is.
    #[inline(always)]
    fn step_of(&self, at: u16, back: u32) -> u32 {
        u32::from(self.steps[usize::from(before(at, back)) % RING])
    }
}

/// What a longer match must have: eight bytes that end where the first better one is, or fewer
/// from the beginning on.
#[derive(Debug, Clone, Copy)]
struct Aim {
    /// The length that is to be bettered.
    len: u32,
    skip: u8,
    mask: u64,
    wanted: u64,
}

impl Aim {
    #[inline(always)]
    fn beyond(text: &Text, at: u16, len: u32) -> Self {
        let skip = u8::try_from(len.saturating_sub(7)).unwrap_or(u8::MAX);
        let mask = u64::MAX >> (56 - 8 * len.min(7));
        Self { len, skip, mask, wanted: text.word(at, skip) }
    }

    /// The match with what is `back` bytes before, if it is longer.
    #[inline(always)]
    fn hit(self, text: &Text, at: u16, back: u32) -> Option<Match> {
        let from = before(at, back);
        let differ = text.word(from, self.skip) ^ self.wanted;
        if differ & self.mask != 0 {
            return None;
        }
        let len = if self.skip == 0 && differ != 0 {
            differ.trailing_zeros() / 8
        } else {
            text.same(at, from, LONGEST_MATCH)
        };
        (len > self.len).then_some(Match { len, back })
    }
}

/// The position that lies `back` before another.
#[inline(always)]
fn before(at: u16, back: u32) -> u16 {
    at.wrapping_sub(position(back as usize))
}

/// A hash of the lower four bytes.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the four bytes are the lower half")]
fn hash(word: u64, bits: u32) -> usize {
    ((word as u32).wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}
