//! What structures of xfs are filled in with: big-endian, but for their checksums.

use super::super::fields::Big;

/// A structure of xfs.
pub(super) type Fields = super::super::fields::Fields<Big>;

/// The finished structure, with its checksum, which alone is little-endian, in the four bytes at
/// `at`; they are zero so far.
pub(super) fn sealed(mut fields: Fields, at: usize) -> Vec<u8> {
    let checksum = crc32c::crc32c(fields.get());
    fields.bytes(at, &checksum.to_le_bytes());
    fields.done()
}
