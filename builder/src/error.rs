//! Failures as people see them: kind, message, hints, exit status.

use std::fmt;
use std::path::Path;

/// What sort of failure ended a command; picks the exit status of the native verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A hook or a step of the build failed (1).
    Build,
    /// The command line is wrong (2).
    Usage,
    /// An element or a configuration file is wrong (3).
    Configuration,
    /// The host lacks something (4).
    Host,
    /// The lock file and the world disagree (5).
    Lock,
    /// A signature, digest or size did not verify (6).
    Verification,
    /// A bug of goldsmith (70).
    Internal,
    /// The user interrupted (130).
    Interrupted,
}

impl Kind {
    /// Returns the exit status of the native verbs for this kind.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Build => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::Host => 4,
            Self::Lock => 5,
            Self::Verification => 6,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }
}

/// A failure that a person reads: one sentence, then what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// Picks the exit status.
    pub kind: Kind,
    /// Names the cause, lower case, no full stop.
    pub message: String,
    /// What the user can do, one line each.
    pub hints: Vec<String>,
    /// The failing hook's own status; the personality returns it.
    pub hook_status: Option<i32>,
    /// Whether the cause is a full file system that is still to be named.
    no_space: bool,
}

impl Failure {
    /// Makes a failure without hints.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message, hints: Vec::new(), hook_status: None, no_space: false }
    }

    /// Adds one line that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Wraps an error with what was being done when it came up.
    pub fn wrap(kind: Kind, doing: impl fmt::Display, error: &dyn std::error::Error) -> Self {
        let mut message = format!("{doing}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        let no_space = says_no_space(&message);
        Self { no_space, ..Self::new(kind, message) }
    }

    /// Puts what the failure is about in front, unless it is named already.
    #[must_use]
    pub fn about(mut self, what: impl fmt::Display) -> Self {
        let what = what.to_string();
        if !self.message.contains(&what) {
            self.message = format!("{what}: {}", self.message);
        }
        self
    }

    /// Names the full file system, if one is the cause: `place` is the directory that was
    /// written to, `cures` say what to do. Earlier hints guessed at another cause and go.
    #[must_use]
    pub fn on_full_disk(self, what: &str, place: &Path, cures: &[&str]) -> Self {
        if !self.no_space {
            return self;
        }
        let message =
            format!("no space is left for {what} in {}: {}", place.display(), self.message);
        let hints = cures.iter().map(|cure| (*cure).to_owned()).collect();
        Self { hints, ..Self::new(Kind::Host, message) }
    }
}

/// Whether a text tells of ENOSPC or EDQUOT. Errors of namespace jobs and of hooks are known
/// by their text alone; nothing translates it.
pub fn says_no_space(text: &str) -> bool {
    ["No space left on device", "(os error 28)", "Disk quota exceeded", "(os error 122)"]
        .iter()
        .any(|mark| text.contains(mark))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The result of everything above the libraries.
pub type Result<T> = std::result::Result<T, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_once_with_its_own_cure() {
        let full = std::io::Error::from_raw_os_error(28);
        let failure = Failure::wrap(Kind::Build, "the archive", &full).hint("--mirror");
        let failure = failure.on_full_disk("outputs", Path::new("/out"), &["free some"]);
        let failure = failure.on_full_disk("the cache", Path::new("/cache"), &["other"]);
        assert_eq!(failure.kind, Kind::Host);
        assert!(failure.message.starts_with("no space is left for outputs in /out: the archive"));
        assert_eq!(failure.hints, ["free some"]);
        let other = std::io::Error::from_raw_os_error(13);
        let failure = Failure::wrap(Kind::Build, "the archive", &other).hint("--mirror");
        let failure = failure.on_full_disk("outputs", Path::new("/out"), &[]);
        assert_eq!((failure.kind, failure.hints.len()), (Kind::Build, 1));
    }
}
