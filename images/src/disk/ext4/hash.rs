//! The hash of names in indexed directories: half of MD4 (RFC 1320), three rounds of eight
//! steps over 32 bytes at a time.

/// The value that the kernel keeps for the end of a directory.
const END: u32 = 0x7fff_ffff << 1;
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Hash and lesser hash of a name; `seed` is the file system's.
pub(super) fn hash(name: &[u8], seed: [u32; 4]) -> (u32, u32) {
    let mut state = if seed == [0; 4] { START } else { seed };
    let mut rest = name;
    while !rest.is_empty() {
        transform(&mut state, &words(rest));
        rest = rest.get(32..).unwrap_or_default();
    }
    let major = state[1] & !1;
    (if major == END { END - 2 } else { major }, state[2])
}

/// The next eight words of a name, padded with its length.
fn words(rest: &[u8]) -> [u32; 8] {
    let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    let mut pad = length | length.wrapping_shl(8);
    pad |= pad << 16;
    let mut words = [pad; 8];
    let first = rest.get(..32).unwrap_or(rest);
    for (word, bytes) in words.iter_mut().zip(first.chunks(4)) {
        *word = bytes.iter().fold(pad, |value, &b| u32::from(b).wrapping_add(value << 8));
    }
    words
}

fn transform(state: &mut [u32; 4], input: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| z ^ (x & (y ^ z)), 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (
            |x, y, z| (x & y).wrapping_add((x ^ y) & z),
            0x5a82_7999,
            [1, 3, 5, 7, 0, 2, 4, 6],
            [3, 5, 9, 13],
        ),
        (|x, y, z| x ^ y ^ z, 0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in ROUNDS {
        for (step, word) in order.into_iter().enumerate() {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(input[word])
                .wrapping_add(constant)
                .rotate_left(shifts[step % 4]);
            (a, b, c, d) = (d, sum, b, c);
        }
    }
    for (to, value) in state.iter_mut().zip([a, b, c, d]) {
        *to = to.wrapping_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // As `debugfs -R "dx_hash -h half_md4 NAME"` of e2fsprogs 1.47 prints them.
    #[test]
    fn names_have_the_hashes_of_debugfs() {
        for (name, expected) in [
            ("a", (0xd5fa_7d7a, 0xacb4_8187)),
            ("lost+found", (0x591d_e422, 0x6ffc_56e0)),
            ("usr-share-doc-a-name-longer-than-thirty-two-bytes-00042", (0x4a7e_dfbc, 0x0022_5d31)),
        ] {
            assert_eq!(hash(name.as_bytes(), [0; 4]), expected, "{name}");
        }
    }
}
