//! How many bits symbols take that occur so and so often, by their entropy and in integers.

/// Bits of a logarithm after the point.
const FRACTION: u32 = 8;

/// Logarithms to the base of 2; that of 0 is 0.
static LOG2: [u32; 1024] = {
    let mut table = [0; 1024];
    let mut n = 1;
    while n < 1024_u32 {
        let whole = n.ilog2();
        let mut log = whole;
        // From 1 to below 2, with 30 bits after the point: each square has the next bit.
        let mut x = (n as u64) << (30 - whole);
        let mut bit = 0;
        while bit < FRACTION {
            x = (x * x) >> 30;
            log <<= 1;
            if x >= 2 << 30 {
                x >>= 1;
                log |= 1;
            }
            bit += 1;
        }
        table[n as usize] = log;
        n += 1;
    }
    table
};

/// The number, at most 2^17, times its logarithm.
#[inline(always)]
fn times_log(n: u32) -> u32 {
    if n < 1024 {
        return n * LOG2[n as usize];
    }
    let shift = n.ilog2() - 9;
    n * (LOG2[(n >> shift) as usize % 1024] + (shift << FRACTION))
}

/// About how many bits symbols take of which each occurs so often, at most 2^17 all together.
pub(super) fn bits(counts: &[u32]) -> u32 {
    let (mut total, mut saved) = (0, 0);
    for &count in counts {
        total += count;
        saved += times_log(count);
    }
    // Logarithms are rounded down, so that of the total can be the smaller one.
    times_log(total).saturating_sub(saved) >> FRACTION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_entropy() {
        for (counts, wanted) in [
            (&[0, 0][..], 0),
            (&[7], 0),
            (&[1, 1], 2),
            (&[1024; 64], 65536 * 6),
            (&[256; 256], 65536 * 8),
            // 1000 of 1/1000 each and one half: 1000 * (1 + log2 1000) + 1000.
            (&[&[1000][..], &[1; 1000]].concat(), 11_966),
        ] {
            let found = bits(counts);
            assert!(found.abs_diff(wanted) <= wanted / 200, "{found} instead of {wanted}");
        }
    }
}
