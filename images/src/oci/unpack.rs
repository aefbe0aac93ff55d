//! Unpacks layers, verified in the same pass.

use std::io::{self, Read};
use std::path::PathBuf;

use super::ahead::ahead;
use super::codec::Decoder;
use super::{Compression, Descriptor, OciError};
use crate::digest::{Digest, Digesting};
use crate::layer::{ExtractError, Extracted, Limits, RootWriter, WriteError, extract};

/// A layer and what it must be.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct LayerBlob {
    /// The compressed blob.
    pub blob: Descriptor,
    /// The digest of what it unpacks to.
    pub diff_id: Digest,
}

/// Why a layer is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// Its media type is none of a layer.
    #[error(transparent)]
    Type(#[from] OciError),
    /// The archive is refused.
    #[error("layer {digest}")]
    Extract {
        /// The layer.
        digest: Digest,
        /// Why.
        source: ExtractError,
    },
    /// It cannot be read or unpacked.
    #[error("layer {digest}")]
    Read {
        /// The layer.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// It is not what the manifest or the configuration says.
    #[error("layer {digest}: {what} is {found}, not {expected}")]
    Mismatch {
        /// The layer.
        digest: Digest,
        /// Size, digest, or digest of what it unpacks to.
        what: &'static str,
        /// As promised.
        expected: String,
        /// As found.
        found: String,
    },
    /// A directory cannot be given its attributes.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Unpacks `blob` below `root`, which lies on the `lowers`, bottom first, in one pass: one thread
/// reads and unpacks, one digests, and this one writes.
///
/// What was written is to be thrown away when this fails: digests are known at the end.
/// Whiteouts become those of overlayfs. Directories that the layer does not name but needs
/// are those of the layers below.
///
/// # Errors
///
/// When the blob is another one than promised, is malformed, or leaves the limits.
pub fn unpack(
    blob: impl Read + Send,
    layer: &LayerBlob,
    root: &std::path::Path,
    lowers: &[PathBuf],
    limits: &Limits,
) -> Result<Extracted, UnpackError> {
    let digest = layer.blob.digest;
    let read = |source| UnpackError::Read { digest, source };
    let size = layer.blob.size;
    let compressed = Digesting::new(blob.take(size.saturating_add(1)));
    let decoder =
        Decoder::new(Compression::of(&layer.blob.media_type)?, compressed).map_err(read)?;
    let most = limits.growth.of(size).min(limits.bytes);
    let mut writer = RootWriter::open(root)?;
    let panicked = |_panic| read(io::Error::other("a thread that reads it panicked"));
    let (extracted, bounded, diff_id) = std::thread::scope(|scope| {
        let (plain, unpacking) = ahead(scope, Bounded { inner: decoder, left: most, limit: most });
        let (mut tar, digesting) = ahead(scope, Digesting::new(plain));
        let extracted = extract(&mut tar, &mut writer, limits)
            .map_err(|source| UnpackError::Extract { digest, source })?;
        // What follows the archive's end counts for the digests, too.
        io::copy(&mut tar, &mut io::sink()).map_err(read)?;
        drop(tar);
        let (plain, diff_id) = digesting.join().map_err(panicked)?.finish();
        drop(plain);
        Ok::<_, UnpackError>((extracted, unpacking.join().map_err(panicked)?, diff_id))
    })?;
    let mut compressed = bounded.inner.into_inner();
    io::copy(&mut compressed, &mut io::sink()).map_err(read)?;
    let passed = compressed.passed();
    let (_, found) = compressed.finish();
    let mismatch = |what, expected: String, found: String| {
        Err(UnpackError::Mismatch { digest, what, expected, found })
    };
    if passed != size {
        return mismatch("its size", size.to_string(), passed.to_string());
    }
    if found != digest {
        return mismatch("its digest", digest.to_string(), found.to_string());
    }
    if diff_id != layer.diff_id {
        let expected = layer.diff_id.to_string();
        return mismatch("the digest of what it unpacks to", expected, diff_id.to_string());
    }
    writer.inherit(lowers)?;
    writer.finish()?;
    Ok(extracted)
}

/// Fails when more comes than `limit`.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => Err(io::Error::other(format!("it unpacks to more than {} bytes", self.limit))),
        }
    }
}
