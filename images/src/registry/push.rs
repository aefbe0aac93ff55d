//! Pushing: blobs that the registry lacks, then manifests, then the name.

use std::io::Read;

use reqwest::Method;
use reqwest::blocking::{Body, Response};

use super::endpoint::Endpoint;
use super::send::Ask;
use super::together::each;
use super::{Registry, RegistryError};
use crate::digest::Digest;
use crate::oci::{
    Archive, Descriptor, Document, LayoutDirectory, MANIFEST_LIMIT, Manifest, OciError, Reference,
};
use crate::store::Store;

/// Why what is to be pushed cannot be read.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Where an image lies that is pushed.
pub trait Source: Sync {
    /// A manifest or an index, verified.
    ///
    /// # Errors
    ///
    /// When it is missing or another one.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError>;

    /// The bytes of a blob; the registry verifies them.
    ///
    /// # Errors
    ///
    /// When it is missing.
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, SourceError>;
}

impl Source for LayoutDirectory {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        Ok(self.document(descriptor)?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, SourceError> {
        Ok(Box::new(self.blob(descriptor)?))
    }
}

impl Source for Archive {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        Ok(self.document(descriptor)?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, SourceError> {
        Ok(Box::new(self.blob(descriptor)?))
    }
}

impl Source for Store {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        Ok(self.read_blob(&descriptor.digest, MANIFEST_LIMIT)?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, SourceError> {
        Ok(Box::new(fs_err::File::open(self.blob(&descriptor.digest))?))
    }
}

impl Registry {
    /// Pushes an image, or all images of an index, and gives it the name. Blobs that one of
    /// the repositories `mount_from` of the same registry has are not sent.
    ///
    /// # Errors
    ///
    /// When the registry refuses or a blob cannot be read; blobs sent before stay there.
    pub fn push(
        &self,
        source: &dyn Source,
        top: &Descriptor,
        to: &Reference,
        mount_from: &[String],
    ) -> Result<Digest, RegistryError> {
        let endpoint = self.origin(to);
        self.push_document(&endpoint, source, top, &to.version(), mount_from, 0)?;
        Ok(top.digest)
    }

    fn push_document(
        &self,
        endpoint: &Endpoint,
        source: &dyn Source,
        one: &Descriptor,
        name: &str,
        mount_from: &[String],
        depth: u32,
    ) -> Result<(), RegistryError> {
        let bytes = source.document(one).map_err(RegistryError::Source)?;
        let refused = |error: OciError| RegistryError::Source(Box::new(error));
        let document = Document::read(&bytes, &one.media_type).map_err(refused)?;
        let subject = match &document {
            Document::Index(_) if depth > 2 => return Err(refused(OciError::Ambiguous)),
            Document::Index(index) => {
                for inner in &index.manifests {
                    let name = inner.digest.to_string();
                    self.push_document(endpoint, source, inner, &name, mount_from, depth + 1)?;
                }
                index.subject.clone()
            }
            Document::Manifest(manifest) => {
                self.push_blobs(endpoint, source, manifest, mount_from)?;
                manifest.subject.clone()
            }
        };
        let answer = self.put_document(endpoint, one, &bytes, name)?;
        let told = answer.headers().get("Docker-Content-Digest");
        let told = told.and_then(|value| value.to_str().ok()).map(str::to_owned);
        if told.is_some_and(|told| told != one.digest.to_string()) {
            let url = endpoint.url(&format!("manifests/{name}"));
            return Err(RegistryError::Mismatch { url, what: "the digest", expected: one.digest });
        }
        if let Some(subject) = subject
            && !knows_subject(&answer, &subject)
        {
            self.list_referrer(endpoint, &subject, one, &document)?;
        }
        Ok(())
    }

    /// Sends a manifest or an index.
    pub(super) fn put_document(
        &self,
        endpoint: &Endpoint,
        one: &Descriptor,
        bytes: &[u8],
        name: &str,
    ) -> Result<Response, RegistryError> {
        let body = || -> std::io::Result<Body> { Ok(Body::from(bytes.to_vec())) };
        let mut ask = Ask::push(endpoint, Method::PUT, &format!("manifests/{name}"));
        ask.headers.push(("Content-Type", one.media_type.clone()));
        ask.body = Some(&body);
        self.send(endpoint, &ask)
    }

    fn push_blobs(
        &self,
        endpoint: &Endpoint,
        source: &dyn Source,
        manifest: &Manifest,
        mount_from: &[String],
    ) -> Result<(), RegistryError> {
        let blobs: Vec<_> = manifest.layers.iter().chain([&manifest.config]).collect();
        each(&blobs, |blob| self.push_blob(endpoint, source, blob, mount_from))
    }

    fn push_blob(
        &self,
        endpoint: &Endpoint,
        source: &dyn Source,
        blob: &Descriptor,
        mount_from: &[String],
    ) -> Result<(), RegistryError> {
        let mut ask = Ask::push(endpoint, Method::HEAD, &format!("blobs/{}", blob.digest));
        ask.also = &[404];
        if self.send(endpoint, &ask)?.status().is_success() {
            return Ok(());
        }
        for other in mount_from.iter().filter(|other| **other != endpoint.repository) {
            let rest = format!("blobs/uploads/?mount={}&from={other}", blob.digest);
            let mut ask = Ask::push(endpoint, Method::POST, &rest);
            ask.scope = format!("{} repository:{other}:pull", ask.scope);
            // A registry that does not mount begins an upload, which it forgets by itself.
            ask.also = &[400, 401, 403, 404, 405];
            if self.send(endpoint, &ask)?.status() == 201 {
                return Ok(());
            }
        }
        // A try that failed may have used its address up: each one begins with a new one.
        let mut tries = 0;
        loop {
            tries += 1;
            match self.upload(endpoint, source, blob) {
                Err(RegistryError::Status { status: 404 | 416, .. }) if tries < 3 => {}
                done => return done,
            }
        }
    }

    fn upload(
        &self,
        endpoint: &Endpoint,
        source: &dyn Source,
        blob: &Descriptor,
    ) -> Result<(), RegistryError> {
        let begin = Ask::push(endpoint, Method::POST, "blobs/uploads/");
        let answer = self.send(endpoint, &begin)?;
        let odd = |problem: &str| RegistryError::Answer {
            url: begin.url.clone(),
            problem: problem.to_owned(),
        };
        let location = answer.headers().get("Location").and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| odd("it begins an upload without an address"))?;
        let mut to = self.follow(answer.url(), location)?;
        to.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let body = || -> std::io::Result<Body> {
            let reader = source.blob(blob).map_err(std::io::Error::other)?;
            Ok(Body::sized(reader, blob.size))
        };
        let mut ask = Ask::push(endpoint, Method::PUT, "");
        ask.url = to.into();
        ask.headers.push(("Content-Type", "application/octet-stream".to_owned()));
        ask.body = Some(&body);
        self.send(endpoint, &ask).map(|_| ())
    }
}

/// Whether the registry says that it lists the referrers of this image itself.
fn knows_subject(answer: &Response, subject: &Descriptor) -> bool {
    let told = answer.headers().get("OCI-Subject").and_then(|value| value.to_str().ok());
    told.is_some_and(|told| told.trim() == subject.digest.to_string())
}
