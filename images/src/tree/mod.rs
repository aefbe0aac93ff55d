//! The merged tree that every output reads.
//!
//! A [`Tree`] is an ordered index: metadata of every path, and where its bytes lie. It is
//! built inside the user namespace that owns the layers, so ids and file capabilities are
//! those of the image.

mod archives;
mod content;
mod directory;
mod merge;
mod normalise;
pub(crate) mod notes;
mod sparse;
mod tar;
mod usage;
pub(crate) mod xattrs;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

pub use archives::{Archives, Packing};
pub(crate) use content::FileReader;
pub use directory::{Directory, DirectoryError};
pub use merge::MergeError;
pub(crate) use merge::opaque;
pub use normalise::{Affected, Normalise};

use crate::read::{Content, Volume};

/// All paths of an image, sorted by their bytes, parents before children.
#[derive(Debug, Default)]
pub struct Tree {
    /// The entries; the root, whose path is empty, is the first.
    pub entries: Vec<Entry>,
    roots: Arc<[OwnedFd]>,
    volumes: Vec<Arc<dyn Volume>>,
}

/// One path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Without a slash at either end; empty for the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, set-id bits and the sticky bit.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since the epoch.
    pub mtime: i64,
    /// And nanoseconds.
    pub mtime_nsec: u32,
    /// Extended attributes, sorted by name; none of overlayfs's own.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Where its bytes lie.
        source: Source,
    },
    /// A directory.
    Dir,
    /// A symbolic link to that text.
    Symlink(Vec<u8>),
    /// Another name of the file at that path, which comes earlier.
    Hardlink(Vec<u8>),
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// Where the bytes of a file lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In that layer, at the same path.
    Layer {
        /// Index of the layer, the bottom one being 0.
        layer: usize,
    },
    /// In that layer, at another path.
    Moved {
        /// Index of the layer.
        layer: usize,
        /// The path there.
        path: Vec<u8>,
    },
    /// In a file system of an image.
    Volume {
        /// Its index.
        volume: usize,
        /// The node there.
        id: u64,
    },
    /// In memory.
    Bytes(Arc<[u8]>),
}

impl Tree {
    /// A tree of file systems that lie in an image: the entries, in any order, name them by
    /// their index.
    pub(crate) fn of_volumes(mut entries: Vec<Entry>, volumes: Vec<Arc<dyn Volume>>) -> Self {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Self { entries, roots: Arc::default(), volumes }
    }

    /// Some of its entries, sorted, under other paths: each comes with where it is in this tree.
    pub(crate) fn part(&self, entries: Vec<(Entry, Vec<u8>)>) -> Self {
        let moved = |(mut entry, path): (Entry, Vec<u8>)| {
            if let Kind::File { source, .. } = &mut entry.kind
                && let Source::Layer { layer } = *source
                && entry.path != path
            {
                *source = Source::Moved { layer, path };
            }
            entry
        };
        let entries = entries.into_iter().map(moved).collect();
        Self { entries, roots: Arc::clone(&self.roots), volumes: self.volumes.clone() }
    }

    /// Where the bytes of a file lie in an image; nothing for other files.
    fn content(&self, entry: &Entry) -> io::Result<Option<Content>> {
        let Kind::File { source: Source::Volume { volume, id }, .. } = &entry.kind else {
            return Ok(None);
        };
        let volume = self.volumes.get(*volume).ok_or(io::ErrorKind::NotFound)?;
        volume.content(*id).map(Some).map_err(io::Error::other)
    }

    /// The entry at `path`.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.position(path).ok().map(|at| &self.entries[at])
    }

    /// Puts an entry in its place, instead of one that was there.
    pub fn insert(&mut self, entry: Entry) {
        match self.position(&entry.path) {
            Ok(at) => self.entries[at] = entry,
            Err(at) => self.entries.insert(at, entry),
        }
    }

    fn position(&self, path: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.path.as_slice().cmp(path))
    }

    /// Removes every entry that `unwanted` names. Another name of a removed file takes its
    /// place, so that no hard link loses its bytes.
    pub fn remove_where(&mut self, unwanted: impl Fn(&Entry) -> bool) {
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.entries).into_iter().partition(unwanted);
        self.entries = kept;
        for lost in gone.into_iter().filter(|entry| matches!(entry.kind, Kind::File { .. })) {
            self.adopt(&lost);
        }
    }

    /// Gives the bytes of `lost` to the first other name of it.
    fn adopt(&mut self, lost: &Entry) {
        let names = |entry: &Entry| matches!(&entry.kind, Kind::Hardlink(to) if *to == lost.path);
        let Some(heir) = self.entries.iter().position(names) else { return };
        let path = self.entries[heir].path.clone();
        // The layer knows the file by this path as well: hard links are of one layer.
        self.entries[heir].kind = lost.kind.clone();
        for entry in &mut self.entries[heir + 1..] {
            if names(entry) {
                entry.kind = Kind::Hardlink(path.clone());
            }
        }
    }

    /// Opens the bytes of a regular file or of a hard link to one.
    ///
    /// # Errors
    ///
    /// When the entry is no file, or its layer changed.
    pub fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read>> {
        match &entry.kind {
            Kind::File { .. } => Ok(Box::new(self.reader(entry)?)),
            Kind::Hardlink(to) => {
                let target = self.get(to).filter(|to| matches!(to.kind, Kind::File { .. }));
                self.open(target.ok_or(io::ErrorKind::NotFound)?)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The open file of an entry of a layer.
    pub(crate) fn file(&self, entry: &Entry) -> io::Result<File> {
        match &entry.kind {
            Kind::File { source: Source::Layer { layer }, .. } => {
                self.open_layer(*layer, &entry.path)
            }
            Kind::File { source: Source::Moved { layer, path }, .. } => {
                self.open_layer(*layer, path)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn open_layer(&self, layer: usize, path: &[u8]) -> io::Result<File> {
        let root = self.roots.get(layer).ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let name = std::ffi::OsStr::from_bytes(path);
        Ok(File::from(openat2(root, name, flags, Mode::empty(), resolve)?))
    }
}

impl Entry {
    /// A directory of root's with that mode.
    pub fn directory(path: impl Into<Vec<u8>>, mode: u32, mtime: i64) -> Self {
        Self::new(path, Kind::Dir, mode, mtime)
    }

    /// An entry of root's.
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind, mode: u32, mtime: i64) -> Self {
        let path = path.into();
        Self { path, kind, mode, uid: 0, gid: 0, mtime, mtime_nsec: 0, xattrs: Vec::new() }
    }

    /// Whether the entry is `directory` or lies below it.
    pub fn is_below(&self, directory: &[u8]) -> bool {
        directory.is_empty()
            || self
                .path
                .strip_prefix(directory)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

#[cfg(test)]
mod tests;
