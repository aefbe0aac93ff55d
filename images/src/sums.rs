//! Files of checksums, as publishers of images lay them beside those: `SHA256SUMS` and
//! `SHA512SUMS` of sha256sum(1), and BSD's `SHA256 (NAME) = DIGITS`, as `CHECKSUM` has it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a file of checksums does not say what a file must be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SumsError {
    /// It does not name the file.
    #[error("no line is about {name}")]
    Missing {
        /// The name that was looked for.
        name: String,
    },
    /// It names the file with different checksums.
    #[error("it has two different checksums for {name}")]
    Contradiction {
        /// The name.
        name: String,
    },
    /// Several files have names of the form.
    #[error("{pattern} stands for several files: {names}")]
    Several {
        /// What was looked for.
        pattern: String,
        /// What was found.
        names: String,
    },
    /// A text that is no checksum.
    #[error("{text:?} is no checksum: sha256: or sha512: and hexadecimal digits")]
    Malformed {
        /// The text.
        text: String,
    },
}

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// A checksum that still holds, written `sha256:DIGITS` or `sha512:DIGITS`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sum {
    algorithm: Algorithm,
    digits: String,
}

impl Sum {
    /// Takes hexadecimal digits, small or capital.
    ///
    /// # Errors
    ///
    /// When they are not as many as the algorithm gives, or none.
    pub fn new(algorithm: Algorithm, digits: &str) -> Result<Self, SumsError> {
        let count = match algorithm {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        };
        if digits.len() != count || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(SumsError::Malformed { text: digits.to_owned() });
        }
        Ok(Self { algorithm, digits: digits.to_ascii_lowercase() })
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digits, small: safe as a file name.
    pub fn digits(&self) -> &str {
        &self.digits
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        };
        write!(f, "{name}:{}", self.digits)
    }
}

impl FromStr for Sum {
    type Err = SumsError;

    fn from_str(text: &str) -> Result<Self, SumsError> {
        match text.split_once(':') {
            Some(("sha256", digits)) => Self::new(Algorithm::Sha256, digits),
            Some(("sha512", digits)) => Self::new(Algorithm::Sha512, digits),
            _ => Err(SumsError::Malformed { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Sum {
    type Error = SumsError;

    fn try_from(text: String) -> Result<Self, SumsError> {
        text.parse()
    }
}

impl From<Sum> for String {
    fn from(sum: Sum) -> Self {
        sum.to_string()
    }
}

/// The checksum of the file `name`, in which one `*` stands for any text; and the file's
/// whole name.
///
/// # Errors
///
/// When the text is about no such file, about several, or contradicts itself.
pub fn find(text: &str, name: &str) -> Result<(String, Sum), SumsError> {
    let mut found: Vec<(String, Sum)> = Vec::new();
    for (other, sum) in text.lines().filter_map(line) {
        if !stands_for(name, &other) {
            continue;
        }
        let contradicts = found.iter().any(|(known, with)| {
            *known == other && with.algorithm() == sum.algorithm() && *with != sum
        });
        if contradicts {
            return Err(SumsError::Contradiction { name: other });
        }
        found.push((other, sum));
    }
    found.sort();
    found.dedup_by(|later, earlier| later.0 == earlier.0);
    match <[_; 1]>::try_from(found) {
        Ok([only]) => Ok(only),
        Err(none) if none.is_empty() => Err(SumsError::Missing { name: name.to_owned() }),
        Err(several) => {
            let names: Vec<_> = several.into_iter().map(|(name, _)| name).collect();
            Err(SumsError::Several { pattern: name.to_owned(), names: names.join(", ") })
        }
    }
}

/// Whether a name is of a form. What a `*` stands for has no slash.
fn stands_for(form: &str, name: &str) -> bool {
    match form.split_once('*') {
        None => form == name,
        Some((before, after)) => {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
                && !name.contains('/')
        }
    }
}

/// A file's name and its checksum; none for comments and for methods that do not hold.
fn line(line: &str) -> Option<(String, Sum)> {
    let line = line.trim_end();
    let tagged = line.split_once(" (").and_then(|(method, rest)| {
        let (name, digits) = rest.rsplit_once(") = ")?;
        Some((method, name, digits))
    });
    let (algorithm, digits, name) = match tagged {
        Some(("SHA256", name, digits)) => (Algorithm::Sha256, digits, name),
        Some(("SHA512", name, digits)) => (Algorithm::Sha512, digits, name),
        Some(_) => return None,
        None => {
            let (digits, name) = line.split_once([' ', '\t'])?;
            let name = name.trim_start_matches([' ', '\t']);
            let name = name.strip_prefix('*').unwrap_or(name);
            let algorithm = if digits.len() == 128 { Algorithm::Sha512 } else { Algorithm::Sha256 };
            (algorithm, digits, name)
        }
    };
    let name = name.strip_prefix("./").unwrap_or(name);
    Some((name.to_owned(), Sum::new(algorithm, digits).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_styles_of_publishers_are_read() {
        let (a, b) = ("a".repeat(64), "B".repeat(128));
        let text = format!(
            "# Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2: 530055168 bytes\n\
             SHA256 (Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2) = {a}\r\n\
             {a} *noble-server-cloudimg-amd64.squashfs\n{b}  debian-12-genericcloud-amd64.qcow2\n\
             {a}  ./openSUSE.qcow2\nMD5 (other) = {}\nshort  other\n",
            "c".repeat(32)
        );
        for (form, name, sum) in [
            ("noble-server-cloudimg-amd64.squashfs", None, format!("sha256:{a}")),
            ("debian-12-genericcloud-amd64.qcow2", None, format!("sha512:{}", "b".repeat(128))),
            ("openSUSE.qcow2", None, format!("sha256:{a}")),
            (
                "Fedora-Cloud-Base-Generic-42-*.x86_64.qcow2",
                Some("Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2"),
                format!("sha256:{a}"),
            ),
        ] {
            let found = find(&text, form).unwrap();
            assert_eq!((found.0.as_str(), found.1.to_string()), (name.unwrap_or(form), sum));
        }
        for name in ["other", "noble", "noble-server-cloudimg-amd64.squashfs.zsync", ""] {
            assert_eq!(find(&text, name), Err(SumsError::Missing { name: name.to_owned() }));
        }
        assert!(matches!(find(&text, "*.qcow2"), Err(SumsError::Several { .. })));
    }

    #[test]
    fn contradictions_are_refused() {
        let text = format!("{}  x\n{}  x\n", "a".repeat(64), "b".repeat(64));
        assert_eq!(find(&text, "x"), Err(SumsError::Contradiction { name: "x".to_owned() }));
        let twice = format!("{0}  x\n{0}  x\n{1}  x\n", "a".repeat(64), "b".repeat(128));
        assert_eq!(find(&twice, "x").unwrap().1.algorithm(), Algorithm::Sha256);
    }
}
