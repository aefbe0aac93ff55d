//! Why a connection is not believed, which no other try mends.

use std::error::Error;

use super::RegistryError;

/// What is wrong with the other side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody who is believed gave it its certificate.
    Authority,
    /// Its certificate is another's, or not valid now.
    Certificate,
    /// It does not speak TLS.
    Plain,
}

impl Distrust {
    /// Finds out by the causes of an error: the TLS library has no type for them that comes
    /// through the HTTP client.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            let has = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
            // A bad signature is that of another authority of the same name.
            if has(&["UnknownIssuer", "BadSignature", "CaUsedAsEndEntity"]) {
                return Some(Self::Authority);
            }
            if has(&["certificate"]) {
                return Some(Self::Certificate);
            }
            if has(&["corrupt message", "InvalidContentType"]) {
                return Some(Self::Plain);
            }
            cause = error.source();
        }
        None
    }
}

impl RegistryError {
    /// Whether the connection was refused by us, and why.
    pub fn distrust(&self) -> Option<Distrust> {
        match self {
            Self::Transport { source, .. } => Distrust::of(source.as_ref()),
            _ => None,
        }
    }
}
