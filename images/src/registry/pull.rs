//! Pulling: documents, then blobs in parallel, each resumed where it broke off.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::blocking::Response;

use super::endpoint::Endpoint;
use super::send::Ask;
use super::together::each;
use super::{Registry, RegistryError};
use crate::digest::Digest;
use crate::oci::{
    Config, Descriptor, Document, LayerBlob, MANIFEST_LIMIT, Manifest, OciError, Platform,
    Reference, media_type,
};
use crate::retry::{REGISTRIES, Tries, wait};
use crate::store::{Incoming, Store, StoreError};

/// How much of a body is read and written at once.
const CHUNK: usize = 128 << 10;

/// Hears of how much has come.
pub trait Progress: Sync {
    /// Bytes of blobs that have come, and all that are to come.
    fn bytes(&self, done: u64, total: u64);
}

impl Progress for () {
    fn bytes(&self, _: u64, _: u64) {}
}

/// An image that is in the store, blobs and all.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What the name stands for: an index or the manifest itself.
    pub named: Digest,
    /// The manifest.
    pub image: Descriptor,
    /// How the image wants to be run.
    pub config: Config,
    /// Its layers, bottom first.
    pub layers: Vec<LayerBlob>,
}

impl Registry {
    /// Fetches an image into the store, from a mirror or else the registry itself. What is
    /// there already is not fetched again.
    ///
    /// # Errors
    ///
    /// When no place gives the image, or not what was promised.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Pulled, RegistryError> {
        self.somewhere(reference, |endpoint| {
            let found = self.look_at(endpoint, store, reference, platform)?;
            let blobs: Vec<_> = found.layers.iter().map(|layer| &layer.blob).collect();
            self.blobs(endpoint, store, &blobs, progress)?;
            Ok(found)
        })
    }

    /// Looks an image up: its documents are then in the store, its layers need not be.
    ///
    /// # Errors
    ///
    /// As [`pull`](Self::pull).
    pub fn look(
        &self,
        store: &Store,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Pulled, RegistryError> {
        self.somewhere(reference, |endpoint| self.look_at(endpoint, store, reference, platform))
    }

    /// Tries mirrors, then the registry itself, whose error is the one that counts.
    fn somewhere<T>(
        &self,
        reference: &Reference,
        work: impl Fn(&Endpoint) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut endpoints = self.endpoints(reference);
        let origin = endpoints.pop().unwrap_or_else(|| self.origin(reference));
        for mirror in &endpoints {
            match work(mirror) {
                Err(RegistryError::Store(error)) => return Err(error.into()),
                Err(error) => tracing::warn!(mirror = %mirror.host, %error, "a mirror fails"),
                done => return done,
            }
        }
        work(&origin)
    }

    fn look_at(
        &self,
        endpoint: &Endpoint,
        store: &Store,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Pulled, RegistryError> {
        // What a digest stands for never changes: what is there is not asked for.
        let held = reference.digest.and_then(|digest| Pulled::held(store, &digest, platform));
        if let Some(held) = held {
            return Ok(held);
        }
        let (top, bytes, document) = self.named(endpoint, reference)?;
        store.put_blob(&bytes)?;
        let refused = |descriptor: &Descriptor, source: OciError| {
            let url = endpoint.url(&format!("manifests/{}", descriptor.digest));
            RegistryError::Document { url, source }
        };
        let (image, manifest) = match document {
            Document::Manifest(manifest) => (top.clone(), manifest),
            Document::Index(index) => {
                let chosen = index.choose(platform).map_err(|error| refused(&top, error))?;
                let bytes = self.document(endpoint, store, chosen)?;
                match Document::read(&bytes, &chosen.media_type) {
                    Ok(Document::Manifest(manifest)) => (chosen.clone(), manifest),
                    Ok(Document::Index(_)) => {
                        let found = media_type::INDEX.to_owned();
                        let what = "an image of an index";
                        return Err(refused(chosen, OciError::MediaType { what, found }));
                    }
                    Err(error) => return Err(refused(chosen, error)),
                }
            }
        };
        let (config, layers) = self.config(endpoint, store, &image, &manifest)?;
        Ok(Pulled { named: top.digest, image, config, layers })
    }

    /// The configuration, which must fit the manifest before a layer is fetched.
    fn config(
        &self,
        endpoint: &Endpoint,
        store: &Store,
        image: &Descriptor,
        manifest: &Manifest,
    ) -> Result<(Config, Vec<LayerBlob>), RegistryError> {
        let url = || endpoint.url(&format!("manifests/{}", image.digest));
        let refused = |source| RegistryError::Document { url: url(), source };
        let too_large = OciError::TooLarge { what: "a configuration", limit: MANIFEST_LIMIT };
        if manifest.config.size > MANIFEST_LIMIT {
            return Err(refused(too_large));
        }
        self.blob(endpoint, store, &manifest.config, &|_| {})?;
        let bytes = store.read_blob(&manifest.config.digest, MANIFEST_LIMIT)?;
        let config = Config::read(&bytes).map_err(refused)?;
        let layers = manifest.layers(&config).map_err(refused)?;
        let layers = layers.into_iter().map(|(blob, diff_id)| LayerBlob { blob, diff_id });
        Ok((config, layers.collect()))
    }

    /// The document that a reference names.
    pub(super) fn named(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
    ) -> Result<(Descriptor, Vec<u8>, Document), RegistryError> {
        let rest = format!("manifests/{}", reference.version());
        let url = endpoint.url(&rest);
        let mut ask = Ask::get(endpoint, &rest);
        let known = [
            media_type::INDEX,
            media_type::MANIFEST,
            media_type::DOCKER_INDEX,
            media_type::DOCKER_MANIFEST,
        ];
        ask.headers.push(("Accept", known.join(", ")));
        let answer = self.send(endpoint, &ask)?;
        let kind = answer.headers().get("Content-Type").and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = small(answer, &url)?;
        let descriptor = Descriptor::of(&kind, &bytes);
        if let Some(expected) = reference.digest.filter(|digest| *digest != descriptor.digest) {
            return Err(RegistryError::Mismatch { url, what: "the digest", expected });
        }
        let document = Document::read(&bytes, &kind)
            .map_err(|source| RegistryError::Document { url, source })?;
        Ok((descriptor, bytes, document))
    }

    /// A manifest of an index, verified and kept.
    fn document(
        &self,
        endpoint: &Endpoint,
        store: &Store,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        if let Ok(bytes) = store.read_blob(&descriptor.digest, MANIFEST_LIMIT) {
            return Ok(bytes);
        }
        let rest = format!("manifests/{}", descriptor.digest);
        let url = endpoint.url(&rest);
        let mut ask = Ask::get(endpoint, &rest);
        ask.headers.push(("Accept", descriptor.media_type.clone()));
        let bytes = small(self.send(endpoint, &ask)?, &url)?;
        let expected = descriptor.digest;
        if Digest::of(&bytes) != expected {
            return Err(RegistryError::Mismatch { url, what: "the digest", expected });
        }
        if bytes.len() as u64 != descriptor.size {
            return Err(RegistryError::Mismatch { url, what: "the size", expected });
        }
        store.put_blob(&bytes)?;
        Ok(bytes)
    }

    /// Fetches blobs side by side; the first error ends all.
    fn blobs(
        &self,
        endpoint: &Endpoint,
        store: &Store,
        blobs: &[&Descriptor],
        progress: &dyn Progress,
    ) -> Result<(), RegistryError> {
        let total = blobs.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
        let done = AtomicU64::new(0);
        let came = |count: u64| {
            let all = done.fetch_add(count, Ordering::Relaxed) + count;
            progress.bytes(all.min(total), total);
        };
        each(blobs, |blob| self.blob(endpoint, store, blob, &came))
    }

    /// Fetches one blob, going on where an earlier try ended.
    fn blob(
        &self,
        endpoint: &Endpoint,
        store: &Store,
        descriptor: &Descriptor,
        came: &(dyn Fn(u64) + Sync),
    ) -> Result<(), RegistryError> {
        let (expected, size) = (descriptor.digest, descriptor.size);
        let url = endpoint.url(&format!("blobs/{expected}"));
        let mismatch = |what| RegistryError::Mismatch { url: url.clone(), what, expected };
        let Some(mut incoming) = store.incoming(&expected, size)? else {
            came(size);
            return Ok(());
        };
        came(incoming.length());
        let mut pieced = incoming.length() > 0;
        let mut tries = Tries::new(REGISTRIES);
        loop {
            let from = incoming.length();
            if from == size {
                match incoming.finish() {
                    Ok(()) => return Ok(()),
                    // What an earlier try left may have been wrong: once more, whole.
                    Err(StoreError::Damaged { .. }) if pieced => pieced = false,
                    Err(StoreError::Damaged { .. }) => return Err(mismatch("the digest")),
                    Err(error) => return Err(error.into()),
                }
                match store.incoming(&expected, size)? {
                    Some(again) => incoming = again,
                    None => return Ok(()),
                }
                continue;
            }
            let broke = match self.part(endpoint, &mut incoming, descriptor, came)? {
                Part::Came => None,
                Part::Broke(error) => Some(error),
                Part::TooMuch => return Err(mismatch("the size")),
            };
            if incoming.length() == size {
                continue;
            }
            pieced = true;
            if incoming.length() > from {
                tries.restart();
            }
            let Some(pause) = tries.fail(None) else {
                return Err(match broke {
                    Some(error) => RegistryError::Transport { url, source: Box::new(error) },
                    None => mismatch("the size"),
                });
            };
            wait(pause);
        }
    }

    /// Asks for the rest of a blob and takes what comes of it.
    fn part(
        &self,
        endpoint: &Endpoint,
        incoming: &mut Incoming,
        descriptor: &Descriptor,
        came: &(dyn Fn(u64) + Sync),
    ) -> Result<Part, RegistryError> {
        let from = incoming.length();
        let mut ask = Ask::get(endpoint, &format!("blobs/{}", descriptor.digest));
        ask.also = &[416];
        if from > 0 {
            ask.headers.push(("Range", format!("bytes={from}-")));
        }
        let mut answer = self.send(endpoint, &ask)?;
        let status = answer.status();
        if from > 0 && !(status == 206 && begins_at(&answer, from)) {
            // It cannot resume: what it sends, if anything, is the whole.
            incoming.restart().map_err(StoreError::from)?;
        }
        if incoming.length() == 0 && status != 200 {
            return Ok(Part::Came);
        }
        let mut chunk = vec![0; CHUNK];
        loop {
            match answer.read(&mut chunk) {
                Ok(0) => return Ok(Part::Came),
                Ok(count) if incoming.length() + count as u64 > descriptor.size => {
                    incoming.restart().map_err(StoreError::from)?;
                    return Ok(Part::TooMuch);
                }
                Ok(count) => {
                    incoming.write_all(&chunk[..count]).map_err(StoreError::from)?;
                    came(count as u64);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Part::Broke(error)),
            }
        }
    }
}

/// What one answer gave of a blob.
enum Part {
    /// As much as the server sent.
    Came,
    /// Something, until the connection broke.
    Broke(std::io::Error),
    /// More than the blob has.
    TooMuch,
}

/// The body of a document.
fn small(answer: Response, url: &str) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    answer.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| {
        RegistryError::Transport { url: url.to_owned(), source: Box::new(error) }
    })?;
    if bytes.len() as u64 > MANIFEST_LIMIT {
        let source = OciError::TooLarge { what: "a document", limit: MANIFEST_LIMIT };
        return Err(RegistryError::Document { url: url.to_owned(), source });
    }
    Ok(bytes)
}

/// Whether a part of the blob begins where we asked for it.
fn begins_at(answer: &Response, from: u64) -> bool {
    let header = answer.headers().get("Content-Range").and_then(|value| value.to_str().ok());
    header.is_some_and(|text| text.starts_with(&format!("bytes {from}-")))
}
