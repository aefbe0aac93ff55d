//! What of a context is left out: `.containerignore` or `.dockerignore`, as the Dockerfile reference
//! and containerignore(5) describe them.
//!
//! A line is a pattern of paths below the context. What it means is left out with all that is below
//! it; a `!` in front takes it in again. The last line that means a path counts.

use std::path::{Path, PathBuf};

use super::pattern::Pattern;
use crate::error::{Failure, Kind, Result};

/// The names of such files, the first that is there counts.
const NAMES: [&str; 2] = ["containerignore", "dockerignore"];

/// The lines of a file that leaves something out.
#[derive(Debug, Clone, Default)]
pub(super) struct Ignore {
    file: PathBuf,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    line: usize,
    pattern: Pattern,
    /// The names of the path that the pattern is of.
    names: Vec<String>,
    /// Whether it takes in again.
    takes: bool,
}

impl Ignore {
    /// Reads the file that is for a container file: the one beside it that has its name in front,
    /// or that of the context; nothing is left out when there is none.
    ///
    /// # Errors
    ///
    /// When one is there and cannot be read or understood.
    pub(super) fn find(containerfile: &Path, context: &Path) -> Result<Self> {
        let own = containerfile.file_name().unwrap_or_default().to_string_lossy();
        let beside = NAMES.map(|name| containerfile.with_file_name(format!("{own}.{name}")));
        let inside = NAMES.map(|name| context.join(format!(".{name}")));
        let Some(file) = beside.into_iter().chain(inside).find(|path| path.is_file()) else {
            return Ok(Self::default());
        };
        let text = fs_err::read_to_string(&file).map_err(|error| {
            Failure::wrap(Kind::Configuration, "what the context leaves out", &error)
        })?;
        let rules = rules(&text).map_err(|(line, reason)| {
            let message = format!("{}, line {line}: {reason}", file.display());
            Failure::new(Kind::Configuration, message)
                .hint("patterns are those of Go's filepath.Match, and `**` for any directories")
        })?;
        Ok(Self { file, rules })
    }

    /// The line by which a path, seen from the context, is left out.
    pub(super) fn leaves_out(&self, path: &Path) -> Option<usize> {
        let mut by = None;
        for rule in &self.rules {
            // Whatever is not left out cannot be taken in, and so on.
            if rule.takes != by.is_some() {
                continue;
            }
            let mut above = path.ancestors().filter(|path| *path != Path::new(""));
            if above.any(|path| rule.pattern.is_match(path)) {
                by = Some(rule.line).filter(|_| !rule.takes);
            }
        }
        by
    }

    /// Whether something may be taken in again below a path that is left out.
    pub(super) fn takes_below(&self, path: &Path) -> bool {
        self.rules.iter().any(|rule| rule.takes && rule.reaches_below(path))
    }

    /// The file, for messages.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

impl Rule {
    /// Whether the pattern may mean something below a path. One that means the path itself or what
    /// is above it says nothing of its own about what is below.
    fn reaches_below(&self, path: &Path) -> bool {
        let mut names = self.names.iter();
        for part in path.components() {
            let Some(name) = names.next() else { return false };
            // A class of letters may mean a slash, too, as Docker's do.
            if name.contains("**") || name.contains('[') {
                return true;
            }
            // One that only means something together with its neighbours may mean anything.
            let Ok(pattern) = Pattern::of_name(name) else { return true };
            if !pattern.is_match(Path::new(part.as_os_str())) {
                return false;
            }
        }
        names.next().is_some()
    }
}

fn rules(text: &str) -> std::result::Result<Vec<Rule>, (usize, String)> {
    let mut rules = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let (takes, text) = match line.trim().strip_prefix('!') {
            Some(text) => (true, text.trim()),
            None => (false, line.trim()),
        };
        let line = at + 1;
        if text.is_empty() {
            return Err((line, "a ! without a pattern".to_owned()));
        }
        let text = clean(text);
        let pattern = Pattern::of_path(&text).map_err(|reason| (line, reason))?;
        let names = text.split('/').map(str::to_owned).collect();
        rules.push(Rule { line, pattern, names, takes });
    }
    Ok(rules)
}

/// The shortest path that is the same, without slashes at its ends: the context is the root.
fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignore(text: &str) -> Ignore {
        Ignore { file: PathBuf::new(), rules: rules(text).unwrap() }
    }

    #[test]
    fn the_last_line_that_means_a_path_counts() {
        for (text, out, kept) in [
            ("", &[][..], &["a", "a/b"][..]),
            ("# a\n\n  \na\n", &["a", "a/b", "a/b/c"], &["b/a", "ab"]),
            // Not a comment, and blanks at the ends mean nothing.
            (" #a \n", &["#a"], &["a"]),
            ("/foo/bar/\n", &["foo/bar", "foo/bar/x"], &["foo", "bar"]),
            ("./a//b/../c\n", &["a/c"], &["a/b"]),
            ("*.md\n!README.md\n", &["x.md"], &["README.md", "deep/x.md"]),
            ("*.md\n!README*.md\nREADME-secret.md\n", &["README-secret.md"], &["README-x.md"]),
            ("*.md\nREADME-secret.md\n!README*.md\n", &["x.md"], &["README-secret.md"]),
            ("*\n!src\n! src2 \n", &["a", "a/src"], &["src", "src/x/y", "src2/z"]),
            ("**/*.o\n!keep/**\n", &["x.o", "a/b/x.o"], &["keep/x.o", "a/x.c"]),
            ("a/*/c\n", &["a/b/c", "a/b/c/d"], &["a/b", "a/c"]),
            ("node_modules\n", &["node_modules/x"], &["deep/node_modules"]),
            ("a/**/b\n", &["a/b", "a/x/b/c"], &["b"]),
            ("\u{feff}a\r\nb\r\n", &["a", "b"], &["c"]),
        ] {
            let rules = ignore(text);
            for path in out {
                assert!(rules.leaves_out(Path::new(path)).is_some(), "{text:?} {path}");
            }
            for path in kept {
                assert!(rules.leaves_out(Path::new(path)).is_none(), "{text:?} {path}");
            }
        }
        let rules = ignore("# x\na\n!a/b\na/b/c\n");
        assert_eq!(rules.leaves_out(Path::new("a/x")), Some(2));
        assert_eq!(rules.leaves_out(Path::new("a/b/c")), Some(4));
    }

    #[test]
    fn only_where_something_may_be_taken_in_is_looked() {
        for (text, yes, no) in [
            ("a\n", &[][..], &["a"][..]),
            ("*\n!a/b*/c\n", &["a", "a/b", "a/bx"], &["b", "a/c", "a/b/c", "a/b/c/d"]),
            ("*\n!a\n", &[], &["a", "b"]),
            ("*\n!**/x\n", &["a", "a/b/c"], &[]),
            ("*\n!a/**/x\n", &["a", "a/b", "a/b/c"], &["b"]),
            ("*\n!x[^a]y\n", &["x"], &[]),
        ] {
            let ignore = ignore(text);
            for path in yes {
                assert!(ignore.takes_below(Path::new(path)), "{text:?} {path}");
            }
            for path in no {
                assert!(!ignore.takes_below(Path::new(path)), "{text:?} {path}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_line() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("Containerfile");
        let find = || Ignore::find(&file, place.path());
        assert!(find().unwrap().rules.is_empty());
        for (text, line) in [("a\n[b\n", 2), ("!\n", 1), ("\n\nx\\\n", 3)] {
            fs_err::write(place.path().join(".dockerignore"), text).unwrap();
            let failure = find().unwrap_err();
            let named = format!(".dockerignore, line {line}: ");
            assert!(failure.message.contains(&named), "{failure}");
            assert_eq!(failure.kind, Kind::Configuration);
        }
        // In their order: the nearest one to the container file, podman's before docker's.
        for name in
            [".containerignore", "Containerfile.dockerignore", "Containerfile.containerignore"]
        {
            fs_err::write(place.path().join(name), "x\n").unwrap();
            assert!(find().unwrap().file().ends_with(name));
        }
    }
}
