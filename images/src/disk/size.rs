//! How large a file system must be for what it is to hold.

use super::ext4;
use super::layout::{DiskLayout, Ext4Options, Filesystem, FsKind};
use super::view;
use super::write::WriteError;
use crate::tree::Tree;

pub use super::ext4::{Ext4Usage, minimal_len};

/// What each file system of the layout would need as an ext4, in the layout's
/// order; of one that is none with the usual options. Sizes and partitions of the layout do
/// not matter yet, only mount points. Large files are read, for their holes.
///
/// # Errors
///
/// The tree does not suit the mount points, or holds what ext4 does not, or cannot be read.
pub fn ext4_usage(layout: &DiskLayout, tree: &Tree) -> Result<Vec<Ext4Usage>, WriteError> {
    let missing = view::missing_directories(layout, tree);
    let views = view::split(layout, tree, &missing)?;
    let usage = |(filesystem, view): (&Filesystem, &view::View<'_>)| {
        let options = match &filesystem.kind {
            FsKind::Ext4(options) => *options,
            _ => Ext4Options::default(),
        };
        ext4::usage(view, filesystem, &options).map_err(|source| WriteError::Ext4 {
            name: filesystem.name.clone(),
            source: Box::new(source),
        })
    };
    layout.filesystems.iter().zip(&views).map(usage).collect()
}

/// The least length, in whole MiB, of an ext4 that holds the whole tree.
///
/// # Errors
///
/// As [`ext4_usage`], or when options leave no room for files.
pub fn minimal_ext4_len(tree: &Tree, options: &Ext4Options) -> Result<u64, WriteError> {
    let whole = Filesystem {
        name: String::new(),
        on: super::layout::On::Whole,
        kind: FsKind::Ext4(*options),
        label: String::new(),
        uuid: uuid::Uuid::nil(),
        mount_point: Some("/".into()),
    };
    let usage = ext4_usage(&DiskLayout::bare(0, 0, whole), tree)?;
    let least = minimal_len(&usage.first().copied().unwrap_or_default(), options);
    least.ok_or_else(|| WriteError::Ext4 {
        name: String::new(),
        source: Box::new(ext4::Ext4Error::NoSpace),
    })
}
