//! A file of an element, as the checks see it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::error::{Failure, Kind, Result};

/// Begins the comment that turns checks off for a file.
const OPT_OUT: &str = "# dib-lint: disable=";

/// A file.
#[derive(Debug)]
pub(super) struct File {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The same below the element's directory.
    pub(super) inside: PathBuf,
    /// What it says; bytes that are no UTF-8 are replaced.
    pub(super) text: String,
    /// Whether anybody may execute it.
    pub(super) executable: bool,
    off: BTreeSet<String>,
}

impl File {
    pub(super) fn read(element: &Path, path: PathBuf, ignore: &BTreeSet<String>) -> Result<Self> {
        let failed =
            |error: std::io::Error| Failure::wrap(Kind::Configuration, "an element", &error);
        let mode = fs_err::metadata(&path).map_err(failed)?.permissions().mode();
        let text = String::from_utf8_lossy(&fs_err::read(&path).map_err(failed)?).into_owned();
        let mut off = ignore.clone();
        for list in text.lines().filter_map(|line| line.strip_prefix(OPT_OUT)) {
            off.extend(list.split_whitespace().map(str::to_owned));
        }
        let inside = path.strip_prefix(element).unwrap_or(&path).to_path_buf();
        Ok(Self { path, inside, text, executable: mode & 0o111 != 0, off })
    }

    /// The file's name.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether the name ends in `.ending`.
    pub(super) fn ends_in(&self, ending: &str) -> bool {
        self.path.extension().is_some_and(|own| own == ending)
    }

    /// Whether a directory on its way below the element is called so.
    pub(super) fn is_below(&self, directory: impl Fn(&str) -> bool) -> bool {
        let parent = self.inside.parent().unwrap_or(Path::new(""));
        parent.iter().any(|name| directory(&name.to_string_lossy()))
    }

    /// Whether that check is turned off.
    pub(super) fn is_off(&self, check: &str) -> bool {
        self.off.contains(check)
    }

    /// The first line.
    pub(super) fn first(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// Whether Python reads it.
    pub(super) fn is_python(&self) -> bool {
        self.ends_in("py") || self.first().starts_with("#!") && self.first().contains("python")
    }

    /// Lines as bash's `read` gives them: those that end in a backslash go on in the next
    /// one; with the number of the first. What follows the last newline is no line.
    pub(super) fn joined_lines(&self) -> Vec<(usize, String)> {
        let mut lines = Vec::new();
        let mut begun: Option<(usize, String)> = None;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            let Some(line) = line.strip_suffix('\n') else { break };
            let (number, mut text) = begun.take().unwrap_or((index + 1, String::new()));
            let backslashes = line.chars().rev().take_while(|c| *c == '\\').count();
            if backslashes % 2 == 1 {
                text.push_str(&line[..line.len() - 1]);
                begun = Some((number, text));
            } else {
                text.push_str(line);
                lines.push((number, text.trim().to_owned()));
            }
        }
        lines
    }

    /// Adds a mistake, unless its check is turned off.
    pub(super) fn report(
        &self,
        findings: &mut Vec<Finding>,
        line: usize,
        check: &'static str,
        reason: impl Into<String>,
        instead: impl Into<String>,
    ) {
        if !self.is_off(check) {
            findings.push(Finding {
                file: self.path.clone(),
                line,
                check,
                reason: reason.into(),
                instead: instead.into(),
            });
        }
    }
}
