//! One name of a tree.

use std::sync::Arc;

/// A name with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the root without a leading slash; empty for the root itself.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions, setuid, setgid and sticky bits: `0o7777` at most.
    pub mode: u32,
    /// Owner, as the image counts.
    pub uid: u32,
    /// Group, as the image counts.
    pub gid: u32,
    /// Time of last modification in Unix seconds.
    pub mtime: i64,
    /// The nanoseconds of it.
    pub mtime_nsec: u32,
    /// Extended attributes: name and value.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its length.
        size: u64,
        /// Where its content is.
        source: Source,
    },
    /// A directory.
    Dir,
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// Another name of the file whose first path this is.
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

/// Where a file's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a layer, under the entry's own path.
    Layer {
        /// Index of the layer, the bottom is 0.
        layer: usize,
    },
    /// In memory.
    Bytes(Arc<[u8]>),
}
