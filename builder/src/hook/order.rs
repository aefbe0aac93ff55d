//! Which files of a hook directory run, and in which order (contract 2.5).

use std::cmp::Ordering;

/// Whether `dib-run-parts` runs a file of this name.
pub(super) fn runs(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Sorts names as `sort -n` does in the C locale: by leading number, then by bytes.
pub fn in_order(names: &mut [String]) {
    names.sort_by(|a, b| compare(a, b));
}

fn compare(a: &str, b: &str) -> Ordering {
    number(a).cmp(&number(b)).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

fn number(name: &str) -> u64 {
    let end = name.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    name[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_first_then_bytes() {
        let mut names: Vec<String> =
            ["100-f", "10-b", "2-a", "zz-e", "50-x", "010-c", "09-d"].map(String::from).to_vec();
        in_order(&mut names);
        assert_eq!(names, ["zz-e", "2-a", "09-d", "010-c", "10-b", "50-x", "100-f"]);
        assert!(runs("10-a_B") && !runs("10-a.sh") && !runs("a~") && !runs(""));
    }
}
