//! Where the bytes of a disk go.

mod blocks;
mod checksum;
mod clusters;
mod copy;
mod coverage;
mod identity;
mod qcow2;
mod raw;
mod tee;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

use std::io;

pub use checksum::{Checksums, checksums};
pub use clusters::Compression;
pub use copy::copy_raw;
pub use coverage::Coverage;
pub use identity::ImageIdentity;
pub use qcow2::{Qcow2Options, Qcow2Sink};
pub use raw::RawSink;
pub use tee::Tee;
pub use vdi::VdiSink;
pub use vhd::{FixedVhdSink, VHD_LARGEST, VhdSink};
pub use vhdx::VhdxSink;
pub use vmdk::{VmdkOptions, VmdkSink, VmdkStreamSink};

/// Receives every byte of a disk exactly once, in any order.
///
/// Errors are [`io::Error`] so that "disk full" keeps its kind; a breach of the
/// contract is one that carries a [`SinkError`]. After an error the sink is of no
/// further use.
pub trait DiskSink {
    /// `bytes` are the disk's content at `offset`.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the range was covered before.
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// `len` bytes at `offset` are zero.
    ///
    /// # Errors
    ///
    /// As [`data`](Self::data).
    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()>;

    /// Completes the file. Does not sync it.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or part of the disk was never covered.
    fn finish(&mut self) -> io::Result<()>;
}

/// How a sink's contract was broken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Bytes beyond the end of the disk.
    #[error("{len} bytes at {offset} lie outside a disk of {size} bytes")]
    Outside {
        /// Start of the range.
        offset: u64,
        /// Its length.
        len: u64,
        /// Length of the disk.
        size: u64,
    },
    /// Bytes that were written before.
    #[error("{len} bytes at {offset} were written before")]
    Twice {
        /// Start of the range.
        offset: u64,
        /// Its length.
        len: u64,
    },
    /// Bytes that were never written.
    #[error("the disk is not complete: byte {offset} was never written")]
    Missing {
        /// The first of them.
        offset: u64,
    },
    /// Bytes that a streamed image should have had before.
    #[error("the disk's bytes at {offset} come too late for a streamed image")]
    Backwards {
        /// Where they belong.
        offset: u64,
    },
    /// The compressor refused.
    #[error("a cluster cannot be compressed: {reason}")]
    Compressor {
        /// What it said.
        reason: String,
    },
    /// A compressing thread ended before its work did.
    #[error("a compressing thread ended early")]
    ThreadLost,
    /// The sink failed before, or is finished.
    #[error("the disk image is closed")]
    Closed,
}

impl From<SinkError> for io::Error {
    fn from(error: SinkError) -> Self {
        Self::other(error)
    }
}

/// Whether all bytes are zero.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| Some(chunk) == ZEROS.get(..chunk.len()))
}

/// A length or position as a disk offset.
pub(super) fn offset_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// A disk offset known to be small as a length.
pub(super) fn len_of(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
