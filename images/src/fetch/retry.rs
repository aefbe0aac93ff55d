//! Tries again what may have failed by chance.

use std::time::Duration;

use super::FetchError;

/// Pauses between tries, in milliseconds; tests have no time for them.
const PAUSES: [u64; 3] = if cfg!(test) { [1, 1, 1] } else { [500, 2_000, 5_000] };

/// Calls `attempt` until it succeeds, fails for good, or has failed four times.
pub(super) fn retry<T>(
    mut attempt: impl FnMut() -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    for pause in PAUSES.map(Duration::from_millis) {
        match attempt() {
            Err(error) if by_chance(&error) => {
                tracing::debug!(%error, ?pause, "trying again");
                std::thread::sleep(pause);
            }
            other => return other,
        }
    }
    attempt()
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
