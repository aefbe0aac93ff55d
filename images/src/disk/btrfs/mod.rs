//! Writes btrfs, after the kernel's "btrfs_tree.h": one device, checksums of CRC-32C, nodes of
//! 16 KiB, metadata once, holes with items of their own, which every kernel since 4.0 reads.
//!
//! ```text
//! draft    inodes and names               space    where data and nodes may lie
//! items    what trees hold of files       data     files, with their checksums
//! node     trees of items                 roots    the trees that describe the others
//! mod      the bytes                      superblock
//! ```
//!
//! Logical addresses are those of the disk. No program is asked: `mkfs.btrfs --rootdir` takes
//! inode numbers from the host, and neither nodes nor labels that its user may not make. What is
//! not written: compression, subvolumes, the tree of identifiers, which the kernel makes when it first
//! writes, and that of free space, which it makes when asked to (`space_cache=v2`). Refused by
//! name: what does not fit a node.

mod data;
mod draft;
mod items;
mod node;
mod roots;
mod space;
mod superblock;

use std::io;

use uuid::Uuid;

use super::layout::{Filesystem, derived_uuid};
use super::sink::{DiskSink, offset_of};
use super::view::View;
use super::write::{FilesystemUse, Place};
use draft::Draft;
use roots::Roots;
use space::Chunks;

/// Bytes of a sector.
const SECTOR: u64 = 4096;
/// Bytes of a node.
const NODE: u64 = 16384;
/// The number of the transaction that wrote everything.
const GENERATION: u64 = 1;

/// Why a btrfs cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BtrfsError {
    /// The tree does not fit.
    #[error(
        "the files need {} MiB with their metadata, and it has {} MiB: raise the image's size",
        .needed.div_ceil(1 << 20), .len >> 20
    )]
    NoSpace {
        /// Bytes that chunks take.
        needed: u64,
        /// Bytes of its place.
        len: u64,
    },
    /// A name of more than 255 bytes, or a link of more than 4095.
    #[error("{path}: the name, or where the link leads, is longer than btrfs can store")]
    Name {
        /// Path in the tree.
        path: String,
    },
    /// A device's numbers are too large.
    #[error("{path} is a device whose numbers are larger than Linux knows")]
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
    /// Attributes, or names of a file in one directory, that do not fit a node.
    #[error("{path} has an attribute, or names in one directory, that do not fit a node of btrfs")]
    TooLarge {
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

/// Identifiers of one file system.
#[derive(Debug, Clone, Copy)]
struct Ids {
    own: Uuid,
    device: Uuid,
    chunks: Uuid,
}

/// Writes the view into the extent.
pub(super) fn write(
    view: &View<'_>,
    filesystem: &Filesystem,
    place: &Place,
    sink: &mut dyn DiskSink,
) -> Result<FilesystemUse, BtrfsError> {
    let (offset, len) = (place.extent.offset, place.extent.len / SECTOR * SECTOR);
    let seed = filesystem.uuid.to_string();
    let ids = Ids {
        own: filesystem.uuid,
        device: derived_uuid(&seed, "btrfs device"),
        chunks: derived_uuid(&seed, "btrfs chunks"),
    };
    let draft = Draft::of(view, place.epoch)?;
    let mut files = data::place(view, &draft)?;
    let mut chunks = Chunks::new(files.end);
    if chunks.needed() > len {
        return Err(BtrfsError::NoSpace { needed: chunks.needed(), len });
    }
    let mut out = Out { sink, offset, taken: Vec::new() };
    data::write(view, &mut files, &mut out)?;
    let items = items::of_files(&draft, &files)?;
    let roots = Roots::new(items, &files, &mut chunks, len, ids, place.epoch);
    if chunks.needed() > len {
        return Err(BtrfsError::NoSpace { needed: chunks.needed(), len });
    }
    for (at, bytes) in &roots.nodes {
        out.put(*at, bytes)?;
    }
    for at in space::COPIES.into_iter().filter(|at| at + SECTOR <= len) {
        out.put(at, &superblock::bytes(filesystem, &roots, &chunks, at, len, ids))?;
    }
    out.zeros(place.extent.len)?;
    Ok(FilesystemUse {
        used_bytes: chunks.used(),
        size_bytes: len,
        files: offset_of(draft.inodes.len()),
        file_limit: None,
    })
}

/// Bytes of the file system that were written, in any order.
struct Out<'s> {
    sink: &'s mut dyn DiskSink,
    offset: u64,
    taken: Vec<(u64, u64)>,
}

impl Out<'_> {
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), BtrfsError> {
        self.sink.data(self.offset + at, bytes).map_err(BtrfsError::Sink)?;
        let end = at + offset_of(bytes.len());
        match self.taken.last_mut() {
            Some((_, last)) if *last == at => *last = end,
            _ => self.taken.push((at, end)),
        }
        Ok(())
    }

    /// Writes zeros wherever nothing else is, up to `len`.
    fn zeros(&mut self, len: u64) -> Result<(), BtrfsError> {
        self.taken.sort_unstable();
        let mut at = 0;
        for (from, end) in std::mem::take(&mut self.taken).into_iter().chain([(len, len)]) {
            if from > at {
                self.sink.zeros(self.offset + at, from - at).map_err(BtrfsError::Sink)?;
            }
            at = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
