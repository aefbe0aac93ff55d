//! Release files: what an archive signs.

use super::{Keyring, Release, Suite};
use crate::digest::Digest;
use crate::openpgp::{self, SignatureError};

/// Why a release file is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It is not a clear-signed text.
    #[error("{url} carries no signature that can be read: {reason}")]
    Unsigned {
        /// Its address.
        url: String,
        /// What the parser says.
        reason: String,
    },
    /// No key of the keyring made a valid signature.
    #[error("{url} is not signed by a key of {keyring}: {reason}")]
    Untrusted {
        /// Its address.
        url: String,
        /// The keyring's name.
        keyring: String,
        /// Why each signature was refused.
        reason: String,
    },
    /// Its time is over, or has not come.
    #[error("{url} {what}; is the clock right, is the mirror stale?")]
    Time {
        /// Its address.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// A field is missing or malformed.
    #[error("{url}: the field {field} is missing or malformed")]
    Field {
        /// Its address.
        url: String,
        /// The field.
        field: &'static str,
    },
}

/// Verifies a signed release file and reads what it promises.
pub(super) fn verify(
    bytes: &[u8],
    url: &str,
    suite: &Suite,
    arch: &str,
    keyring: &Keyring,
    now: i64,
) -> Result<Release, ReleaseError> {
    let url_of = || url.to_owned();
    let signed = openpgp::clear_signed(bytes, keyring, now).map_err(|error| match error {
        SignatureError::Unsigned { reason } => ReleaseError::Unsigned { url: url_of(), reason },
        SignatureError::Untrusted { keyring, reason } => {
            ReleaseError::Untrusted { url: url_of(), keyring, reason }
        }
    })?;
    // Only what was signed is read from here on.
    parse(&signed.text.replace("\r\n", "\n"), url, suite, arch, now)
}

fn parse(
    text: &str,
    url: &str,
    suite: &Suite,
    arch: &str,
    now: i64,
) -> Result<Release, ReleaseError> {
    let field = |name: &'static str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key == name).then(|| value.trim().to_owned())
        })
    };
    let missing = |field| ReleaseError::Field { url: url.to_owned(), field };
    let date = field("Date").and_then(|text| time(&text)).ok_or_else(|| missing("Date"))?;
    let stale = |what: String| Err(ReleaseError::Time { url: url.to_owned(), what });
    if date > now + 86_400 {
        return stale("was made in the future".to_owned());
    }
    if let Some(until) = field("Valid-Until") {
        let end = time(&until).ok_or_else(|| missing("Valid-Until"))?;
        if now > end {
            return stale(format!("expired on {until}"));
        }
    }
    let mut indices = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if !line.starts_with(' ') {
            inside = line == "SHA256:";
            continue;
        }
        if !inside {
            continue;
        }
        let mut parts = line.split_whitespace();
        let (Some(digest), Some(size), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let wanted = suite.components.iter().any(|component| {
            path.strip_prefix(component.as_str())
                .and_then(|rest| rest.strip_prefix(&format!("/binary-{arch}/Packages")))
                .is_some_and(|rest| matches!(rest, "" | ".gz" | ".xz"))
        });
        if wanted {
            let digest = Digest::from_hex(digest).ok().ok_or_else(|| missing("SHA256"))?;
            let size = size.parse().ok().ok_or_else(|| missing("SHA256"))?;
            indices.push((path.to_owned(), digest, size));
        }
    }
    Ok(Release { suite: suite.clone(), digest: Digest::of(text), date, indices })
}

/// `Sat, 11 Jul 2026 10:16:37 UTC`.
fn time(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches("UTC").trim_end_matches("GMT").trim();
    let time = chrono::NaiveDateTime::parse_from_str(text, "%a, %d %b %Y %H:%M:%S").ok()?;
    Some(time.and_utc().timestamp())
}
