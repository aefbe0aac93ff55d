//! Writes ext4, and ext3 and ext2, which are ext4 without some of its features, after the kernel's
//! description of the format ("ext4 Data Structures and Algorithms") and by the rules of mke2fs(8)
//! for sizes.
//!
//! ```text
//! geometry   the numbers of a size: groups, tables, the reserve for growth
//! draft      inodes and what each of them needs       directory, hash, xattr, acl
//! plan       a place for everything                   block_map, extents, indirect, groups, growth, journal
//! emit       the bytes, in ascending order            superblock, inode, checksum
//! ```
//!
//! Blocks and inodes are given out one after the other, so that what is used of a group is
//! known without a map, and the disk is written in one sweep.
//!
//! What is not written, and refused by name: an attribute larger than a block, links longer
//! than one, features beyond [`Ext4Features`](super::layout::Ext4Features), blocks of more
//! than 4 KiB. A journal beyond a quarter of the file system is cut to that, and so is the
//! number of inodes to what a group's bitmap can count.

mod acl;
mod block_map;
mod checksum;
mod directory;
mod draft;
mod emit;
mod extents;
mod geometry;
mod groups;
mod growth;
mod hash;
mod indirect;
mod inode;
mod journal;
mod plan;
mod superblock;
mod usage;
mod xattr;

use std::io;

use super::alloc::NoSpace;
use super::layout::{Ext4Options, Filesystem};
use super::sink::DiskSink;
use super::sweep::SweepError;
use super::view::View;
use super::write::{FilesystemUse, Place};
use draft::Draft;
use geometry::Geometry;
use plan::Plan;

pub use usage::Ext4Usage;

/// A structure of ext4 that is being filled in.
type Fields = super::fields::Fields<super::fields::Little>;

/// Why an ext4 cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ext4Error {
    /// Too small for any ext4, or too large for blocks of that size.
    #[error(
        "{} MiB cannot be an ext4 with these options: {}", .len >> 20,
        .least.map_or_else(
            || "its inodes and descriptors leave no room for files, or it is too large for blocks \
                of that size".to_owned(),
            |least| format!("it needs {} MiB", least >> 20),
        )
    )]
    Impossible {
        /// Length of the partition.
        len: u64,
        /// The least length that holds an empty one, if any does and this is below.
        least: Option<u64>,
    },
    /// To grow to no more than it has.
    #[error(
        "an ext4 of {blocks} blocks cannot be made to grow to {most} (-E resize=, --max-online-resize)"
    )]
    Resize {
        /// Its blocks.
        blocks: u64,
        /// What it is to grow to.
        most: u64,
    },
    /// Features that do not go together.
    #[error("an ext4 cannot have {0}")]
    Features(&'static str),
    /// Sizes of blocks and inodes that do not exist, or not together.
    #[error("an ext4 with blocks of {block} and inodes of {inode} bytes cannot be written")]
    Sizes {
        /// Bytes of a block.
        block: u32,
        /// Bytes of an inode.
        inode: u32,
    },
    /// The tree does not fit.
    #[error(
        "the files need {needed} bytes where the file system has {len}, {missing} more: raise the image's size"
    )]
    Full {
        /// The least length that holds them.
        needed: u64,
        /// Its length.
        len: u64,
        /// The difference.
        missing: u64,
    },
    /// No block is left.
    #[error("the files need more blocks than the file system has: raise the image's size")]
    NoSpace,
    /// The tree has more files than inodes.
    #[error(
        "the tree needs {needed} inodes where there are {available}: lower the bytes for each inode or raise the image's size"
    )]
    Inodes {
        /// Needed.
        needed: u64,
        /// Available.
        available: u64,
    },
    /// A name of more than 255 bytes, or a link of more than a block.
    #[error("{path}: the name, or where the link leads, is longer than ext4 can store")]
    Name {
        /// Path in the tree.
        path: String,
    },
    /// A file that is larger than ext4 can count.
    #[error("{path} has {size} bytes, more than this ext4 can count")]
    FileSize {
        /// Path in the tree.
        path: String,
        /// Its bytes.
        size: u64,
    },
    /// A time outside what ext4 stores.
    #[error("{path} has the modification time {time}, which ext4 cannot store")]
    Time {
        /// Path in the tree.
        path: String,
        /// Seconds.
        time: i64,
    },
    /// A device's numbers are too large.
    #[error("{path} is a device whose numbers are larger than Linux has them")]
    Device {
        /// Path in the tree.
        path: String,
    },
    /// More names of one file, or more directories in one, than can be counted.
    #[error("{path} has {links} links where ext4 can count 65000")]
    Links {
        /// Path in the tree.
        path: String,
        /// Its links.
        links: u64,
    },
    /// More names than an index of two levels has room for.
    #[error("{path} holds more names than a directory of ext4 can")]
    DirectorySize {
        /// Path in the tree.
        path: String,
    },
    /// The name that every ext4 has for what a check finds.
    #[error("{path} is no directory in the tree, which an ext4 needs it to be")]
    LostAndFound {
        /// Path in the tree.
        path: String,
    },
    /// A name without its directory, or a link without its file.
    #[error("{path} has no parent directory or link target in the tree")]
    Orphan {
        /// Path in the tree.
        path: String,
    },
    /// An extended attribute of no known kind, not of its kind's form, or too large.
    #[error("{path} has an extended attribute {attribute} that ext4 cannot store")]
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

impl From<NoSpace> for Ext4Error {
    fn from(_: NoSpace) -> Self {
        Self::NoSpace
    }
}

impl From<SweepError> for Ext4Error {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Read { path, source } => Self::Read { path, source },
            SweepError::Sink(source) => Self::Sink(source),
        }
    }
}

/// The least length, in whole MiB, of an ext4 that holds `usage`.
///
/// Nothing stays free in it, and what root alone may use counts as usable. There is none where
/// the options leave no room for files at any length.
pub fn minimal_len(usage: &Ext4Usage, options: &Ext4Options) -> Option<u64> {
    geometry::minimal_len(usage, options)
}

/// What the view needs.
pub(super) fn usage(
    view: &View<'_>,
    filesystem: &Filesystem,
    options: &Ext4Options,
) -> Result<Ext4Usage, Ext4Error> {
    check_options(options)?;
    Draft::of(view, filesystem, options).map(|draft| draft.usage)
}

/// Writes the view into the extent.
pub(super) fn write(
    view: &View<'_>,
    filesystem: &Filesystem,
    options: &Ext4Options,
    place: &Place,
    sink: &mut dyn DiskSink,
) -> Result<FilesystemUse, Ext4Error> {
    let len = place.extent.len;
    let geometry = geometry_of(len, options)?;
    let draft = Draft::of(view, filesystem, options)?;
    let usage = draft.usage;
    check_room(&geometry, &usage, options, len)?;
    let plan = Plan::new(geometry, draft, filesystem, options, place.epoch)?;
    emit::emit(&plan, view, place, sink)?;
    let g = &plan.geometry;
    Ok(FilesystemUse {
        used_bytes: (g.blocks - plan.free_blocks) * g.block,
        size_bytes: g.blocks * g.block,
        files: usage.inodes,
        file_limit: Some(g.inodes()),
    })
}

/// Refuses what cannot be an ext4 of `len` bytes, whatever its files.
pub(super) fn check(len: u64, options: &Ext4Options) -> Result<(), Ext4Error> {
    geometry_of(len, options).map(|_| ())
}

fn geometry_of(len: u64, options: &Ext4Options) -> Result<Geometry, Ext4Error> {
    check_options(options)?;
    let geometry = Geometry::new(len, options).ok_or_else(|| {
        let least = minimal_len(&Ext4Usage::default(), options);
        Ext4Error::Impossible { len, least: least.filter(|least| *least > len) }
    })?;
    match options.most_blocks {
        Some(most) if most <= geometry.blocks => {
            Err(Ext4Error::Resize { blocks: geometry.blocks, most })
        }
        _ => Ok(geometry),
    }
}

fn check_options(options: &Ext4Options) -> Result<(), Ext4Error> {
    let (block, inode) = (options.block_size, options.inode_size);
    let blocks = [1024, 2048, 4096].contains(&block);
    let inodes = inode.is_power_of_two() && (128..=block).contains(&inode);
    if !(blocks && inodes) {
        return Err(Ext4Error::Sizes { block, inode });
    }
    let features = &options.features;
    if features.has("metadata_csum_seed") && !features.has("metadata_csum") {
        return Err(Ext4Error::Features("metadata_csum_seed without metadata_csum"));
    }
    if features.has("64bit") && !features.has("extent") {
        return Err(Ext4Error::Features("64bit without extent"));
    }
    if features.has("project") && inode == 128 {
        return Err(Ext4Error::Features("project with inodes of 128 bytes"));
    }
    Ok(())
}

fn check_room(
    g: &Geometry,
    usage: &Ext4Usage,
    options: &Ext4Options,
    len: u64,
) -> Result<(), Ext4Error> {
    if g.inodes() < usage.inodes {
        return Err(Ext4Error::Inodes { needed: usage.inodes, available: g.inodes() });
    }
    if g.available < usage.blocks {
        let needed = geometry::minimal_len(usage, options).ok_or(Ext4Error::NoSpace)?;
        return Err(Ext4Error::Full { needed, len, missing: needed.saturating_sub(len) });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
