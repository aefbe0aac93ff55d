//! What a publisher's signature is worth: clear-signed texts and signatures beside a file.

mod keyring;
#[cfg(test)]
pub(crate) mod test_key;

use std::io::Cursor;

use pgp::composed::{CleartextSignedMessage, Deserializable, DetachedSignature};
use pgp::packet::Signature;

#[cfg(test)]
pub(crate) use keyring::strong;
pub use keyring::{Keyring, KeyringError};

/// Why a text is not believed; what it is, the caller says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no signature, or none that can be parsed.
    #[error("carries no signature that can be read: {reason}")]
    Unsigned {
        /// What the parser says.
        reason: String,
    },
    /// No key of the keyring made a valid signature.
    #[error("is not signed by a key of {keyring}: {reason}")]
    Untrusted {
        /// The keyring's name.
        keyring: String,
        /// Why each signature was refused.
        reason: String,
    },
}

/// A text that a key of a keyring has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The text: only this was signed.
    pub text: String,
    /// When the newest good signature says that it was made, in seconds since the epoch.
    pub made: i64,
    /// The signing key's fingerprint, in upper case.
    pub key: String,
}

/// Reads a clear-signed text, as Debian's release files and Fedora's checksums are. Line
/// ends are as they were signed: CR and LF.
///
/// # Errors
///
/// When no key of the keyring made a signature that is good at `now` (seconds since the
/// epoch).
pub fn clear_signed(bytes: &[u8], keyring: &Keyring, now: i64) -> Result<Signed, SignatureError> {
    let unsigned = |reason: String| SignatureError::Unsigned { reason };
    let text = std::str::from_utf8(bytes).map_err(|error| unsigned(error.to_string()))?;
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|error| unsigned(error.to_string()))?;
    let text = message.signed_text();
    let (made, key) = believe(message.signatures(), text.as_bytes(), keyring, now)?;
    Ok(Signed { text, made, key })
}

/// Reads a text by the signature that lies beside it, armored or not.
///
/// # Errors
///
/// When no key of the keyring made a signature that is good at `now` (seconds since the
/// epoch).
pub fn detached(
    text: &[u8],
    signature: &[u8],
    keyring: &Keyring,
    now: i64,
) -> Result<Signed, SignatureError> {
    let unsigned = |reason: String| SignatureError::Unsigned { reason };
    let (list, _) = DetachedSignature::from_reader_many(Cursor::new(signature))
        .map_err(|error| unsigned(error.to_string()))?;
    let list: Vec<_> =
        list.collect::<Result<_, _>>().map_err(|error| unsigned(error.to_string()))?;
    if list.is_empty() {
        return Err(unsigned("the file of signatures is empty".to_owned()));
    }
    let signatures: Vec<_> = list.into_iter().map(|one| one.signature).collect();
    let (made, key) = believe(&signatures, text, keyring, now)?;
    let text = std::str::from_utf8(text).map_err(|error| unsigned(error.to_string()))?;
    Ok(Signed { text: text.to_owned(), made, key })
}

/// Time and key of the newest good signature.
fn believe(
    signatures: &[Signature],
    text: &[u8],
    keyring: &Keyring,
    now: i64,
) -> Result<(i64, String), SignatureError> {
    let mut refusals = Vec::new();
    let mut good = None;
    for signature in signatures {
        match keyring.believe(signature, text, now) {
            Ok(found) => good = good.max(Some(found)),
            Err(reason) => refusals.push(reason),
        }
    }
    good.ok_or_else(|| {
        refusals.dedup();
        let keyring = keyring.name().to_owned();
        SignatureError::Untrusted { keyring, reason: refusals.join("; ") }
    })
}
