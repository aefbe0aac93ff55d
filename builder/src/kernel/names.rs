//! Names of files: which version is the newer one, which shell pattern they match.

use std::cmp::Ordering;

/// Compares names as versions: runs of digits by their number, a number is newer than text,
/// what goes on is newer than what ends, but for a tilde.
pub(super) fn newer(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (runs(a), runs(b));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (Some(run), None) => after_end(run),
            (None, Some(run)) => after_end(run).reverse(),
            (Some(a), Some(b)) => one(a, b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn after_end(run: &str) -> Ordering {
    if run.starts_with('~') { Ordering::Less } else { Ordering::Greater }
}

fn one(a: &str, b: &str) -> Ordering {
    let digit = |run: &str| run.starts_with(|c: char| c.is_ascii_digit());
    match (digit(a), digit(b)) {
        (true, true) => {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then(a.cmp(b))
        }
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => match (a.starts_with('~'), b.starts_with('~')) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            _ => a.cmp(b),
        },
    }
}

/// Runs of digits, of letters, and single other characters.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let same = |c: char| {
            (first.is_ascii_digit() && c.is_ascii_digit())
                || (first.is_alphabetic() && c.is_alphabetic())
        };
        let end = rest[first.len_utf8()..].find(|c| !same(c));
        let end = end.map_or(rest.len(), |end| end + first.len_utf8());
        let (run, following) = rest.split_at(end);
        rest = following;
        Some(run)
    })
}

/// Whether a name matches a pattern of `*`, `?` and `[...]` (glob(7)), without slashes.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Where to go on when the last star takes one character more.
    let (mut p, mut n, mut retry) = (0, 0, None);
    loop {
        let step = match pattern.get(p) {
            None if n == name.len() => return true,
            None => None,
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(_) if n == name.len() => return false,
            Some('?') => Some(1),
            Some('[') => set(&pattern[p..], name[n]),
            Some(c) => (*c == name[n]).then_some(1),
        };
        match (step, retry) {
            (Some(len), _) => (p, n) = (p + len, n + 1),
            (None, Some((after, at))) if at < name.len() => {
                retry = Some((after, at + 1));
                (p, n) = (after, at + 1);
            }
            (None, _) => return false,
        }
    }
}

/// The length of the set at the begin of a pattern, when it has the character; a bracket
/// without an end stands for itself.
fn set(pattern: &[char], wanted: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    let end = pattern.iter().skip(first + 1).position(|&c| c == ']').map(|at| at + first + 1);
    let Some(end) = end else { return (wanted == '[').then_some(1) };
    let (mut at, mut found) = (first, false);
    while at < end {
        if at + 2 < end && pattern[at + 1] == '-' {
            found |= (pattern[at]..=pattern[at + 2]).contains(&wanted);
            at += 3;
        } else {
            found |= pattern[at] == wanted;
            at += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_their_order() {
        for pair in [
            ["6.1.0-9-amd64", "6.1.0-10-amd64"],
            ["5.14.0-70.el9", "5.14.0-70.13.1.el9"],
            ["6.8.0-9", "6.8.0-31"],
            ["6.1", "6.1.2"],
            ["6.8~rc1", "6.8"],
            ["6.09", "6.10"],
            ["4.18.0-425.el8", "4.18.0-425.3.1.el8"],
        ] {
            assert_eq!(newer(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(newer(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(newer("6.1-a", "6.1-a"), Ordering::Equal);
    }

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, name, expected) in [
            ("vmlinuz*", "vmlinuz-6.1", true),
            ("*generic", "vmlinuz-5-generic", true),
            ("*a*b*c", "xaxbxbxc", true),
            ("*a*b*c", "xaxcxb", false),
            ("vmlinu?-*", "vmlinuz-1", true),
            ("vmlinu[xz]-1", "vmlinuz-1", true),
            ("v[!a-y]", "vz", true),
            ("v[!a-z]", "vz", false),
            ("v[]]", "v]", true),
            ("v[", "v[", true),
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
