//! Bytes of a structure that is being filled in; numbers are big-endian.

use super::super::sink::len_of;

/// A structure, zero at first.
#[derive(Debug)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    /// `len` bytes.
    pub(super) fn new(len: u64) -> Self {
        Self(vec![0; len_of(len)])
    }

    /// Puts bytes down; what reaches beyond the end is cut off.
    pub(super) fn bytes(&mut self, at: usize, bytes: &[u8]) {
        let room = self.0.get_mut(at..).unwrap_or_default();
        for (to, byte) in room.iter_mut().zip(bytes) {
            *to = *byte;
        }
    }

    /// The low byte of `value`.
    pub(super) fn u8(&mut self, at: usize, value: u64) {
        self.bytes(at, &value.to_be_bytes()[7..]);
    }

    /// The low 16 bits of `value`.
    pub(super) fn u16(&mut self, at: usize, value: u64) {
        self.bytes(at, &value.to_be_bytes()[6..]);
    }

    /// The low 32 bits of `value`.
    pub(super) fn u32(&mut self, at: usize, value: u64) {
        self.bytes(at, &value.to_be_bytes()[4..]);
    }

    /// All of `value`.
    pub(super) fn u64(&mut self, at: usize, value: u64) {
        self.bytes(at, &value.to_be_bytes());
    }

    /// The finished structure, with its checksum, which alone is little-endian, in the four
    /// bytes at `at`; they are zero so far.
    pub(super) fn sealed(mut self, at: usize) -> Vec<u8> {
        let checksum = crc32c::crc32c(&self.0);
        self.bytes(at, &checksum.to_le_bytes());
        self.0
    }

    /// The finished structure.
    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}
