//! Bits in bytes, the lowest first.

/// Bytes that can be written.
pub(super) const ROOM: usize = 1 << 16;

/// The bytes that are written to, used again for each cluster.
#[derive(Debug)]
pub(super) struct BitWriter {
    bytes: [u8; ROOM + 8],
}

/// Where the next bit goes. It is a value of its own, so that a loop can keep it in registers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tail {
    at: usize,
    word: u64,
    bits: u32,
}

impl BitWriter {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { bytes: [0; ROOM + 8] })
    }

    /// The bytes up to the tail, its last one filled up with zeros.
    pub(super) fn finish(&mut self, mut tail: Tail) -> Vec<u8> {
        tail.align(self);
        self.bytes[..tail.at].to_vec()
    }
}

impl Tail {
    /// Adds the lowest `bits` of `value`, which has no others. 57 of them fit between two
    /// [flushes](Self::flush).
    #[inline(always)]
    pub(super) fn add(&mut self, value: u64, bits: u32) {
        self.word |= value << self.bits;
        self.bits += bits;
    }

    /// Writes all but the bits of an unfinished byte.
    #[inline(always)]
    pub(super) fn flush(&mut self, out: &mut BitWriter) {
        let at = self.at % ROOM;
        out.bytes[at..at + 8].copy_from_slice(&self.word.to_le_bytes());
        let bytes = self.bits / 8;
        self.at += bytes as usize;
        self.word >>= 8 * bytes;
        self.bits %= 8;
    }

    /// Fills the last byte up with zeros.
    pub(super) fn align(&mut self, out: &mut BitWriter) {
        self.bits = self.bits.next_multiple_of(8);
        self.flush(out);
    }

    /// Adds bytes where a byte begins.
    pub(super) fn append(&mut self, out: &mut BitWriter, bytes: &[u8]) {
        out.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}
