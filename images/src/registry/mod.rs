//! Registries (OCI distribution specification): pulling and pushing.
//!
//! A client of our own on the HTTP client that fetches packages, because retries, resuming,
//! mirrors and the rule where credentials may go are most of the work, and another HTTP stack
//! would be compiled for the rest. Nothing is believed but digests that the caller or a
//! verified document named; nothing is visible before it is verified.

mod auth;
mod challenge;
mod disks;
mod distrust;
mod endpoint;
mod held;
mod pieces;
mod pull;
mod push;
mod referrers;
mod send;
#[cfg(test)]
mod tests;
mod together;

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use reqwest::blocking::Client;

use crate::digest::Digest;
use crate::fetch::{FetchError, Proxies};
use crate::oci::OciError;
use crate::store::StoreError;

pub use disks::{DISKS, DiskFile, Role};
pub use distrust::Distrust;
pub use pieces::Pieces;
pub use pull::{Progress, Pulled};
pub use push::{Source, SourceError};
pub use referrers::Artifact;

/// Why a registry does not give or take an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The HTTP client cannot be made, for instance because an authority's certificate is none.
    #[error("the HTTP client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer came, or it broke off, after all tries.
    #[error("{url} cannot be reached")]
    Transport {
        /// The address.
        url: String,
        /// The last try's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry refused.
    #[error("{url}: the registry answers {status}{detail}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says of it, harmless, with a separator in front.
        detail: String,
    },
    /// The registry wants a user, or another one.
    #[error("{host} refuses access to {repository}{detail}")]
    Denied {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// Why no credentials were sent, or what it says.
        detail: String,
    },
    /// An answer that leads where nothing may be asked.
    #[error("{url} leads to {to}, {reason}")]
    Redirect {
        /// The address.
        url: String,
        /// The other address.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// An answer that makes no sense.
    #[error("{url}: {problem}")]
    Answer {
        /// The address.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// Other bytes came than were promised.
    #[error("{url}: {what} is not that of {expected}")]
    Mismatch {
        /// The address.
        url: String,
        /// Size or digest.
        what: &'static str,
        /// What was promised.
        expected: Digest,
    },
    /// A document is refused.
    #[error("{url}")]
    Document {
        /// The address.
        url: String,
        /// Why.
        source: OciError,
    },
    /// Credentials cannot be had.
    #[error("credentials of {host}: {problem}")]
    Credentials {
        /// The registry.
        host: String,
        /// Why.
        problem: String,
    },
    /// The store does not take or give a blob.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is to be pushed cannot be read.
    #[error("the image to push")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl RegistryError {
    /// Whether something was other than promised, which no other try mends.
    pub fn is_verification(&self) -> bool {
        matches!(self, Self::Mismatch { .. } | Self::Document { .. })
    }
}

/// A user of a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name; empty when the secret is an identity token.
    pub user: String,
    /// Password or token; never shown.
    pub secret: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Knows users of registries.
pub trait Credentials: Send + Sync + fmt::Debug {
    /// The user for a host, with its port if it has one; nothing for anonymous access.
    ///
    /// # Errors
    ///
    /// With the reason, when a file or a helper fails.
    fn login(&self, host: &str, repository: &str) -> Result<Option<Login>, String>;
}

/// What the caller chose; the library reads no environment.
#[derive(Debug, Default)]
pub struct Settings {
    /// Proxies.
    pub proxies: Proxies,
    /// Hosts, with their port if it is not the usual one, that are asked without TLS.
    pub plain_http: Vec<String>,
    /// A registry, and where to ask before it: `HOST[:PORT][/PREFIX]`, in this order.
    pub mirrors: Vec<(String, String)>,
    /// Certificates of authorities, PEM, beside the host's.
    pub authorities: Vec<Vec<u8>>,
    /// Users.
    pub credentials: Option<Box<dyn Credentials>>,
}

/// Talks to registries; cheap to share between threads.
#[derive(Debug)]
pub struct Registry {
    http: Client,
    settings: Settings,
    /// `Authorization` headers by host and scope.
    tokens: Mutex<HashMap<(String, String), String>>,
}

impl Registry {
    /// Makes a client.
    ///
    /// # Errors
    ///
    /// When a proxy's address or a certificate is malformed.
    pub fn new(settings: Settings) -> Result<Self, RegistryError> {
        let client = |error: reqwest::Error| RegistryError::Client(Box::new(error));
        let mut builder = crate::fetch::http(&settings.proxies)
            .map_err(|error: FetchError| RegistryError::Client(Box::new(error)))?
            // By our own rules.
            .redirect(reqwest::redirect::Policy::none());
        for pem in &settings.authorities {
            let more = reqwest::Certificate::from_pem_bundle(pem).map_err(client)?;
            builder = builder.tls_certs_merge(more);
        }
        let http = builder.build().map_err(client)?;
        Ok(Self { http, settings, tokens: Mutex::default() })
    }
}
