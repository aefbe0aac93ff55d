//! Bases that are images of a registry.

use goldsmith_images::digest::Digest;
use goldsmith_images::oci::{Platform, Reference, Run};
use goldsmith_images::registry::{Pulled, Registry, RegistryError};
use serde::{Deserialize, Serialize};

use super::{BasePlan, Bootstrap, Origin, RELEASES_SECONDS, now};
use crate::element::base_yaml::Oci;
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::{Done, Recipe};
use crate::phase::key::{Key, KeyBuilder};
use crate::phase::session::store_failure;
use crate::phase::state::State;
use crate::registry::registry_failure;
use crate::registry::settings::RegistryArgs;

/// An image whose digest is known.
#[derive(Debug, Clone)]
pub(super) struct OciBase {
    /// As the element names it.
    pub(super) asked: String,
    /// The same with the digest that this stands for.
    pub(super) reference: Reference,
    /// The manifest for the architecture.
    manifest: Digest,
    arch: String,
    /// Whether a lock says which one it is.
    locked: bool,
}

impl OciBase {
    /// What `run --image` knows it by.
    pub(super) fn name(&self) -> String {
        crate::registry::name(&self.reference, &self.arch)
    }
}

/// What a name stood for when it was looked up last.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Resolved {
    /// Seconds since the epoch; garbage collection reads it.
    created: u64,
    /// An index or a manifest.
    named: Digest,
    /// The manifest.
    pub(super) manifest: Digest,
    /// When the image was made, if it says so.
    pub(super) made: Option<i64>,
    /// How it wants to be run.
    pub(super) run: Run,
}

impl Bootstrap<'_> {
    /// Plans a base that is an image: its key is known once its digest is. Images that do not
    /// say when they were made are of the time `epoch`.
    ///
    /// # Errors
    ///
    /// When the registry cannot be reached or does not know the image.
    pub fn plan_oci(&self, name: &str, oci: &Oci, arch: &str, epoch: i64) -> Result<BasePlan> {
        let reference: Reference = oci.image.parse().map_err(|error| {
            Failure::wrap(Kind::Configuration, "base.yaml", &error)
                .hint("image: HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:DIGEST")
        })?;
        let (image, resolved) = self.image(&reference, arch)?;
        let key = KeyBuilder::new("oci-base")
            .part("manifest", resolved.manifest.to_string())
            .part("unpacker", crate::registry::layers::UNPACKER)
            .finish();
        let recipe = Recipe { name: name.to_owned(), key, networked: false };
        let epoch = Some(resolved.made.unwrap_or(epoch));
        let reference = image.name();
        Ok(BasePlan { recipe, epoch, reference, origin: Origin::Oci(image) })
    }

    /// An image by its digest, and what is known of it.
    pub(super) fn image(&self, reference: &Reference, arch: &str) -> Result<(OciBase, Resolved)> {
        let asked = reference.to_string();
        let locked = match &self.session.lock {
            Some(lock) => lock.reference(reference, &self.session.reporter)?,
            None => None,
        };
        let reference =
            &locked.map_or_else(|| reference.clone(), |digest| reference.pinned(digest));
        let resolved = self.resolved(reference, arch, locked.is_some())?;
        let reference = reference.pinned(resolved.named);
        self.remember(&reference, arch, &resolved)?;
        let (arch, manifest) = (arch.to_owned(), resolved.manifest);
        let locked = locked.is_some();
        Ok((OciBase { asked, reference, manifest, arch, locked }, resolved))
    }

    /// What a name stands for: asked of the registry, or known for less than an hour; a digest
    /// never stands for anything else, so that nobody is asked for what the store has of it.
    fn resolved(&self, reference: &Reference, arch: &str, locked: bool) -> Result<Resolved> {
        let store = &self.session.store;
        let key = reference_key(reference, arch);
        let known = store.step(key.as_str()).ok().flatten();
        let known = known.and_then(|value| serde_json::from_value::<Resolved>(value).ok());
        if let Some(known) = known {
            let young = now().saturating_sub(known.created) < RELEASES_SECONDS;
            let fresh = young && !self.anew();
            if self.offline || fresh || reference.digest.is_some() {
                return Ok(known);
            }
        }
        let platform = Platform::of_debian(arch);
        let held = reference.digest.and_then(|digest| Pulled::held(store, &digest, &platform));
        let found: Pulled = match held {
            Some(held) => held,
            None if self.offline => return Err(self.absent(&reference.to_string(), locked)),
            None => self
                .registry()?
                .look(store, reference, &platform)
                .map_err(|error| self.refused(reference, locked, &error))?,
        };
        let made = found.config.created.as_deref();
        let made = made.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
        let resolved = Resolved {
            created: now(),
            named: found.named,
            manifest: found.image.digest,
            made: made.map(|time| time.timestamp()).filter(|made| *made > 0),
            run: found.config.config.unwrap_or_default(),
        };
        self.remember(reference, arch, &resolved)?;
        Ok(resolved)
    }

    fn remember(&self, reference: &Reference, arch: &str, resolved: &Resolved) -> Result<()> {
        let record = serde_json::to_value(resolved)
            .map_err(|error| Failure::wrap(Kind::Internal, "a step record", &error))?;
        let key = reference_key(reference, arch);
        self.session.store.put_step(key.as_str(), &record).map_err(|error| store_failure(&error))
    }

    fn registry(&self) -> Result<Registry> {
        RegistryArgs::of_environment(&self.env).client(&self.env)
    }

    /// Fetches the image, unless it is there, and unpacks it; the result's data is the digest
    /// that its name stands for.
    pub(super) fn take(&self, image: &OciBase) -> Result<Done> {
        let (session, reference) = (self.session, &image.reference);
        let store = &session.store;
        let found = Pulled::held(store, &image.manifest, &Platform::of_debian(&image.arch));
        let missing = match &found {
            Some(found) => found.missing(store).map(|blob| format!("layer {}", blob.digest)),
            None => Some("its manifest or configuration".to_owned()),
        };
        let pulled = match (found, missing) {
            (Some(found), None) => crate::registry::keep(session, reference, &image.arch, found)?,
            (_, missing) if self.offline => {
                let what = missing.unwrap_or_default();
                return Err(self.absent(&format!("{reference}: {what}"), image.locked));
            }
            _ => {
                let registry = self.registry()?;
                let fetched = crate::registry::fetch(session, &registry, reference, &image.arch);
                let fetched =
                    fetched.map_err(|error| self.refused(reference, image.locked, &error))?;
                crate::registry::keep(session, reference, &image.arch, fetched)?
            }
        };
        let state = State { mnt: pulled.snapshots, ..State::default() };
        let named = reference.digest.unwrap_or(pulled.named);
        let data = serde_json::Value::String(named.to_string());
        Ok(Done { state, data, ran: true })
    }

    /// The failure for what a registry does not give; for what the lock names, that is drift.
    fn refused(&self, reference: &Reference, locked: bool, error: &RegistryError) -> Failure {
        let lock = self.session.lock.as_ref().filter(|_| locked);
        let lost = lock.and_then(|lock| lock.lost_reference(reference, error));
        lost.unwrap_or_else(|| registry_failure(error))
    }

    /// The failure for what would have to be fetched, and may not be.
    fn absent(&self, what: &str, locked: bool) -> Failure {
        match self.session.lock.as_ref().filter(|_| locked) {
            Some(lock) => lock.lacks(what),
            None => {
                let message = format!("{what} is not in the cache, and --offline forbids to ask");
                Failure::new(Kind::Build, message).hint("build once without --offline")
            }
        }
    }
}

/// Where the store remembers what a name stood for.
fn reference_key(reference: &Reference, arch: &str) -> Key {
    KeyBuilder::new("oci-reference")
        .part("reference", reference.to_string())
        .part("arch", arch)
        .finish()
}
