//! Writes EROFS, after Linux's "erofs_fs.h": not compressed, extended inodes, ends of files
//! beside their inodes, which every kernel since 5.4 reads.
//!
//! ```text
//! draft      inodes and names               attribute, directory, inode, superblock   their bytes
//! plan       a place for everything         mod     the bytes, in ascending order
//! ```
//!
//! No program is asked: `mkfs.erofs` takes archives from 1.7 on, and from a directory only what
//! its user may make. What is not written: compression, holes, attributes that many share.
//! Refused by name: attributes without a name space that the format knows, those of 64 KiB.

mod attribute;
mod directory;
mod draft;
mod inode;
mod plan;
mod superblock;

use std::io;

use super::layout::Filesystem;
use super::sink::{DiskSink, offset_of};
use super::sweep::{Sweep, SweepError};
use super::view::View;
use super::write::{FilesystemUse, Place};
use draft::{Content, Draft};
use plan::Plan;

/// Bytes of a block.
const BLOCK: u64 = 4096;

/// Why an erofs cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErofsError {
    /// The tree does not fit.
    #[error(
        "the files need {} KiB, and it has {} KiB: raise the image's size",
        .needed / 1024, .len / 1024
    )]
    NoSpace {
        /// Bytes that the file system takes.
        needed: u64,
        /// Bytes of its place.
        len: u64,
    },
    /// More blocks than can be counted.
    #[error("the files need {} GiB, holes included, and an erofs has 16384 GiB at the most", .needed >> 30)]
    TooLarge {
        /// Bytes that the file system takes.
        needed: u64,
    },
    /// A name of more than 255 bytes.
    #[error("{path}: the name is longer than erofs can store")]
    Name {
        /// Path in the tree.
        path: String,
    },
    /// A device's numbers are too large.
    #[error("{path} is a device whose numbers are larger than erofs can store")]
    Device {
        /// Path in the tree.
        path: String,
    },
    /// A name without its directory, or a link without its file.
    #[error("{path} has no parent directory or link target in the tree")]
    Orphan {
        /// Path in the tree.
        path: String,
    },
    /// An attribute of no known kind, or one that is too large.
    #[error("{path} has an extended attribute {attribute} that erofs cannot store")]
    Attribute {
        /// Path in the tree.
        path: String,
        /// The attribute.
        attribute: String,
    },
    /// A file's content could not be read, or was not as long as the tree says.
    #[error("cannot read {path}")]
    Read {
        /// Path in the tree.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk image could not be written.
    #[error("cannot write the disk image")]
    Sink(#[source] io::Error),
}

impl From<SweepError> for ErofsError {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Read { path, source } => Self::Read { path, source },
            SweepError::Sink(source) => Self::Sink(source),
        }
    }
}

/// Writes the view into the extent.
pub(super) fn write(
    view: &View<'_>,
    filesystem: &Filesystem,
    place: &Place,
    sink: &mut dyn DiskSink,
) -> Result<FilesystemUse, ErofsError> {
    let draft = Draft::of(view, place.epoch)?;
    let plan = Plan::new(&draft);
    let (needed, len) = (plan.blocks.saturating_mul(BLOCK), place.extent.len);
    if u32::try_from(plan.blocks).is_err() {
        return Err(ErofsError::TooLarge { needed });
    }
    if needed > len {
        return Err(ErofsError::NoSpace { needed, len });
    }
    let mut sweep = Sweep::new(sink, place.extent, view);
    sweep.put(1024, &superblock::bytes(filesystem, &plan, &draft, place.epoch))?;
    for (drafted, spot) in draft.inodes.iter().zip(&plan.spots) {
        sweep.put(spot.at, &inode::bytes(drafted, spot))?;
        let (at, whole) = (spot.tail_at(drafted), spot.whole);
        match &drafted.content {
            Content::File { entry, size } if *size > whole && spot.is_inline => {
                sweep.copy(entry, *size, whole..*size, at)?;
            }
            Content::Bytes(bytes) if spot.is_inline => {
                let tail = bytes.get(super::sink::len_of(whole)..).unwrap_or_default();
                sweep.put(at, tail)?;
            }
            Content::Directory(names) if spot.is_inline => {
                let blocks = directory::blocks(names, &plan);
                sweep.put(at, blocks.last().map(Vec::as_slice).unwrap_or_default())?;
            }
            _ => {}
        }
    }
    for (drafted, spot) in draft.inodes.iter().zip(&plan.spots) {
        let stored = if spot.is_inline { spot.whole } else { spot.size };
        match &drafted.content {
            _ if stored == 0 => {}
            Content::File { entry, size } => sweep.copy(entry, *size, 0..stored, spot.data)?,
            Content::Bytes(bytes) => {
                let bytes = bytes.get(..super::sink::len_of(stored)).unwrap_or_default();
                sweep.put(spot.data, bytes)?;
            }
            Content::Directory(names) => {
                let mut at = spot.data;
                for block in directory::blocks(names, &plan) {
                    if at < spot.data + stored {
                        sweep.put(at, &block)?;
                        at += offset_of(block.len());
                    }
                }
            }
            Content::Device(_) | Content::Nothing => {}
        }
    }
    sweep.finish()?;
    Ok(FilesystemUse {
        used_bytes: needed,
        size_bytes: len,
        files: offset_of(draft.inodes.len()),
        file_limit: None,
    })
}

#[cfg(test)]
mod tests;
