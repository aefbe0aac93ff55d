//! What differs between two images: partition, path, attribute.
//!
//! ```text
//! disk      partition tables, what lies outside of partitions, partitions by their files
//! trees     two trees of one file system each
//! archives  two tar streams, or the layers of two OCI archives
//! ```
//!
//! One of the images may be anybody's, so it is read as carefully as `read` reads.

mod archives;
mod disk;
#[cfg(test)]
mod tests;
mod trees;

use std::fmt;
use std::io::{self, Read};

pub use archives::{oci_archives, tars};
pub use disk::disks;
pub use trees::trees;

use crate::layer::ArchiveError;
use crate::oci;
use crate::read::{PartitionError, SystemError};

/// Why two images cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// One of them cannot be read.
    #[error("the image cannot be read")]
    Read(#[from] io::Error),
    /// A partition table is damaged.
    #[error(transparent)]
    Partitions(#[from] PartitionError),
    /// A file system is damaged.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A tar stream is refused.
    #[error("the archive is refused")]
    Tar(#[from] ArchiveError),
    /// An OCI archive is refused.
    #[error(transparent)]
    Oci(#[from] oci::ArchiveError),
    /// A document of an OCI archive is refused.
    #[error(transparent)]
    Document(#[from] oci::OciError),
}

/// One thing that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The partition, or the part of an archive.
    pub place: String,
    /// The path in the system, relative to its root; none when no file is concerned.
    pub path: Option<Vec<u8>>,
    /// What of it differs.
    pub attribute: Attribute,
    /// Its values in the first image and in the second, for people.
    pub values: (String, String),
}

/// What can differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// One image does not have it.
    Presence,
    /// File, directory, link or device.
    Kind,
    /// Permission bits.
    Mode,
    /// Owner and group.
    Owner,
    /// Time of the last change.
    Mtime,
    /// The extended attribute of that name.
    Xattr(String),
    /// The target of a link.
    Target,
    /// Length in bytes.
    Size,
    /// Bytes of a file, from that offset in the file on.
    Content(u64),
    /// Bytes that are no file's, from that offset in the place on.
    Bytes(u64),
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presence => f.write_str("presence"),
            Self::Kind => f.write_str("kind"),
            Self::Mode => f.write_str("mode"),
            Self::Owner => f.write_str("owner"),
            Self::Mtime => f.write_str("mtime"),
            Self::Xattr(name) => write!(f, "attribute {name}"),
            Self::Target => f.write_str("target"),
            Self::Size => f.write_str("size"),
            Self::Content(offset) => write!(f, "content from byte {offset} on"),
            Self::Bytes(offset) => write!(f, "bytes from {offset} on"),
        }
    }
}

/// How many bytes are compared at a time.
const STEP: usize = 1 << 16;

/// The offset of the first byte that is not the same in two streams; the end of the shorter one
/// counts.
fn first_difference(mut a: impl Read, mut b: impl Read) -> io::Result<Option<u64>> {
    let (mut left, mut right) = (Vec::with_capacity(STEP), Vec::with_capacity(STEP));
    let mut done = 0;
    loop {
        left.clear();
        right.clear();
        a.by_ref().take(STEP as u64).read_to_end(&mut left)?;
        b.by_ref().take(STEP as u64).read_to_end(&mut right)?;
        if left != right {
            let at = left.iter().zip(&right).position(|(a, b)| a != b);
            return Ok(Some(done + at.unwrap_or(left.len().min(right.len())) as u64));
        }
        if left.is_empty() {
            return Ok(None);
        }
        done += left.len() as u64;
    }
}
