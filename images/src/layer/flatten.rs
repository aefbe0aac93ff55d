//! Copies a stack of layers into one plain tree.

use std::path::{Path, PathBuf};

use rustix::fs::{FileType, makedev};

use super::attributes::Attributes;
use super::writer::{RootWriter, WriteError};
use crate::tree::{Entry, Kind, MergeError, Tree};

/// Why a stack cannot be flattened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlattenError {
    /// The layers cannot be read.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The copy cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file cannot be read.
    #[error("{path}")]
    Read {
        /// The path inside the tree.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Copies the merged view of `lowers`, the bottom one first, into the empty directory
/// `destination`, which is made when absent.
///
/// # Errors
///
/// When something cannot be read or written; the copy is then incomplete.
pub fn flatten(lowers: &[PathBuf], destination: &Path) -> Result<(), FlattenError> {
    let tree = Tree::merge(lowers)?;
    if !destination.exists() {
        fs_err::create_dir(destination).map_err(|source| {
            let path = destination.display().to_string();
            FlattenError::Read { path, source }
        })?;
    }
    let mut writer = RootWriter::open(destination)?;
    for entry in &tree.entries {
        copy(&tree, entry, &mut writer)?;
    }
    Ok(writer.finish()?)
}

fn copy(tree: &Tree, entry: &Entry, writer: &mut RootWriter) -> Result<(), FlattenError> {
    let attributes = Attributes::of(entry);
    let path = &entry.path;
    match &entry.kind {
        Kind::Dir => writer.directory(path, &attributes)?,
        Kind::File { .. } => {
            let read = |source| FlattenError::Read {
                path: String::from_utf8_lossy(path).into_owned(),
                source,
            };
            let mut content = tree.open(entry).map_err(read)?;
            writer.file(path, &attributes, &mut content)?;
        }
        Kind::Symlink(to) => writer.symlink(path, to, &attributes)?,
        Kind::Hardlink(to) => writer.hard_link(path, to)?,
        Kind::Char { major, minor } => {
            writer.node(path, FileType::CharacterDevice, makedev(*major, *minor), &attributes)?;
        }
        Kind::Block { major, minor } => {
            writer.node(path, FileType::BlockDevice, makedev(*major, *minor), &attributes)?;
        }
        Kind::Fifo => writer.node(path, FileType::Fifo, 0, &attributes)?,
        Kind::Socket => {}
    }
    Ok(())
}
