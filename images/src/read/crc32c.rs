//! The checksum of Castagnoli, which file systems put on their metadata.

/// What each byte does to the checksum.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[byte as usize] = value;
        byte += 1;
    }
    table
}

/// The checksum of `parts`, one after the other.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut state = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        let [low, ..] = state.to_le_bytes();
        state = (state >> 8) ^ TABLE[usize::from(low ^ byte)];
    }
    !state
}

/// The checksum of a structure whose own field for it, of four bytes at `field`, counts as
/// zero.
pub(super) fn sealed(bytes: &[u8], field: usize) -> u32 {
    let before = bytes.get(..field).unwrap_or(bytes);
    let after = bytes.get(field.saturating_add(4)..).unwrap_or_default();
    crc32c(&[before, &[0; 4], after])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_known_value() {
        assert_eq!(super::crc32c(&[b"1234", b"56789"]), 0xe306_9283);
        assert_eq!(super::sealed(b"12\x01\x02\x03\x04", 2), super::crc32c(&[b"12\0\0\0\0"]));
    }
}
