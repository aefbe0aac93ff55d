//! Bytes of a structure that is being filled in.

use std::marker::PhantomData;

use super::sink::len_of;

/// In which order the bytes of a number lie.
pub(super) trait Order {
    /// The last `N` bytes of a number that is written down with the highest one first.
    fn low<const N: usize>(value: u64) -> [u8; N];
}

/// The highest byte first: xfs, journals.
#[derive(Debug)]
pub(super) struct Big;

/// The lowest byte first: ext4.
#[derive(Debug)]
pub(super) struct Little;

impl Order for Big {
    fn low<const N: usize>(value: u64) -> [u8; N] {
        let bytes = value.to_be_bytes();
        std::array::from_fn(|at| bytes[bytes.len() - N + at])
    }
}

impl Order for Little {
    fn low<const N: usize>(value: u64) -> [u8; N] {
        let bytes = value.to_le_bytes();
        std::array::from_fn(|at| bytes[at])
    }
}

/// A structure, zero at first, and its numbers' order.
#[derive(Debug)]
pub(super) struct Fields<O>(Vec<u8>, PhantomData<O>);

impl<O: Order> Fields<O> {
    /// `len` bytes.
    pub(super) fn new(len: u64) -> Self {
        Self(vec![0; len_of(len)], PhantomData)
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
        self.bytes(at, &O::low::<1>(value));
    }

    /// The low 16 bits of `value`.
    pub(super) fn u16(&mut self, at: usize, value: u64) {
        self.bytes(at, &O::low::<2>(value));
    }

    /// The low 32 bits of `value`.
    pub(super) fn u32(&mut self, at: usize, value: u64) {
        self.bytes(at, &O::low::<4>(value));
    }

    /// All of `value`.
    pub(super) fn u64(&mut self, at: usize, value: u64) {
        self.bytes(at, &O::low::<8>(value));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lie_in_their_order_and_end_with_the_structure() {
        let mut big = Fields::<Big>::new(16);
        let mut little = Fields::<Little>::new(16);
        big.u32(0, 0x1_0203_0405);
        little.u32(0, 0x1_0203_0405);
        big.u16(4, 0x0607);
        little.u16(4, 0x0607);
        big.u8(6, 0x108);
        little.u8(6, 0x108);
        big.u64(8, 9);
        little.u64(14, 0x0b0a);
        assert_eq!(big.done(), [2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(little.get(), [5, 4, 3, 2, 7, 6, 8, 0, 0, 0, 0, 0, 0, 0, 10, 11]);
    }
}
