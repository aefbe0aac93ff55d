//! The hash of names of files and attributes.

/// The hash of a name.
pub(super) fn hash(name: &[u8]) -> u32 {
    let (words, rest) = name.as_chunks::<4>();
    let word = |hash: u32, bytes: &[u8; 4]| {
        let [a, b, c, d] = bytes.map(u32::from);
        a << 21 ^ b << 14 ^ c << 7 ^ d ^ hash.rotate_left(28)
    };
    let hash = words.iter().fold(0, word);
    let tail = rest.iter().fold(0, |tail, &byte| tail << 7 ^ u32::from(byte));
    match rest.len() {
        3 => tail ^ hash.rotate_left(21),
        2 => tail ^ hash.rotate_left(14),
        1 => tail ^ hash.rotate_left(7),
        _ => hash,
    }
}

#[cfg(test)]
mod tests {
    // As `xfs_db -c "hash NAME"` prints them.
    #[test]
    fn names_have_the_hashes_of_xfs_db() {
        for (name, expected) in [
            (".", 0x2e_u32),
            ("..", 0x172e),
            ("SGI_ACL_FILE", 0x275b_19c4),
            ("lost+found", 0x021a_a60c),
            ("abc", 0x0018_7163),
        ] {
            assert_eq!(super::hash(name.as_bytes()), expected, "{name}");
        }
    }
}
