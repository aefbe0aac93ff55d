//! Bytes of a structure that is being filled in; numbers are little-endian.

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
        self.bytes(at, &value.to_le_bytes()[..1]);
    }

    /// The low 16 bits of `value`.
    pub(super) fn u16(&mut self, at: usize, value: u64) {
        self.bytes(at, &value.to_le_bytes()[..2]);
    }

    /// The low 32 bits of `value`.
    pub(super) fn u32(&mut self, at: usize, value: u64) {
        self.bytes(at, &value.to_le_bytes()[..4]);
    }

    /// What is there so far.
    pub(super) fn get(&self) -> &[u8] {
        &self.0
    }

    /// The finished structure.
    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}
