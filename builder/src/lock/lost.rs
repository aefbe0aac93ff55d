//! What the lock has, the cache has lost, and upstream gives no more, or otherwise: that is drift,
//! and no mistake of a server's.

use goldsmith_images::digest::Digest;
use goldsmith_images::fetch::FetchError;
use goldsmith_images::import::debian::{self, DebianError};
use goldsmith_images::oci::Reference;
use goldsmith_images::registry::RegistryError;

use super::document::Base;
use super::{Lock, drifted};
use crate::base::Source;
use crate::error::{Failure, Kind};

/// What servers answer when there is no such file, or not any more.
const GONE: [u16; 2] = [404, 410];

impl Lock {
    /// The failure of a download of `packages` as drift, if it is: one of the lock's is gone
    /// upstream, or has other bytes there.
    pub fn lost_package(
        &self,
        packages: &[debian::Package],
        error: &DebianError,
    ) -> Option<Failure> {
        let DebianError::Fetch(error) = error else { return None };
        let (url, how) = lost(error)?;
        let package = packages.iter().find(|one| one.url == url)?;
        let part = self.part_with(&package.digest)?;
        Some(self.drift(format!("{url} ({}) {how}", package.digest), part))
    }

    /// The failure of an image's download as drift, if it is.
    pub fn lost_image(&self, source: &Source, error: &FetchError) -> Option<Failure> {
        let Some(Base::Image(image)) = &self.base else { return None };
        let (url, how) = lost(error).filter(|_| image.source == *source)?;
        Some(self.drift(format!("{url} ({}) {how}", source.sum), "base"))
    }

    /// What a registry says of an image that the lock names by digest, as drift, if it is.
    pub fn lost_reference(&self, reference: &Reference, error: &RegistryError) -> Option<Failure> {
        match error {
            RegistryError::Status { status, .. } if GONE.contains(status) => {}
            error if error.is_verification() => {}
            _ => return None,
        }
        let told = Failure::wrap(Kind::Lock, reference, error);
        Some(self.drift(told.message, "base"))
    }

    /// The part of the lock that has a package.
    fn part_with(&self, digest: &Digest) -> Option<&'static str> {
        let base = match &self.base {
            Some(Base::Debian(archive)) => Some(archive),
            _ => None,
        };
        [("tools", self.tools.as_ref()), ("emulator", self.emulator.as_ref()), ("base", base)]
            .into_iter()
            .find(|(_, archive)| {
                archive.is_some_and(|all| all.package.iter().any(|one| one.digest == *digest))
            })
            .map(|(name, _)| name)
    }

    fn drift(&self, what: String, part: &str) -> Failure {
        drifted(&self.path.display().to_string(), vec![what])
            .hint("the cache does not have it either: `store gc` and `store prune` may take what no build used for long")
            .hint(format!("`goldsmith update {part}` takes what upstream has now"))
    }
}

/// The address of what upstream has no more, or otherwise, and which of the two it is.
fn lost(error: &FetchError) -> Option<(&str, String)> {
    match error {
        FetchError::Status { url, status, .. } if GONE.contains(status) => {
            Some((url, format!("is gone: the server answers {status}")))
        }
        FetchError::Mismatch { url, what, actual, .. } => {
            Some((url, format!("has changed: {what} is {actual}")))
        }
        FetchError::TooLarge { url, limit } => {
            Some((url, format!("has changed: it is larger than {limit} bytes")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::lock::document::Document;
    use crate::request::Request;

    /// Only what upstream says of the file itself is drift: a server that is down has told nothing,
    /// nor is a package drift that the lock does not have.
    #[test]
    fn a_lost_package_is_drift_and_a_dead_server_is_not() {
        let place = tempfile::tempdir().unwrap();
        let store = goldsmith_images::store::Store::open(place.path()).unwrap();
        let request = Request::new(std::collections::BTreeMap::new(), "/".into()).unwrap();
        let document = Document::example();
        let lock = Lock::follow(&document, Path::new("x.lock"), &request, &store).unwrap();
        let package = document.tools.resolution().packages.remove(0);
        let url = package.url.clone();
        let said = |error: FetchError, packages: &[debian::Package]| {
            lock.lost_package(packages, &DebianError::Fetch(error))
        };
        let status = |status: u16| FetchError::Status { url: url.clone(), status, after: None };
        let other = FetchError::Mismatch {
            url: url.clone(),
            what: "the digest",
            expected: package.digest.to_string(),
            actual: "sha256:other".to_owned(),
        };
        let ours = std::slice::from_ref(&package);
        for (error, words) in [
            (status(404), "is gone: the server answers 404"),
            (status(410), "is gone"),
            (other, "has changed: the digest is sha256:other"),
        ] {
            let failure = said(error, ours).unwrap();
            assert_eq!(failure.kind, Kind::Lock);
            let named = format!("x.lock: {url} ({}) {words}", package.digest);
            assert!(failure.message.starts_with(&named), "{failure}");
            assert!(failure.hints.iter().any(|hint| hint.contains("update tools")));
        }
        assert!(said(status(503), ours).is_none() && said(status(403), ours).is_none());
        let foreign = debian::Package { digest: Digest::of("nobody's"), ..package.clone() };
        assert!(said(status(404), &[foreign]).is_none());
    }
}
