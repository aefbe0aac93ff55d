//! Writes xfs, after "XFS Algorithms and Data Structures": version 5 with checksums, types in
//! directories and a list of chunks with unused inodes, which every kernel since 3.16 and
//! GRUB since 2.02 read; newer features where they are asked for.
//!
//! ```text
//! geometry   groups, inodes, the log                 draft      inodes and names
//! plan       a place for everything                  directory, hash, attribute, extents
//! mod        the bytes, in ascending order           groups, superblock, inode, log, fields
//! ```
//!
//! No program is asked: `mkfs.xfs` takes a directory from 6.17 on, and keeps neither times nor
//! the order of inodes. What is not written, and refused by name: file systems below 300 MiB,
//! as mkfs.xfs refuses them; times beyond 2038
//! without `bigtime`; attributes that do not fit a block; links of
//! 1024 bytes; minor numbers of more than 18 bits.

mod attribute;
mod directory;
mod draft;
mod extents;
mod fields;
mod geometry;
mod groups;
mod hash;
mod inode;
mod log;
mod plan;
mod superblock;

use std::io;

use super::alloc::NoSpace;
use super::layout::{Filesystem, XfsFeature, XfsOptions};
use super::sink::{DiskSink, len_of};
use super::sweep::{Sweep, SweepError};
use super::view::View;
use super::write::{FilesystemUse, Place};
use draft::Draft;
pub(super) use geometry::LEAST;
use geometry::{BLOCK, Geometry, INODE};
use plan::{Plan, What};

/// How many inodes are put together at a time: 8 MiB.
const AT_ONCE: u64 = (8 << 20) / INODE;

/// Why an xfs cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XfsError {
    /// Too small for any xfs, or for the inodes.
    #[error(
        "{} MiB are too few for an xfs of {inodes} files, which has {} MiB at the least: raise the image's size",
        .len >> 20, LEAST >> 20
    )]
    TooSmall {
        /// Length of the partition.
        len: u64,
        /// Inodes in use.
        inodes: u64,
    },
    /// Its groups would be of a size that none can have.
    #[error(
        "{groups} allocation groups would have {} MiB each, where they have {} MiB to 1 TiB, one with the journal: \
         ask for another number of them or change the image's size",
        .len >> 20, .least.div_ceil(1 << 20)
    )]
    Groups {
        /// How many there would be.
        groups: u32,
        /// Bytes of each.
        len: u64,
        /// The least bytes of each, the journal included.
        least: u64,
    },
    /// More inodes than the part that is asked for.
    #[error(
        "{inodes} files need inodes of {needed} MiB, and maxpct leaves them {percent} percent, {room} MiB"
    )]
    InodePercent {
        /// Inodes in use.
        inodes: u64,
        /// What they take, in MiB.
        needed: u64,
        /// The part that they may take.
        percent: u8,
        /// The same in MiB.
        room: u64,
    },
    /// The tree does not fit.
    #[error("the files need more blocks than the file system has: raise the image's size")]
    NoSpace,
    /// A name of more than 255 bytes, or a link of more than 1023.
    #[error("{path}: the name, or where the link leads, is longer than xfs can store")]
    Name {
        /// Path in the tree.
        path: String,
    },
    /// A time outside what this xfs stores.
    #[error("{path} has the modification time {time}, which this xfs cannot store")]
    Time {
        /// Path in the tree.
        path: String,
        /// Seconds.
        time: i64,
    },
    /// A device's numbers are too large.
    #[error("{path} is a device whose numbers are larger than xfs can store")]
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
    /// An extended attribute of no known kind, or not of its kind's form.
    #[error("{path} has an extended attribute {attribute} that xfs cannot store")]
    Attribute {
        /// Path in the tree.
        path: String,
        /// The attribute.
        attribute: String,
    },
    /// More attributes than a block holds.
    #[error("{path} has more extended attributes than the writer of xfs can store")]
    Attributes {
        /// Path in the tree.
        path: String,
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

impl From<NoSpace> for XfsError {
    fn from(_: NoSpace) -> Self {
        Self::NoSpace
    }
}

impl From<SweepError> for XfsError {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Read { path, source } => Self::Read { path, source },
            SweepError::Sink(source) => Self::Sink(source),
        }
    }
}

/// Refuses options that an xfs of `len` bytes, which is enough for one, cannot have.
pub(super) fn check(len: u64, sector: u64, options: &XfsOptions) -> Result<(), XfsError> {
    let Some(groups) = options.groups else { return Ok(()) };
    match Geometry::new(len, sector, options, 0) {
        Some(_) => Ok(()),
        None => {
            let least = geometry::least_group(len / BLOCK) * BLOCK;
            Err(XfsError::Groups { groups, len: len / u64::from(groups.max(1)), least })
        }
    }
}

/// Writes the view into the extent.
pub(super) fn write(
    view: &View<'_>,
    filesystem: &Filesystem,
    options: &XfsOptions,
    place: &Place,
    sink: &mut dyn DiskSink,
) -> Result<FilesystemUse, XfsError> {
    let draft = Draft::of(view, options.features.has(XfsFeature::Bigtime))?;
    let (len, inodes) = (place.extent.len, draft::count(&draft));
    let sector = u64::from(place.sector_size);
    let geometry =
        Geometry::new(len, sector, options, inodes).ok_or(XfsError::TooSmall { len, inodes })?;
    if let Some((needed, room)) = geometry.beyond_percent() {
        let percent = geometry.inode_percent;
        let mib = |blocks: u64| (blocks * BLOCK) >> 20;
        return Err(XfsError::InodePercent {
            inodes,
            needed: mib(needed),
            percent,
            room: mib(room),
        });
    }
    let plan = Plan::new(geometry, &draft, filesystem, place.epoch)?;
    let mut sweep = Sweep::new(sink, place.extent, view);
    for piece in &plan.pieces {
        match &piece.what {
            What::Bytes(bytes) => sweep.put(piece.at, bytes)?,
            What::Inodes { first, count } => {
                for done in (0..*count).step_by(len_of(AT_ONCE)) {
                    let some = AT_ONCE.min(count - done);
                    let bytes = plan.table(first + done, some, place.epoch);
                    sweep.put(piece.at + done * INODE, &bytes)?;
                }
            }
            What::File { entry, size, from, len } => {
                sweep.copy(entry, *size, *from..from + len, piece.at)?;
            }
        }
    }
    sweep.finish()?;
    let blocks = plan.geometry.blocks;
    Ok(FilesystemUse {
        used_bytes: (blocks - plan.free_blocks) * BLOCK,
        size_bytes: blocks * BLOCK,
        files: inodes,
        file_limit: None,
    })
}

#[cfg(test)]
mod tests;
