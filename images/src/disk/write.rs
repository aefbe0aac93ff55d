//! Writes a whole disk.

use std::io;

use serde::{Deserialize, Serialize};

use super::boot::{self, BootError, BootFiles};
use super::btrfs::{self, BtrfsError};
use super::erofs::{self, ErofsError};
use super::ext4::{self, Ext4Error};
use super::fat::{self, FatError};
use super::layout::{DiskLayout, Extent, Filesystem, FsKind, LayoutError, On};
use super::lvm::{self, Runs};
use super::made::{self, Made, MadeError};
use super::sink::{DiskSink, offset_of};
use super::swap::{self, SwapError};
use super::table::{self, Fragment, TableError};
use super::view::{self, SplitError, View};
use super::xfs::{self, XfsError};
use crate::tree::Tree;

/// Why a disk cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The layout is impossible.
    #[error("the disk layout is impossible")]
    Layout(#[from] LayoutError),
    /// The tree does not suit the layout.
    #[error("the tree does not suit the disk layout")]
    Split(#[from] SplitError),
    /// The partition table cannot be made.
    #[error("the partition table cannot be made")]
    Table(#[from] TableError),
    /// The boot loader cannot be embedded.
    #[error("the boot loader cannot be embedded")]
    Boot(#[from] BootError),
    /// An ext4 cannot be written.
    #[error("file system {name} cannot be written")]
    Ext4 {
        /// The file system.
        name: String,
        /// Why.
        #[source]
        source: Box<Ext4Error>,
    },
    /// An xfs cannot be written.
    #[error("file system {name} cannot be written")]
    Xfs {
        /// The file system.
        name: String,
        /// Why.
        #[source]
        source: Box<XfsError>,
    },
    /// A btrfs cannot be written.
    #[error("file system {name} cannot be written")]
    Btrfs {
        /// The file system.
        name: String,
        /// Why.
        #[source]
        source: Box<BtrfsError>,
    },
    /// An erofs cannot be written.
    #[error("file system {name} cannot be written")]
    Erofs {
        /// The file system.
        name: String,
        /// Why.
        #[source]
        source: Box<ErofsError>,
    },
    /// What a program made cannot be copied.
    #[error("file system {name} cannot be written")]
    Made {
        /// The file system.
        name: String,
        /// Why.
        #[source]
        source: MadeError,
    },
    /// A FAT cannot be written.
    #[error("file system {name} cannot be written")]
    Vfat {
        /// The file system.
        name: String,
        /// Why.
        #[source]
        source: FatError,
    },
    /// A swap area cannot be written.
    #[error("swap area {name} cannot be written")]
    Swap {
        /// The area.
        name: String,
        /// Why.
        #[source]
        source: SwapError,
    },
    /// The disk image could not be written.
    #[error("cannot write the disk image")]
    Sink(#[from] io::Error),
}

impl WriteError {
    /// The file system that is to blame.
    pub fn filesystem(&self) -> Option<&str> {
        match self {
            Self::Ext4 { name, .. }
            | Self::Xfs { name, .. }
            | Self::Btrfs { name, .. }
            | Self::Erofs { name, .. }
            | Self::Made { name, .. }
            | Self::Vfat { name, .. }
            | Self::Swap { name, .. } => Some(name),
            Self::Layout(_) | Self::Split(_) | Self::Table(_) | Self::Boot(_) | Self::Sink(_) => {
                None
            }
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReport {
    /// One for each file system of the layout, in its order.
    pub filesystems: Vec<FilesystemReport>,
    /// Where GRUB's core image lies, if one was embedded.
    pub bios_core: Option<Extent>,
}

/// A file system that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemReport {
    /// Its name in the layout.
    pub name: String,
    /// Where it is mounted.
    pub mount_point: Option<String>,
    /// Where it begins on the disk, and its length; a logical volume need not be one run.
    pub extent: Extent,
    /// How full it is.
    #[serde(flatten)]
    pub usage: FilesystemUse,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemUse {
    /// Bytes that files and the file system itself take.
    pub used_bytes: u64,
    /// Bytes there are.
    pub size_bytes: u64,
    /// Files there are; inodes of an ext4.
    pub files: u64,
    /// Files there can be, if that is limited.
    pub file_limit: Option<u64>,
}

/// Where a file system goes, and what it takes from the disk.
pub(super) struct Place {
    /// Its bytes.
    pub(super) extent: Extent,
    /// The disk's sector size.
    pub(super) sector_size: u32,
    /// The time it is made.
    pub(super) epoch: i64,
}

/// Writes the layout with the tree in it: table, boot code, file systems, and zeros
/// between them. Every byte of the disk reaches the sink once; the sink is finished.
///
/// A directory that the layout mounts something on and the tree lacks is added.
///
/// # Errors
///
/// See [`WriteError`]. What the sink wrote until then is of no use.
pub fn write(
    layout: &DiskLayout,
    tree: &Tree,
    sink: &mut dyn DiskSink,
    boot_files: &BootFiles,
) -> Result<WriteReport, WriteError> {
    write_with(layout, tree, &Made::default(), sink, boot_files)
}

/// The same with file systems that a program made.
///
/// # Errors
///
/// As [`write`], and when one of them is missing or larger than its place.
pub fn write_with(
    layout: &DiskLayout,
    tree: &Tree,
    made: &Made,
    sink: &mut dyn DiskSink,
    boot_files: &BootFiles,
) -> Result<WriteReport, WriteError> {
    layout.validate()?;
    let missing = view::missing_directories(layout, tree);
    let (nothing, root) = (Tree::default(), view::root(layout.epoch));
    let mut views = view::split(layout, tree, &missing)?;
    // What is mounted nowhere has a root directory all the same.
    for (filesystem, view) in layout.filesystems.iter().zip(&mut views) {
        if filesystem.mount_point.is_none() {
            *view = View::empty(&nothing, &root);
        }
    }
    write_views(layout, &views, made, sink, boot_files)
}

/// Writes the layout with nothing in its file systems, none of which need be mounted anywhere.
///
/// # Errors
///
/// As [`write`].
pub fn write_empty(
    layout: &DiskLayout,
    sink: &mut dyn DiskSink,
) -> Result<WriteReport, WriteError> {
    layout.validate()?;
    let tree = Tree::default();
    let root = view::root(layout.epoch);
    let views: Vec<_> = layout.filesystems.iter().map(|_| View::empty(&tree, &root)).collect();
    write_views(layout, &views, &Made::default(), sink, &BootFiles::default())
}

fn write_views(
    layout: &DiskLayout,
    views: &[View<'_>],
    made: &Made,
    sink: &mut dyn DiskSink,
    boot_files: &BootFiles,
) -> Result<WriteReport, WriteError> {
    let mut fragments = table::fragments(layout)?;
    let bios_core = match &boot_files.bios {
        Some(bios) => Some(boot::embed(layout, bios, &mut fragments)?),
        None => None,
    };
    fragments.extend(lvm::fragments(layout)?);
    write_outside(layout, &mut fragments, sink)?;
    let mut filesystems = Vec::new();
    for (filesystem, view) in layout.filesystems.iter().zip(views) {
        let extents = extents(layout, filesystem)?;
        let len = extents.iter().map(|extent| extent.len).sum();
        let offset = extents.first().map_or(0, |extent| extent.offset);
        let usage = if let On::Volume { .. } = filesystem.on {
            let inside = Extent { offset: 0, len };
            let mut runs = Runs::new(sink, &extents);
            write_one(layout, filesystem, (view, made), inside, &mut runs)?
        } else {
            let extent = Extent { offset, len };
            write_one(layout, filesystem, (view, made), extent, sink)?
        };
        filesystems.push(FilesystemReport {
            name: filesystem.name.clone(),
            mount_point: filesystem.mount_point.clone(),
            extent: Extent { offset, len },
            usage,
        });
    }
    sink.finish()?;
    Ok(WriteReport { filesystems, bios_core })
}

fn extents(layout: &DiskLayout, filesystem: &Filesystem) -> Result<Vec<Extent>, LayoutError> {
    let none = || LayoutError::NoPlace { name: filesystem.name.clone() };
    layout.extents(filesystem).ok_or_else(none)
}

/// Writes the fragments, and zeros where neither they nor file systems are.
fn write_outside(
    layout: &DiskLayout,
    fragments: &mut [Fragment],
    sink: &mut dyn DiskSink,
) -> Result<(), WriteError> {
    fragments.sort_by_key(|f| f.offset);
    let mut taken: Vec<Extent> = fragments
        .iter()
        .map(|f| Extent { offset: f.offset, len: offset_of(f.bytes.len()) })
        .collect();
    for filesystem in &layout.filesystems {
        taken.extend(extents(layout, filesystem)?);
    }
    taken.sort_by_key(|e| e.offset);
    for fragment in fragments.iter() {
        sink.data(fragment.offset, &fragment.bytes)?;
    }
    let mut at = 0;
    for extent in taken {
        if extent.offset > at {
            sink.zeros(at, extent.offset - at)?;
        }
        at = at.max(extent.end());
    }
    if layout.size_bytes > at {
        sink.zeros(at, layout.size_bytes - at)?;
    }
    Ok(())
}

/// Writes one file system into its extent.
pub(super) fn write_one(
    layout: &DiskLayout,
    filesystem: &Filesystem,
    (view, made): (&View<'_>, &Made),
    extent: Extent,
    sink: &mut dyn DiskSink,
) -> Result<FilesystemUse, WriteError> {
    let place = Place { extent, sector_size: layout.sector_size, epoch: layout.epoch };
    let name = || filesystem.name.clone();
    match &filesystem.kind {
        FsKind::Ext4(options) => ext4::write(view, filesystem, options, &place, sink)
            .map_err(|source| WriteError::Ext4 { name: name(), source: Box::new(source) }),
        FsKind::Xfs(options) => xfs::write(view, filesystem, options, &place, sink)
            .map_err(|source| WriteError::Xfs { name: name(), source: Box::new(source) }),
        FsKind::Vfat(options) => fat::write(view, filesystem, options, &place, sink)
            .map_err(|source| WriteError::Vfat { name: name(), source }),
        FsKind::Btrfs => btrfs::write(view, filesystem, &place, sink)
            .map_err(|source| WriteError::Btrfs { name: name(), source: Box::new(source) }),
        FsKind::Erofs => erofs::write(view, filesystem, &place, sink)
            .map_err(|source| WriteError::Erofs { name: name(), source: Box::new(source) }),
        FsKind::Squashfs => made::write(made, &filesystem.name, extent, sink)
            .map_err(|source| WriteError::Made { name: name(), source }),
        FsKind::Swap => {
            swap::write(filesystem, extent, sink)
                .map_err(|source| WriteError::Swap { name: name(), source })?;
            Ok(FilesystemUse { size_bytes: extent.len, ..FilesystemUse::default() })
        }
    }
}
