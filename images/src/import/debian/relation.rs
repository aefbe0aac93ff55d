//! Package relations (Debian policy, chapter 7).

use std::cmp::Ordering;

use debversion::Version;

/// `name (>= version)` of a dependency field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) version: Option<(Operator, Version)>,
}

/// How versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Earlier,
    EarlierEqual,
    Equal,
    LaterEqual,
    Later,
}

impl Operator {
    pub(super) fn holds(self, have: &Version, want: &Version) -> bool {
        let order = have.cmp(want);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::EarlierEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::LaterEqual => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }
}

/// Reads a field into its clauses, each a list of alternatives. Architecture and profile
/// restrictions do not occur in binary packages; `:any` and the like only matter to
/// foreign architectures.
pub(super) fn clauses(field: &str) -> Vec<Vec<Relation>> {
    field
        .split(',')
        .map(|clause| clause.split('|').filter_map(relation).collect::<Vec<_>>())
        .filter(|clause| !clause.is_empty())
        .collect()
}

fn relation(text: &str) -> Option<Relation> {
    let text = text.trim();
    let (name, rest) = match text.find([' ', '(', '[', '<']) {
        Some(at) => (&text[..at], &text[at..]),
        None => (text, ""),
    };
    let name = name.split(':').next().unwrap_or(name);
    if name.is_empty() {
        return None;
    }
    let version =
        rest.split_once('(').and_then(|(_, rest)| rest.split_once(')')).and_then(|(inner, _)| {
            let inner = inner.trim();
            let (operator, version) = [
                ("<<", Operator::Earlier),
                ("<=", Operator::EarlierEqual),
                (">=", Operator::LaterEqual),
                (">>", Operator::Later),
                ("=", Operator::Equal),
            ]
            .iter()
            .find_map(|(sign, operator)| Some((*operator, inner.strip_prefix(sign)?)))?;
            Some((operator, version.trim().parse().ok()?))
        });
    Some(Relation { name: name.to_owned(), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let clauses = clauses("libc6 (>= 2.36), awk | mawk:any, x (<< 1:2-3) | y,");
        assert_eq!(clauses.len(), 3);
        assert_eq!(clauses[1][1].name, "mawk");
        let (operator, version) = clauses[2][0].version.clone().unwrap();
        assert_eq!(operator, Operator::Earlier);
        assert_eq!(version.to_string(), "1:2-3");
    }

    #[test]
    fn versions_compare_as_dpkg_does() {
        for (a, b) in [
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0+b1"),
            ("9", "10"),
            ("1:0.1", "2:0.0"),
            ("2.36-9+deb12u9", "2.36-9+deb12u10"),
            ("1.2-1~bpo1", "1.2-1"),
        ] {
            let (a, b): (Version, Version) = (a.parse().unwrap(), b.parse().unwrap());
            assert!(Operator::Earlier.holds(&a, &b), "{a} {b}");
            assert!(!Operator::LaterEqual.holds(&a, &b), "{a} {b}");
        }
    }
}
