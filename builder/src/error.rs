//! Failures as people see them: kind, message, hints, exit status.

use std::fmt;

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
}

impl Failure {
    /// Makes a failure without hints.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), hook_status: None }
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
        Self::new(kind, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The result of everything above the libraries.
pub type Result<T> = std::result::Result<T, Failure>;
