//! Codes of least redundancy, with a limit on the length of a codeword.

use super::symbols::LITLEN;

/// Bits of a key that are the symbol.
const SYMBOL_BITS: u32 = 9;
const SYMBOL: u32 = (1 << SYMBOL_BITS) - 1;
/// No codeword of deflate is longer.
const LONGEST: usize = 15;

/// Finds the lengths of codewords for symbols of which each occurs so often, at most 2^17 all
/// together. None is longer than `limit`, and the code is complete: a symbol that is the only
/// one gets a companion, as some readers refuse codes with unused words.
pub(super) fn find_lengths(counts: &[u32], limit: usize, lengths: &mut [u8]) {
    lengths.fill(0);
    let mut keys = [0_u32; LITLEN];
    let mut used = 0;
    for (symbol, &count) in (0..).zip(counts) {
        if count > 0 {
            keys[used] = count << SYMBOL_BITS | symbol;
            used += 1;
        }
    }
    let keys = &mut keys[..used];
    if let [key] = keys {
        let symbol = (*key & SYMBOL) as usize;
        (lengths[symbol], lengths[usize::from(symbol == 0)]) = (1, 1);
    }
    if used < 2 {
        return;
    }
    keys.sort_unstable();
    let mut numbers = depths(keys);
    shorten(&mut numbers, limit);
    let mut keys = keys.iter();
    for (len, &number) in (0_u8..16).zip(&numbers).skip(1).rev() {
        for key in keys.by_ref().take(number as usize) {
            lengths[(key & SYMBOL) as usize] = len;
        }
    }
}

/// How many leaves of the tree for two or more keys, the rarest first, are at each depth; the
/// deepest are counted at [`LONGEST`].
///
/// The tree takes no room of its own (Moffat and Katajainen, In-place calculation of
/// minimum-redundancy codes, 1995): a weight makes place for its parent, that for its depth.
fn depths(keys: &[u32]) -> [u32; LONGEST + 1] {
    let len = keys.len();
    let mut tree = [0_u32; LITLEN];
    for (weight, key) in tree.iter_mut().zip(keys) {
        *weight = key >> SYMBOL_BITS;
    }
    let (mut leaf, mut inner) = (0, 0);
    for (parent, number) in (0..len - 1).zip(0_u32..) {
        let mut weight = 0;
        for _ in 0..2 {
            if leaf < len && (inner >= parent || tree[leaf] <= tree[inner]) {
                weight += tree[leaf];
                leaf += 1;
            } else {
                weight += tree[inner];
                tree[inner] = number;
                inner += 1;
            }
        }
        tree[parent] = weight;
    }
    tree[len - 2] = 0;
    for node in (0..len - 2).rev() {
        tree[node] = tree[tree[node] as usize] + 1;
    }
    let mut numbers = [0; LONGEST + 1];
    let (mut depth, mut places) = (0_u32, 2_u32);
    let mut nodes = tree[..len - 1].iter().rev().skip(1).peekable();
    while places > 0 {
        depth += 1;
        let mut inner = 0;
        while nodes.next_if(|&&node| node == depth).is_some() {
            inner += 1;
        }
        numbers[(depth as usize).min(LONGEST)] += places - inner;
        places = 2 * inner;
    }
    numbers
}

/// Moves leaves up to `limit`, and for each that takes too much there another one down.
fn shorten(numbers: &mut [u32; LONGEST + 1], limit: usize) {
    for len in limit + 1..=LONGEST {
        numbers[limit] += std::mem::take(&mut numbers[len]);
    }
    let taken = |numbers: &[u32; LONGEST + 1]| -> u32 {
        (1..=limit).map(|len| numbers[len] << (limit - len)).sum()
    };
    for _ in 1 << limit..taken(numbers) {
        // A leaf and one of the deepest become two below it.
        let len = (1..limit).rev().find(|&len| numbers[len] > 0).unwrap_or(1);
        numbers[len] -= 1;
        numbers[len + 1] += 2;
        numbers[limit] -= 1;
    }
}

/// The codewords of lengths (RFC 1951, 3.2.2), in the order of bits in which they are written.
pub(super) fn codewords(lengths: &[u8], words: &mut [u16]) {
    let mut numbers = [0_u16; LONGEST + 1];
    for &len in lengths {
        numbers[usize::from(len)] += 1;
    }
    numbers[0] = 0;
    let mut next = [0_u16; LONGEST + 1];
    for len in 1..=LONGEST {
        next[len] = next[len - 1].wrapping_add(numbers[len - 1]) << 1;
    }
    for (word, &len) in words.iter_mut().zip(lengths) {
        if len > 0 {
            let next = &mut next[usize::from(len)];
            *word = next.reverse_bits() >> (16 - len);
            *next = next.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(counts: &[u32], limit: usize) -> Vec<u8> {
        let mut lengths = vec![0; counts.len()];
        find_lengths(counts, limit, &mut lengths);
        lengths
    }

    #[test]
    fn rare_symbols_get_long_codewords() {
        for (counts, wanted) in [
            (&[0, 0, 0][..], &[0, 0, 0][..]),
            (&[5, 0, 0], &[1, 1, 0]),
            (&[0, 0, 5], &[1, 0, 1]),
            (&[1, 9], &[1, 1]),
            (&[1, 1, 2], &[2, 2, 1]),
            (&[4, 1, 0, 1, 2], &[1, 3, 0, 3, 2]),
            (&[3, 3, 3, 3], &[2, 2, 2, 2]),
        ] {
            assert_eq!(lengths(counts, 15), wanted, "{counts:?}");
        }
    }

    #[test]
    fn codes_are_complete_below_their_limit() {
        let fibonacci = |n| {
            let mut counts = vec![1_u32, 1];
            (2..n).for_each(|i| counts.push(counts[i - 1] + counts[i - 2]));
            counts
        };
        for (counts, limit) in
            [(fibonacci(19), 7), (fibonacci(22), 15), (fibonacci(16), 15), (vec![1; 288], 15)]
        {
            let lengths = lengths(&counts, limit);
            let taken: u32 = lengths.iter().map(|&len| 1 << (limit - usize::from(len))).sum();
            assert_eq!(taken, 1 << limit, "{counts:?}");
            assert!(lengths.is_sorted_by(|one, next| one >= next), "{lengths:?}");
        }
    }
}
