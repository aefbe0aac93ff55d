//! OCI images: what their documents say, reading them strictly, unpacking and packing layers.
//!
//! The types are our own and not oci-spec's: a digest is a checked value and never a text that
//! becomes a path, and maps are ordered, so that what is written has the same bytes every time.
//! Everything that is read here was written by strangers.

mod ahead;
mod archive;
mod codec;
mod config;
mod document;
mod layout;
mod pack;
mod platform;
mod reference;
#[cfg(test)]
mod tests;
mod unpack;

pub use archive::{Archive, ArchiveError, BlobReader};
pub use codec::Compression;
pub use config::{Config, History, RootFs, Run};
pub use document::{Descriptor, Document, Index, MANIFEST_LIMIT, Manifest, media_type};
pub use layout::LayoutDirectory;
pub use pack::{PackError, Packing, pack};
pub use platform::Platform;
pub use reference::{Reference, ReferenceError};
pub use unpack::{LayerBlob, UnpackError, unpack};

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// No JSON, or fields of another type than the specification has, digests included.
    #[error("{what} is malformed")]
    Malformed {
        /// A manifest, an index, a configuration.
        what: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is longer than any honest one.
    #[error("{what} is longer than {limit} bytes")]
    TooLarge {
        /// As above.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A media type that is not understood, or not allowed at this place.
    #[error("media type {found:?} is not supported for {what}")]
    MediaType {
        /// As above.
        what: &'static str,
        /// The type.
        found: String,
    },
    /// The document says it is something else than what was asked for.
    #[error("a document of type {expected} says that it is {found}")]
    OtherType {
        /// What the descriptor or the server said.
        expected: String,
        /// What the document says.
        found: String,
    },
    /// One document that can be read as two.
    #[error("a document can be read both as an index and as a manifest")]
    Ambiguous,
    /// Manifest and configuration contradict each other, or there is nothing in them.
    #[error("the image {problem}")]
    Inconsistent {
        /// What is wrong.
        problem: String,
    },
    /// No image of an index fits.
    #[error("no image for {wanted}; there are {}", there.join(", "))]
    NoPlatform {
        /// The platform asked for.
        wanted: String,
        /// Those of the index.
        there: Vec<String>,
    },
}
