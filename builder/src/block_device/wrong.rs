//! What is wrong with a configuration, and where.

use crate::error::{Failure, Kind};

/// A mistake: the line of the file, the node, what it is and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// 0 when no line is to blame.
    line: u64,
    node: String,
    what: String,
    hint: Option<String>,
    kind: Kind,
}

pub(super) type Checked<T> = std::result::Result<T, Wrong>;

impl Wrong {
    pub(super) fn new(line: u64, node: impl Into<String>, what: impl Into<String>) -> Self {
        Self { line, node: node.into(), what: what.into(), hint: None, kind: Kind::Configuration }
    }

    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// It is not the file that is wrong: this host, or this backend, cannot.
    #[must_use]
    pub(super) fn of_host(self) -> Self {
        Self { kind: Kind::Host, ..self }
    }

    /// The line, and node and mistake in words.
    pub(super) fn place_and_words(&self) -> (u64, String) {
        let node = if self.node.is_empty() { String::new() } else { format!("{}: ", self.node) };
        (self.line, format!("{node}{}", self.what))
    }

    /// One line, the file's name in front.
    pub(super) fn text(&self, file: &str) -> String {
        match self.place_and_words() {
            (0, words) => format!("{file}: {words}"),
            (line, words) => format!("{file}:{line}: {words}"),
        }
    }

    /// The failure for the user.
    pub(super) fn failure(&self, file: &str) -> Failure {
        let failure = Failure::new(self.kind, self.text(file));
        match &self.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        }
    }
}
