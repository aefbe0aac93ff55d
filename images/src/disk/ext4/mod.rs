//! Writes ext4, through the crate mkext4, which is named nowhere else.
//!
//! The result is what `mke2fs -O ^64bit,^resize_inode` would make of the options:
//! blocks of 4 KiB, inodes of 256 bytes, has_journal, extents, flex_bg, metadata_csum.
//! Growing online works all the same: the kernel goes on with meta_bg. Tried with Linux 6.1
//! and resize2fs 1.47 at 4096 bytes for each inode: 2 to 40, 1.9 to 30, 5 to 120 GiB, clean.
//!
//! What mkext4 0.0.3 cannot do, and what becomes of it here:
//! - names and link targets that are not UTF-8: [`Ext4Error::NotUtf8`] with the path;
//! - other block sizes, other features, 16 TiB and more: not offered by the options;
//! - a reserve for growth (`-E resize=`): not needed, see above;
//! - holes: a file takes the blocks of its whole length (zeros cost nothing in the image);
//! - an attribute larger than a block: [`Ext4Error::Entry`];
//! - a `lost+found` of the tree: replaced by its own, which is refused if it held files;
//! - a journal beyond a quarter of the file system: cut to that.

mod acl;
mod declare;
mod geometry;

use std::io::{self, Read};

use mkext4::{FsBuilder, InodeCount, Options, RegionSink};

use super::layout::{Ext4Options, Filesystem};
use super::sink::DiskSink;
use super::view::{View, display};
use super::write::{FilesystemUse, Place, Progress};
use declare::Pending;
use geometry::{BLOCK, Geometry};

pub use geometry::Ext4Usage;

/// Why an ext4 cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ext4Error {
    /// Too small for any ext4.
    #[error("{len} bytes are too few for an ext4: it needs 16 MiB")]
    TooSmall {
        /// Length of the partition.
        len: u64,
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
    /// A name or link target is not UTF-8.
    #[error("{path}: \"{bytes}\" is not UTF-8, which the ext4 writer cannot store")]
    NotUtf8 {
        /// Path in the tree.
        path: String,
        /// The bytes, escaped.
        bytes: String,
    },
    /// A time outside what ext4 stores.
    #[error("{path} has the modification time {time}, which ext4 cannot store")]
    Time {
        /// Path in the tree.
        path: String,
        /// Seconds.
        time: i64,
    },
    /// The name every ext4 has already.
    #[error("{path}: lost+found is the file system's own and holds no files of an image")]
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
    /// An extended attribute of no known kind, or not of its kind's form.
    #[error("{path} has an extended attribute {attribute} that ext4 cannot store")]
    Attribute {
        /// Path in the tree.
        path: String,
        /// The attribute.
        attribute: String,
    },
    /// The writer refused an entry.
    #[error("{path} cannot be stored in an ext4")]
    Entry {
        /// Path in the tree.
        path: String,
        /// What it said.
        #[source]
        source: mkext4::Error,
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
    /// The writer refused the file system as a whole.
    #[error("the ext4 cannot be made")]
    Writer(#[source] mkext4::Error),
}

impl Ext4Error {
    fn of(error: mkext4::Error) -> Self {
        match error {
            mkext4::Error::Io(source) => Self::Sink(source),
            other => Self::Writer(other),
        }
    }
}

/// The least length, in whole MiB, of an ext4 that holds `usage`; at least 16 MiB.
///
/// Nothing stays free in it, and what root alone may use counts as usable.
pub fn minimal_len(usage: &Ext4Usage, options: &Ext4Options) -> u64 {
    geometry::minimal_len(usage, options)
}

/// What the view needs.
pub(super) fn usage(view: &View<'_>) -> Ext4Usage {
    Ext4Usage::of(view)
}

/// Writes the view into the extent.
pub(super) fn write(
    view: &View<'_>,
    filesystem: &Filesystem,
    options: &Ext4Options,
    place: &Place,
    sink: &mut dyn DiskSink,
    progress: &dyn Progress,
) -> Result<FilesystemUse, Ext4Error> {
    let len = place.extent.len;
    let g = Geometry::new(len, options).ok_or(Ext4Error::TooSmall { len })?;
    let usage = Ext4Usage::of(view);
    check_room(&g, &usage, options, len)?;
    let mut builder = FsBuilder::new(settings(&g, filesystem, options, place.epoch))
        .map_err(Ext4Error::Writer)?;
    let pending = declare::declare(&mut builder, view, place.epoch)?;
    let layout = builder.seal().map_err(Ext4Error::of)?;
    let made = g.blocks * BLOCK;
    let mut shifted = Shifted { sink, base: place.extent.offset };
    let mut writer = layout.writer(&mut shifted).map_err(Ext4Error::of)?;
    for file in &pending {
        let mut reader = Reader::open(view, file, progress)?;
        if let Err(error) = writer.fill(file.handle, &mut reader) {
            return Err(reader.explain(file, error));
        }
    }
    writer.finish().map_err(Ext4Error::of)?;
    sink.zeros(place.extent.offset + made, len - made).map_err(Ext4Error::Sink)?;
    Ok(FilesystemUse {
        used_bytes: made - (g.available - usage.blocks.min(g.available)) * BLOCK,
        size_bytes: made,
        files: usage.inodes,
        file_limit: Some(g.inodes),
    })
}

fn check_room(
    g: &Geometry,
    usage: &Ext4Usage,
    options: &Ext4Options,
    len: u64,
) -> Result<(), Ext4Error> {
    if g.available < usage.blocks {
        let needed = geometry::minimal_len(usage, options);
        return Err(Ext4Error::Full { needed, len, missing: needed.saturating_sub(len) });
    }
    if g.inodes < usage.inodes {
        return Err(Ext4Error::Inodes { needed: usage.inodes, available: g.inodes });
    }
    Ok(())
}

fn settings(g: &Geometry, filesystem: &Filesystem, options: &Ext4Options, epoch: i64) -> Options {
    let low = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    // Its hash seed is derived from the UUID.
    let mut o = Options::new(g.blocks * BLOCK, filesystem.uuid.into_bytes(), epoch);
    o.inodes = InodeCount::Exact(low(g.inodes));
    o.journal_blocks = Some(low(g.journal));
    o.reserved_percent = options.reserved_percent;
    o.label = Some(filesystem.label.clone()).filter(|l| !l.is_empty());
    o
}

/// A part of the disk as mkext4 sees it.
struct Shifted<'s> {
    sink: &'s mut dyn DiskSink,
    base: u64,
}

impl RegionSink for Shifted<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.sink.data(self.base + offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.sink.zeros(self.base + offset, len)
    }
}

/// Reads a file and remembers why it stopped, so that a source that fails is not
/// taken for a disk that is full.
struct Reader<'r> {
    inner: Box<dyn Read + 'r>,
    progress: &'r dyn Progress,
    failed: Option<io::Error>,
    ended: bool,
}

impl<'r> Reader<'r> {
    fn open(
        view: &View<'r>,
        file: &Pending<'r>,
        progress: &'r dyn Progress,
    ) -> Result<Self, Ext4Error> {
        let inner = view
            .tree
            .open(file.entry)
            .map_err(|source| Ext4Error::Read { path: display(&file.entry.path), source })?;
        Ok(Self { inner, progress, failed: None, ended: false })
    }

    fn explain(self, file: &Pending<'_>, error: mkext4::Error) -> Ext4Error {
        let path = display(&file.entry.path);
        match self.failed {
            Some(source) => Ext4Error::Read { path, source },
            None if self.ended => {
                let shorter = format!("shorter than the {} bytes of the tree", file.size);
                let source = io::Error::new(io::ErrorKind::UnexpectedEof, shorter);
                Ext4Error::Read { path, source }
            }
            None => Ext4Error::of(error),
        }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(n) => {
                self.ended |= n == 0 && !buffer.is_empty();
                self.progress.written(super::sink::offset_of(n));
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                let copy = io::Error::new(e.kind(), e.to_string());
                self.failed = Some(e);
                Err(copy)
            }
        }
    }
}

#[cfg(test)]
mod tests;
