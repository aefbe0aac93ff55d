//! Patterns of names, as Go's `filepath.Match` has them: `*` and `?`, which mean no slash, `[...]` and a
//! backslash. In files of what is left out `**` also means any number of directories.

use std::iter::Peekable;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::Chars;

use regex::Regex;

/// A pattern that was read.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern of one name, in which `**` is `*`.
    ///
    /// # Errors
    ///
    /// With what is wrong with it.
    pub(super) fn of_name(text: &str) -> Result<Self, String> {
        Self::read(text, false)
    }

    /// Reads a pattern of a whole path, in which `**` means any number of directories, none
    /// included.
    ///
    /// # Errors
    ///
    /// With what is wrong with it.
    pub(super) fn of_path(text: &str) -> Result<Self, String> {
        Self::read(text, true)
    }

    fn read(text: &str, deep: bool) -> Result<Self, String> {
        let mut regex = "(?s)^".to_owned();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '*' if deep && letters.next_if_eq(&'*').is_some() => {
                    let _slash = letters.next_if_eq(&'/');
                    let ends = letters.peek().is_none();
                    regex.push_str(if ends { ".*" } else { "(?:.*/)?" });
                }
                '*' => regex.push_str("[^/]*"),
                '?' => regex.push_str("[^/]"),
                '[' => regex.push_str(&class(&mut letters)?),
                '\\' => {
                    let escaped = letters.next().ok_or("it ends with a backslash")?;
                    regex.push_str(&regex::escape(&escaped.to_string()));
                }
                other => regex.push_str(&regex::escape(&other.to_string())),
            }
        }
        regex.push('$');
        Regex::new(&regex).map(Self).map_err(|error| error.to_string())
    }

    /// Whether a path, or a name, is meant as a whole. A byte that is no letter counts as one that
    /// cannot be written down.
    pub(super) fn is_match(&self, path: &Path) -> bool {
        let mut text = String::new();
        for chunk in path.as_os_str().as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        self.0.is_match(&text)
    }
}

/// Whether a name means others than itself.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '\\'])
}

/// What is between brackets, the first of which was read.
fn class(letters: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    const OPEN: &str = "a [ is without its end";
    let mut regex = "[".to_owned();
    if letters.next_if_eq(&'^').is_some() {
        regex.push('^');
    }
    let one = |letters: &mut Peekable<Chars<'_>>| match letters.next().ok_or(OPEN)? {
        '\\' => letters.next().ok_or(OPEN),
        '-' | ']' => Err("a - or ] between brackets needs a backslash"),
        letter => Ok(letter),
    };
    let mut empty = true;
    while empty || letters.next_if_eq(&']').is_none() {
        let low = one(letters)?;
        let high = if letters.next_if_eq(&'-').is_some() { one(letters)? } else { low };
        if low > high {
            return Err(format!("the range {low}-{high} runs backwards"));
        }
        regex.push_str(&format!("\\x{{{:X}}}-\\x{{{:X}}}", u32::from(low), u32::from(high)));
        empty = false;
    }
    regex.push(']');
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_gos_do() {
        for (pattern, yes, no) in [
            ("abc", &["abc"][..], &["abcd", "ab", "xabc"][..]),
            ("*", &["", "a", ".hidden"], &["a/b"]),
            ("a*.txt", &["a.txt", "abc.txt"], &["a/b.txt", "a.txt2"]),
            ("a**b", &["ab", "axb"], &["a/b"]),
            ("te?t", &["test", "te\u{e4}t"], &["tet", "te/t"]),
            ("[a-c^x]y", &["by", "^y", "xy"], &["dy", "y"]),
            ("[^a-c]y", &["dy", "!y"], &["ay", "y"]),
            ("[!a]", &["!", "a"], &["b"]),
            (r"[\]\-a]", &["]", "-", "a"], &["\\"]),
            (r"a\*b", &["a*b"], &["axb"]),
            ("a.b+(c)", &["a.b+(c)"], &["axb+(c)", "a.bb+(c)"]),
        ] {
            let read = Pattern::of_name(pattern).unwrap();
            for name in yes {
                assert!(read.is_match(Path::new(name)), "{pattern} {name}");
            }
            for name in no {
                assert!(!read.is_match(Path::new(name)), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn two_stars_mean_directories_in_paths() {
        for (pattern, yes, no) in [
            ("**", &["a", "a/b", ".x/y"][..], &[][..]),
            ("**/x", &["x", "a/x", "a/b/x"], &["ax", "x/a"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb"]),
            ("**/*.go", &["x.go", "a/b/x.go"], &["x.gox"]),
            ("*/temp*", &["a/temp", "a/temp1"], &["temp", "a/b/temp"]),
        ] {
            let read = Pattern::of_path(pattern).unwrap();
            for name in yes {
                assert!(read.is_match(Path::new(name)), "{pattern} {name}");
            }
            for name in no {
                assert!(!read.is_match(Path::new(name)), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn names_need_not_be_text() {
        let name = Path::new(std::ffi::OsStr::from_bytes(b"a/\xffx\xe4\xb8.o"));
        for pattern in ["a/*.o", "**/*.o", "**", "a/**", "a/?x??.o", "a/[^a]x*"] {
            assert!(Pattern::of_path(pattern).unwrap().is_match(name), "{pattern}");
        }
        for pattern in ["a/x*", "a/?x?.o", "a/[a-z]x*"] {
            assert!(!Pattern::of_path(pattern).unwrap().is_match(name), "{pattern}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for (pattern, words) in [
            ("[a", "without its end"),
            ("[", "without its end"),
            ("[]a]", "needs a backslash"),
            ("[-a]", "needs a backslash"),
            ("[a-]", "needs a backslash"),
            ("[z-a]", "runs backwards"),
            ("a\\", "ends with a backslash"),
            ("[\\", "without its end"),
        ] {
            let error = Pattern::of_name(pattern).unwrap_err();
            assert!(error.contains(words), "{pattern}: {error}");
        }
    }
}
