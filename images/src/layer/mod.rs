//! Layers: extraction, writing into a root, flattening, removal.
//!
//! All of it runs inside the user namespace that owns the layer, as its root. Every path
//! comes from an archive or a tree that a stranger wrote and is resolved below a directory
//! descriptor.

mod acl;
pub(crate) mod archive;
mod attributes;
mod copy;
mod extract;
mod flatten;
mod growth;
mod implied;
mod remove;
mod select;
mod special;
#[cfg(test)]
mod tests;
mod writer;

pub use archive::ArchiveError;
pub use attributes::Attributes;
pub use copy::copy_layer;
pub use extract::{ExtractError, Extracted, Limits, Listed, extract, extract_where};
pub use flatten::{FlattenError, flatten};
pub use growth::Growth;
pub use remove::remove_tree;
pub use select::select;
pub use writer::{RootWriter, WriteError};
