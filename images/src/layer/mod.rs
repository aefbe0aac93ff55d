//! Layers: extraction, writing into a root, flattening, removal.
//!
//! All of it runs inside the user namespace that owns the layer, as its root. Every path
//! comes from an archive or a tree that a stranger wrote and is resolved below a directory
//! descriptor.

mod extract;
mod flatten;
mod writer;

use std::path::Path;

pub use extract::{ExtractError, Extracted, Limits, extract};
pub use flatten::flatten;
pub use writer::{Attributes, RootWriter, WriteError};

/// Removes a directory with all below it; a path that is not there is no error.
///
/// # Errors
///
/// When something cannot be removed; `fs_err` names it.
pub fn remove_tree(path: &Path) -> std::io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
