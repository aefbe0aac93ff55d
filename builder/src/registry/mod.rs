//! Images of registries: settings and users from the caller's side, layers as snapshots.

mod credential_helper;
pub mod credentials;
pub mod layers;
pub mod outgoing;
pub mod runnable;
pub mod settings;
pub mod user;

use goldsmith_images::digest::Digest;
use goldsmith_images::oci::{Config, Platform, Reference};
use goldsmith_images::registry::{Distrust, Progress, Pulled, Registry, RegistryError};
use goldsmith_images::store::SnapshotId;

use crate::error::{Failure, Kind, Result};
use crate::phase::session::{Session, store_failure};
use crate::report::{Event, Reporter};
use crate::request::native_arch;

/// An image that was pulled and unpacked.
#[derive(Debug, Clone)]
pub struct Image {
    /// What the store knows it by.
    pub name: String,
    /// What the reference stood for: an index or a manifest.
    pub named: Digest,
    /// The manifest.
    pub manifest: Digest,
    /// Its layers, bottom first.
    pub snapshots: Vec<SnapshotId>,
    /// How it wants to be run.
    pub config: Config,
}

/// What the store knows an image by: its reference, with the architecture when it is not
/// this machine's.
pub fn name(reference: &Reference, arch: &str) -> String {
    if arch == native_arch() { reference.to_string() } else { format!("{reference}/{arch}") }
}

/// Fetches an image, unpacks its layers and gives it its name in the store.
///
/// # Errors
///
/// When the registry does not give it, or not what was promised, or a layer is refused.
pub fn pull(
    session: &Session,
    registry: &Registry,
    reference: &Reference,
    arch: &str,
) -> Result<Image> {
    let pulled = fetch(session, registry, reference, arch);
    keep(session, reference, arch, pulled.map_err(|error| registry_failure(&error))?)
}

/// Fetches an image's blobs, unless they are there.
///
/// # Errors
///
/// When the registry does not give it, or not what was promised.
pub fn fetch(
    session: &Session,
    registry: &Registry,
    reference: &Reference,
    arch: &str,
) -> std::result::Result<Pulled, RegistryError> {
    let progress = Download { reporter: &session.reporter, what: reference.to_string() };
    registry.pull(&session.store, reference, &Platform::of_debian(arch), &progress)
}

/// Unpacks the layers of an image that is in the store and gives it its name.
///
/// # Errors
///
/// When a layer is refused.
pub fn keep(session: &Session, reference: &Reference, arch: &str, pulled: Pulled) -> Result<Image> {
    session.check_interrupted()?;
    let snapshots = layers::unpack(session, &pulled.layers)?;
    let name = name(reference, arch);
    let stored = |error| store_failure(&error);
    let named = reference.digest.unwrap_or(pulled.named);
    session.store.put_pulled(&name, pulled.image.clone(), &named).map_err(stored)?;
    session.store.put_ref(&name, &snapshots).map_err(stored)?;
    let manifest = pulled.image.digest;
    Ok(Image { name, named: pulled.named, manifest, snapshots, config: pulled.config })
}

/// What a registry's error is to people.
pub fn registry_failure(error: &RegistryError) -> Failure {
    let kind = match error {
        RegistryError::Client(_) | RegistryError::Credentials { .. } => Kind::Configuration,
        error if error.is_verification() => Kind::Verification,
        RegistryError::Redirect { .. } => Kind::Verification,
        RegistryError::Store(_) => Kind::Host,
        _ => Kind::Build,
    };
    let failure = Failure::wrap(kind, "the registry", error);
    match error {
        RegistryError::Denied { .. } => failure.hint(
            "log in as with podman or docker: REGISTRY_AUTH_FILE or --authfile names the file, else ~/.docker/config.json and podman's auth.json are read",
        ),
        RegistryError::Transport { .. } => failure.hint(match error.distrust() {
            Some(Distrust::Authority) => {
                "its certificate is of an authority that this host does not know: name the authority's by --registry-ca FILE (GOLDSMITH_REGISTRY_CA)"
            }
            Some(Distrust::Certificate) => {
                "the certificate must be valid now, and for the name by which the registry is called"
            }
            Some(Distrust::Plain) => {
                "a registry without TLS must be listed by --plain-http HOST[:PORT] (GOLDSMITH_PLAIN_HTTP)"
            }
            None => "https_proxy and no_proxy say how hosts are reached",
        }),
        _ => failure,
    }
}

struct Download<'a> {
    reporter: &'a Reporter,
    what: String,
}

impl Progress for Download<'_> {
    fn bytes(&self, done: u64, total: u64) {
        self.reporter.event(&Event::Transfer { what: self.what.clone(), done, total });
    }
}
