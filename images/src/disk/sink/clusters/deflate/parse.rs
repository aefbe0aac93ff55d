//! Cuts a cluster into literals and matches.
//!
//! A match waits: where the next position has one that saves more, its first byte becomes a literal.

use super::matches::{Finder, Match, Patience};
use super::text::position;
use super::tokens::Tokens;

/// After so many literals without a match one position is passed over for each that is searched,
/// after twice as many two, and so on: what does not compress is not worth the time.
const DULL: usize = 1024;
/// Most positions that are passed over at once.
const STRIDE: usize = 16;

/// What a match must be worth more to be waited for, one position and two.
const WORTH_ONE: i32 = 1;
const WORTH_TWO: i32 = 6;

/// What is done to make a cluster smaller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    first: Patience,
    /// For the match after one that was found.
    next: Patience,
    /// A match waits while it is shorter than this.
    lazy: u32,
    /// A match waits for the one after the next as well.
    twice: bool,
}

impl Effort {
    /// That of a level, 1 (fast) to 9 (small).
    pub(super) fn of(level: u32) -> Self {
        let (places, enough, lazy, next, twice) = match level {
            0 | 1 => (1, 16, 0, 0, false),
            2 => (3, 16, 0, 0, false),
            3 => (3, 32, 8, 1, false),
            4 => (5, 32, 16, 2, false),
            5 => (9, 32, 16, 3, false),
            6 => (16, 64, 32, 4, false),
            7 => (32, 128, 32, 16, false),
            8 => (64, 258, 64, 32, true),
            _ => (256, 258, 258, 256, true),
        };
        Self {
            first: Patience { places, enough },
            next: Patience { places: next, enough },
            lazy,
            twice,
        }
    }
}

/// Cuts the finder's cluster into tokens.
pub(super) fn parse(finder: &mut Finder, out: &mut Tokens, effort: Effort) {
    out.clear();
    let len = finder.text.len();
    // So that no match is cut off to less than one: it may go past the end.
    let last = len.saturating_sub(4);
    let mut at = 0;
    if len > 0 {
        out.literal(finder.text.byte(0));
        at = 1;
    }
    while at < last {
        let mut found = finder.first(position(at), effort.first);
        if found.len == 0 {
            out.literal(finder.text.byte(position(at)));
            at += 1;
            if out.literals(at) > DULL {
                at = pass_over(finder, out, at, last);
            }
            continue;
        }
        let noted;
        (at, noted, found) = wait(finder, out, effort, at, found, last);
        found.len = found.len.min(u32::from(position(len - at)));
        out.found(at, found);
        at += found.len as usize;
        for at in noted..at {
            finder.note(position(at));
        }
    }
    for at in at..len {
        out.literal(finder.text.byte(position(at)));
    }
    out.finish(len);
}

/// Takes the next positions as literals; the one after them.
#[cold]
fn pass_over(finder: &Finder, out: &mut Tokens, at: usize, last: usize) -> usize {
    let next = (at + (out.literals(at) / DULL).min(STRIDE)).min(last);
    for at in at..next {
        out.literal(finder.text.byte(position(at)));
    }
    next
}

/// Lets a match wait for better ones; where the one that is taken begins, the first position that
/// is not noted yet, and the match.
#[inline(always)]
fn wait(
    finder: &mut Finder,
    out: &mut Tokens,
    effort: Effort,
    mut at: usize,
    mut found: Match,
    last: usize,
) -> (usize, usize, Match) {
    let mut noted = at + 1;
    while found.len < effort.lazy && noted < last {
        let mut next = better(finder, noted, found, effort.next);
        noted += 1;
        if gain(found, next) <= WORTH_ONE {
            if !effort.twice || noted == last {
                break;
            }
            next = better(finder, noted, found, effort.next);
            noted += 1;
            if gain(found, next) <= WORTH_TWO {
                break;
            }
            out.literal(finder.text.byte(position(at)));
            at += 1;
        }
        out.literal(finder.text.byte(position(at)));
        at += 1;
        found = next;
    }
    (at, noted, found)
}

/// A match that is no shorter than another.
#[inline(always)]
fn better(finder: &mut Finder, at: usize, than: Match, patience: Patience) -> Match {
    finder.better(position(at), (than.len - 1).max(3), patience)
}

/// How many bits, roughly, `next` is worth more than `found`: four for each byte, and what a
/// farther one takes more.
#[inline(always)]
fn gain(found: Match, next: Match) -> i32 {
    if next.len == 0 {
        return i32::MIN;
    }
    let lengths = 4 * (next.len.cast_signed() - found.len.cast_signed());
    lengths + found.back.ilog2().cast_signed() - next.back.ilog2().cast_signed()
}
