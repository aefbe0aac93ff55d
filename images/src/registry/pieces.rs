//! What is put together to be pushed, without being written down anywhere before.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};

use serde::Serialize;

use super::RegistryError;
use super::push::{Source, SourceError};
use crate::digest::{Digest, Digesting};
use crate::oci::{BlobReader, Descriptor, Index, Manifest, media_type};

/// A part of a blob.
#[derive(Debug)]
pub(super) enum Part {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// As much of a file, from its beginning.
    File(File, u64),
}

impl Part {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
            Self::File(file, size) => Box::new(BlobReader::new(file.try_clone()?, 0, *size)),
        })
    }
}

/// Documents and blobs by their digests: in memory, in files, and in other sources.
#[derive(Default)]
pub struct Pieces<'a> {
    blobs: BTreeMap<Digest, Vec<Part>>,
    others: Vec<&'a dyn Source>,
}

impl fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.others.len();
        f.debug_struct("Pieces").field("blobs", &self.blobs).field("others", &others).finish()
    }
}

impl<'a> Pieces<'a> {
    /// Takes what another source has, too.
    pub fn also(&mut self, other: &'a dyn Source) {
        self.others.push(other);
    }

    /// Takes bytes.
    pub fn bytes(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        self.blobs.insert(descriptor.digest, vec![Part::Bytes(bytes)]);
        descriptor
    }

    /// Takes a file, which is read once for its digest and must not change until it is pushed:
    /// the registry would refuse it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn file(&mut self, media_type: &str, file: File) -> io::Result<Descriptor> {
        let size = file.metadata()?.len();
        self.parts(media_type, vec![Part::File(file, size)])
    }

    /// Takes a blob in parts.
    pub(super) fn parts(&mut self, media_type: &str, parts: Vec<Part>) -> io::Result<Descriptor> {
        let mut reader = Digesting::new(open(&parts)?);
        let size = io::copy(&mut reader, &mut io::sink())?;
        let (_, digest) = reader.finish();
        if size != parts.iter().map(Part::size).sum::<u64>() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.blobs.insert(digest, parts);
        Ok(Descriptor::new(media_type, digest, size))
    }

    /// Takes an index of images, or of artifacts of one type.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn index(
        &mut self,
        manifests: Vec<Descriptor>,
        artifact_type: Option<&str>,
    ) -> Result<Descriptor, RegistryError> {
        let mut index = Index::new(manifests);
        index.artifact_type = artifact_type.map(str::to_owned);
        self.json(media_type::INDEX, &index)
    }

    /// Takes an artifact: a manifest of one layer, attached to `subject` if there is one.
    pub(super) fn artifact(
        &mut self,
        kind: &str,
        layer: Descriptor,
        subject: Option<Descriptor>,
    ) -> Result<Descriptor, RegistryError> {
        let config = self.bytes(media_type::EMPTY, b"{}".to_vec());
        let artifact_type = Some(kind.to_owned());
        let manifest = Manifest { artifact_type, subject, ..Manifest::new(config, vec![layer]) };
        self.json(media_type::MANIFEST, &manifest)
    }

    /// Takes a document.
    pub(super) fn json(
        &mut self,
        media_type: &str,
        document: &impl Serialize,
    ) -> Result<Descriptor, RegistryError> {
        let bytes =
            serde_json::to_vec(document).map_err(|error| RegistryError::Source(Box::new(error)))?;
        Ok(self.bytes(media_type, bytes))
    }
}

fn open(parts: &[Part]) -> io::Result<Box<dyn Read + Send>> {
    let mut whole: Box<dyn Read + Send> = Box::new(io::empty());
    for part in parts {
        whole = Box::new(whole.chain(part.open()?));
    }
    Ok(whole)
}

impl Source for Pieces<'_> {
    fn document(&self, one: &Descriptor) -> Result<Vec<u8>, SourceError> {
        if let Some([Part::Bytes(bytes)]) = self.blobs.get(&one.digest).map(Vec::as_slice) {
            return Ok(bytes.clone());
        }
        let mut last: SourceError = format!("there is no document {}", one.digest).into();
        for other in &self.others {
            match other.document(one) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn blob(&self, one: &Descriptor) -> Result<Box<dyn Read + Send>, SourceError> {
        if let Some(parts) = self.blobs.get(&one.digest) {
            return Ok(open(parts)?);
        }
        let mut last: SourceError = format!("there is no blob {}", one.digest).into();
        for other in &self.others {
            match other.blob(one) {
                Ok(reader) => return Ok(reader),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
