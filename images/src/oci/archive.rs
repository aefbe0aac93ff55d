//! Reads OCI archives: an image layout (OCI image specification, image-layout.md) as one tar file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;

use super::{Descriptor, Index, MANIFEST_LIMIT, OciError};
use crate::digest::{Digest, Digesting};

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file cannot be read, or is no tar archive.
    #[error("the image cannot be read")]
    Io(#[from] io::Error),
    /// A part that every image layout has.
    #[error("it is no OCI image: it has no {what}")]
    Missing {
        /// The part.
        what: String,
    },
    /// A document is refused.
    #[error(transparent)]
    Document(#[from] OciError),
    /// A blob is another one than its descriptor says.
    #[error("blob {digest} of the image has another digest or size")]
    Mismatch {
        /// The digest promised.
        digest: Digest,
    },
}

/// An OCI archive, whose blobs can be read in any order.
#[derive(Debug)]
pub struct Archive {
    file: File,
    index: Index,
    /// Where each blob lies: offset and length.
    blobs: BTreeMap<Digest, (u64, u64)>,
}

impl Archive {
    /// Reads where everything lies.
    ///
    /// # Errors
    ///
    /// When the file is no OCI archive.
    pub fn open(file: File) -> Result<Self, ArchiveError> {
        let mut blobs = BTreeMap::new();
        let mut index = None;
        let mut layout = false;
        (&file).rewind()?;
        let mut archive = tar::Archive::new(io::BufReader::new(&file));
        for entry in archive.entries_with_seek()? {
            let mut entry = entry?;
            if entry.header().entry_type() != tar::EntryType::Regular {
                continue;
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.strip_prefix("./").unwrap_or(&name);
            match name {
                "index.json" => {
                    let mut bytes = Vec::new();
                    (&mut entry).take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes)?;
                    index = Some(Index::read(&bytes)?);
                }
                "oci-layout" => layout = true,
                _ => {
                    let digits = name.strip_prefix("blobs/sha256/").map(Digest::from_hex);
                    if let Some(Ok(digest)) = digits {
                        blobs.insert(digest, (entry.raw_file_position(), entry.size()));
                    }
                }
            }
        }
        drop(archive);
        if !layout {
            return Err(ArchiveError::Missing { what: "oci-layout".to_owned() });
        }
        let index = index.ok_or(ArchiveError::Missing { what: "index.json".to_owned() })?;
        Ok(Self { file, index, blobs })
    }

    /// What the archive holds.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The bytes of a blob, to be read once; not verified.
    ///
    /// # Errors
    ///
    /// When it is not there in the size that `descriptor` says.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ArchiveError> {
        let digest = descriptor.digest;
        let missing = || ArchiveError::Missing { what: format!("blob {digest}") };
        let (at, length) = *self.blobs.get(&digest).ok_or_else(missing)?;
        if length != descriptor.size {
            return Err(ArchiveError::Mismatch { digest });
        }
        Ok(BlobReader::new(self.file.try_clone()?, at, length))
    }

    /// A document, verified.
    ///
    /// # Errors
    ///
    /// When it is missing, too long, or not what `descriptor` says.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ArchiveError> {
        verified(descriptor, || self.blob(descriptor))
    }

    /// Every blob with its bytes, by digest; not verified.
    pub(super) fn blobs(&self) -> io::Result<Vec<(Digest, BlobReader)>> {
        let part = |(digest, (at, length)): (&Digest, &(u64, u64))| {
            Ok((*digest, BlobReader::new(self.file.try_clone()?, *at, *length)))
        };
        self.blobs.iter().map(part).collect()
    }
}

/// Reads a document, whose bytes `blob` opens, and verifies it.
pub(super) fn verified(
    descriptor: &Descriptor,
    blob: impl FnOnce() -> Result<BlobReader, ArchiveError>,
) -> Result<Vec<u8>, ArchiveError> {
    if descriptor.size > MANIFEST_LIMIT {
        return Err(OciError::TooLarge { what: "a document", limit: MANIFEST_LIMIT }.into());
    }
    let mut reader = Digesting::new(blob()?);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    if reader.finish().1 != descriptor.digest {
        return Err(ArchiveError::Mismatch { digest: descriptor.digest });
    }
    Ok(bytes)
}

/// A part of a file, read without moving the file's own position.
#[derive(Debug)]
pub struct BlobReader {
    file: File,
    at: u64,
    left: u64,
}

impl BlobReader {
    /// Reads `left` bytes from `at` on.
    pub(crate) fn new(file: File, at: u64, left: u64) -> Self {
        Self { file, at, left }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
