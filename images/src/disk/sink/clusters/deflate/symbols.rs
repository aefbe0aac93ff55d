//! Deflate's symbols for lengths and distances (RFC 1951, 3.2.5).

/// Symbols of literals and lengths, two of which are never used.
pub(super) const LITLEN: usize = 288;
/// Symbols of distances, two of which are never used.
pub(super) const DIST: usize = 32;
/// The end of a block.
pub(super) const END: usize = 256;
/// The first symbol of a length.
pub(super) const LENGTH: usize = 257;
/// Symbols of lengths.
pub(super) const LENGTHS: usize = 29;

/// The shortest length of each symbol.
const SHORTEST: [u16; LENGTHS] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];

/// The bits that follow each symbol of a length.
pub(super) const LENGTH_BITS: [u8; LENGTHS] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/// The bits that follow each symbol of a distance.
pub(super) const DISTANCE_BITS: [u8; DIST] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13, 0, 0,
];

/// The symbol of each length, from [`LENGTH`] on.
static OF_LENGTHS: [u8; 512] = {
    let mut table = [0; 512];
    let (mut len, mut symbol) = (3, 0);
    while len <= 258 {
        if symbol as usize + 1 < LENGTHS && SHORTEST[symbol as usize + 1] as usize <= len {
            symbol += 1;
        }
        table[len] = symbol;
        len += 1;
    }
    table
};

/// The symbol of each distance of the window, by [`slot`].
static OF_DISTANCES: [u8; 512] = {
    let mut table = [0; 512];
    let (mut symbol, mut x) = (0, 0);
    while x < 4096 {
        let end = x + (1 << DISTANCE_BITS[symbol as usize]);
        while x < end {
            table[slot(x)] = symbol;
            x += 1;
        }
        symbol += 1;
    }
    table
};

/// Distances less one have a slot each up to 255, farther ones one for 128.
#[inline(always)]
const fn slot(x: usize) -> usize {
    (if x < 256 { x } else { 256 + (x >> 7) }) % 512
}

/// The symbol of a length, from [`LENGTH`] on.
#[inline(always)]
pub(super) fn of_length(len: u32) -> usize {
    usize::from(OF_LENGTHS[len as usize % 512])
}

/// The symbol of a distance within the window.
#[inline(always)]
pub(super) fn of_distance(back: u32) -> usize {
    usize::from(OF_DISTANCES[slot(back.wrapping_sub(1) as usize)])
}

/// The shortest length of a symbol, which is counted from [`LENGTH`] on.
pub(super) fn shortest(symbol: usize) -> u32 {
    u32::from(SHORTEST[symbol])
}
