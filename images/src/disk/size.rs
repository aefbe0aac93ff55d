//! How large a file system must be for what it is to hold.

use super::ext4;
use super::layout::{DiskLayout, Ext4Options, Filesystem};
use super::view::{self, SplitError};
use crate::tree::Tree;

pub use super::ext4::{Ext4Usage, minimal_len};

/// What each file system of the layout would need as an ext4, in the layout's
/// order. Sizes and partitions of the layout do not matter yet, only mount points.
///
/// # Errors
///
/// The tree does not suit the mount points.
pub fn ext4_usage(layout: &DiskLayout, tree: &Tree) -> Result<Vec<Ext4Usage>, SplitError> {
    let missing = view::missing_directories(layout, tree);
    let views = view::split(layout, tree, &missing)?;
    Ok(views.iter().map(ext4::usage).collect())
}

/// The least length, in whole MiB, of an ext4 that holds the whole tree.
///
/// # Errors
///
/// The tree has a hard link that leads nowhere.
pub fn minimal_ext4_len(tree: &Tree, options: &Ext4Options) -> Result<u64, SplitError> {
    let whole = Filesystem {
        name: String::new(),
        on: super::layout::On::Whole,
        kind: super::layout::FsKind::Ext4(*options),
        label: String::new(),
        uuid: uuid::Uuid::nil(),
        mount_point: Some("/".into()),
    };
    let usage = ext4_usage(&DiskLayout::bare(0, 0, whole), tree)?;
    Ok(minimal_len(&usage.first().copied().unwrap_or_default(), options))
}
