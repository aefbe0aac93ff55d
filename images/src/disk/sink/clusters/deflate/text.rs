//! The cluster that is being packed, with room behind it to read past its end.

/// The longest cluster: its positions fit into 16 bits.
pub(super) const LONGEST: usize = 1 << 16;
/// What may be read past the end, all zero: the longest match and a word.
const MARGIN: usize = 288;

/// A cluster of which words can be read at any position without a check.
#[derive(Debug)]
pub(super) struct Text {
    bytes: [u8; LONGEST + MARGIN],
    len: usize,
}

impl Text {
    pub(super) const EMPTY: Self = Self { bytes: [0; LONGEST + MARGIN], len: 0 };

    /// Takes a cluster of at most [`LONGEST`] bytes.
    pub(super) fn fill(&mut self, cluster: &[u8]) {
        self.len = cluster.len();
        self.bytes[..self.len].copy_from_slice(cluster);
        self.bytes[self.len..self.len + MARGIN].fill(0);
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline(always)]
    pub(super) fn byte(&self, at: u16) -> u8 {
        self.bytes[usize::from(at)]
    }

    /// The eight bytes that begin `skip` after a position, the first one lowest.
    #[inline(always)]
    pub(super) fn word(&self, at: u16, skip: u8) -> u64 {
        self.word_at(usize::from(at) + usize::from(skip))
    }

    #[inline(always)]
    fn word_at(&self, at: usize) -> u64 {
        self.bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// How many bytes are the same at two positions, at most `most`, which is 258 or less.
    #[inline(always)]
    pub(super) fn same(&self, one: u16, other: u16, most: u32) -> u32 {
        let (mut one, mut other, mut len) = (usize::from(one), usize::from(other), 0);
        while len < most {
            let differ = self.word_at(one) ^ self.word_at(other);
            if differ != 0 {
                return (len + differ.trailing_zeros() / 8).min(most);
            }
            (one, other, len) = (one + 8, other + 8, len + 8);
        }
        most
    }
}

/// A position, which always fits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "no position is beyond the longest cluster")]
pub(super) fn position(at: usize) -> u16 {
    at as u16
}
