//! Tries again what may have failed by chance.

use std::time::Duration;

use super::FetchError;
use crate::retry::{FILES, Tries, wait};

/// Calls `attempt` until it succeeds, fails for good, or has failed four times.
pub(super) fn retry<T>(
    mut attempt: impl FnMut() -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let mut tries = Tries::new(FILES);
    loop {
        let error = match attempt() {
            Err(error) if by_chance(&error) => error,
            other => return other,
        };
        let Some(pause) = tries.fail(asked(&error)) else { return Err(error) };
        tracing::debug!(%error, ?pause, "trying again");
        wait(pause);
    }
}

/// When the server wants to be asked again, if it says so.
fn asked(error: &FetchError) -> Option<Duration> {
    match error {
        FetchError::Status { after, .. } => *after,
        _ => None,
    }
}

/// A refused connection, a busy server and a body cut short may be better next time; a
/// wrong digest with the right size, a refusal or a full disk will not.
fn by_chance(error: &FetchError) -> bool {
    match error {
        FetchError::Transport { source, .. } => !source.is_builder(),
        FetchError::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
        FetchError::Mismatch { url, what, .. } => *what == "the size" && !url.starts_with("file:"),
        FetchError::Io { url, .. } => !url.starts_with("file:"),
        FetchError::Client(_) | FetchError::TooLarge { .. } | FetchError::Write { .. } => false,
    }
}
