//! A file system that can be read.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use super::fields::index;
use super::medium::Medium;

/// Why a file system, or one file of it, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The disk cannot be read there.
    #[error("the disk cannot be read")]
    Read(#[from] io::Error),
    /// The bytes make no sense.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// Which structure: an inode, a directory.
        what: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A format or a feature that is not read here.
    #[error("{what} is not read here")]
    Unsupported {
        /// Which.
        what: String,
    },
}

impl VolumeError {
    pub(super) fn damaged(what: impl fmt::Display, reason: &'static str) -> Self {
        Self::Damaged { what: what.to_string(), reason }
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl NodeKind {
    /// What the type bits of a mode (inode(7)) say; nothing for a type that does not exist. `device`
    /// is asked for a device's numbers only.
    pub(super) fn of_mode(
        mode: u32,
        device: impl FnOnce() -> Result<(u32, u32), VolumeError>,
    ) -> Result<Option<Self>, VolumeError> {
        Ok(Some(match mode >> 12 {
            0o1 => Self::Fifo,
            0o2 => device().map(|(major, minor)| Self::Char(major, minor))?,
            0o4 => Self::Dir,
            0o6 => device().map(|(major, minor)| Self::Block(major, minor))?,
            0o10 => Self::File,
            0o12 => Self::Symlink,
            0o14 => Self::Socket,
            _ => return Ok(None),
        }))
    }
}

/// Metadata of a file, a directory or another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits, set-id bits, the sticky bit.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u32,
    /// Seconds since the epoch, nanoseconds.
    pub mtime: (i64, u32),
}

/// Extended attributes: names and values.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// A directory's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Neither empty nor a dot nor two, without a slash or a NUL.
    pub name: Vec<u8>,
    /// The node.
    pub id: u64,
}

impl Name {
    /// Checks a name as it is on the disk.
    pub(super) fn new(name: Vec<u8>, id: u64) -> Option<Self> {
        let bad = name.is_empty() || name.iter().any(|&byte| byte == b'/' || byte == 0);
        (!bad && name != b"." && name != b"..").then_some(Self { name, id })
    }
}

/// A run of a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Offset in the file.
    pub at: u64,
    /// Length in bytes, not 0.
    pub len: u64,
    /// Where they lie.
    pub from: From,
}

/// Where a run of bytes lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// At that offset of the medium.
    Disk(u64),
    /// In memory.
    Memory(Arc<[u8]>),
}

/// The bytes of a file.
#[derive(Debug, Clone)]
pub struct Content {
    /// Where runs lie.
    pub medium: Arc<dyn Medium>,
    /// The file's length.
    pub size: u64,
    /// Ascending, without overlap, within the size; between them the file has holes.
    pub pieces: Vec<Piece>,
    /// Bytes of the disk that the file takes up, its tables included.
    pub taken: u64,
}

/// A file system.
pub trait Volume: fmt::Debug + Send + Sync {
    /// The root directory.
    fn root(&self) -> u64;

    /// How much all files may hold of a disk of that size: more than it has only where
    /// blocks are compressed or shared.
    fn capacity(&self, disk: u64) -> u64 {
        disk
    }

    /// What is mounted when a mount names `path` as its subvolume; none where there are no
    /// such things, or not that one.
    ///
    /// # Errors
    ///
    /// When something on the way is damaged.
    fn subvolume(&self, _path: &[u8]) -> Result<Option<Arc<dyn Volume>>, VolumeError> {
        Ok(None)
    }

    /// Metadata of a node.
    ///
    /// # Errors
    ///
    /// When there is no such node, or it is damaged.
    fn node(&self, id: u64) -> Result<Node, VolumeError>;

    /// The entries of a directory, as they come, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// When the node is no directory, or it is damaged.
    fn list(&self, id: u64) -> Result<Vec<Name>, VolumeError>;

    /// Where the bytes of a file lie.
    ///
    /// # Errors
    ///
    /// When the node is damaged.
    fn content(&self, id: u64) -> Result<Content, VolumeError>;

    /// The text of a symbolic link.
    ///
    /// # Errors
    ///
    /// When it is longer than a path can be, or damaged.
    fn link(&self, id: u64) -> Result<Vec<u8>, VolumeError>;

    /// Extended attributes, sorted by name, as getxattr(2) shows them.
    ///
    /// # Errors
    ///
    /// When they are damaged.
    fn xattrs(&self, id: u64) -> Result<Xattrs, VolumeError>;
}

/// How often a path may lead through a symbolic link (path_resolution(7)).
const LINKS: usize = 40;
/// How many components a path may have on the way.
const STEPS: usize = 4096;

/// Finds a path below the root, following symbolic links; none leads out of the volume.
///
/// # Errors
///
/// When something on the way is damaged.
pub(super) fn look_up(volume: &dyn Volume, path: &[u8]) -> Result<Option<u64>, VolumeError> {
    let mut above = vec![volume.root()];
    let mut todo: Vec<Vec<u8>> = components(path);
    let (mut links, mut steps) = (0, 0);
    while let Some(component) = todo.pop() {
        steps += 1;
        if steps > STEPS {
            return Ok(None);
        }
        if component == b".." {
            if above.len() > 1 {
                above.pop();
            }
            continue;
        }
        let here = above.last().copied().unwrap_or_else(|| volume.root());
        if volume.node(here)?.kind != NodeKind::Dir {
            return Ok(None);
        }
        let found = volume.list(here)?.into_iter().find(|entry| entry.name == component);
        let Some(found) = found else { return Ok(None) };
        if volume.node(found.id)?.kind != NodeKind::Symlink {
            above.push(found.id);
            continue;
        }
        links += 1;
        if links > LINKS {
            return Ok(None);
        }
        let target = volume.link(found.id)?;
        if target.starts_with(b"/") {
            above.truncate(1);
        }
        todo.extend(components(&target));
    }
    Ok(above.last().copied())
}

/// The components of a path, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

/// Reads a small file as a whole; what is longer than `limit` is cut off.
pub(super) fn read_small(volume: &dyn Volume, id: u64, limit: u64) -> Result<Vec<u8>, VolumeError> {
    let mut bytes = Vec::new();
    volume.content(id)?.reader().take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Content {
    /// A reader of the whole file; holes are zeros.
    pub fn reader(self) -> ContentReader {
        ContentReader { content: self, position: 0, piece: 0 }
    }
}

/// Reads a file from its begin to its end.
#[derive(Debug)]
pub struct ContentReader {
    content: Content,
    position: u64,
    piece: usize,
}

impl ContentReader {
    /// Goes on at an offset.
    pub fn skip_to(&mut self, position: u64) {
        let pieces = &self.content.pieces;
        self.piece = pieces.partition_point(|piece| piece.at + piece.len <= position);
        self.position = position;
    }

    /// The first run of bytes at or behind `at` that lies somewhere.
    pub(crate) fn stored(&self, at: u64) -> Option<std::ops::Range<u64>> {
        let pieces = &self.content.pieces;
        let next = pieces.partition_point(|piece| piece.at + piece.len <= at);
        pieces.get(next).map(|piece| piece.at.max(at)..piece.at + piece.len)
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Content { medium, size, pieces, .. } = &self.content;
        while pieces.get(self.piece).is_some_and(|p| p.at + p.len <= self.position) {
            self.piece += 1;
        }
        let piece = pieces.get(self.piece);
        let next = piece.map_or(*size, |piece| piece.at.max(self.position));
        let end = match piece {
            Some(piece) if piece.at <= self.position => (piece.at + piece.len).min(*size),
            _ => next.min(*size),
        };
        let count = buffer.len().min(index(end.saturating_sub(self.position)));
        let Some(buffer) = buffer.get_mut(..count) else { return Ok(0) };
        match piece {
            Some(piece) if piece.at <= self.position => {
                let inside = self.position - piece.at;
                match &piece.from {
                    From::Disk(offset) => {
                        let at = offset.checked_add(inside).ok_or(io::ErrorKind::InvalidData)?;
                        medium.read_at(at, buffer)?;
                    }
                    From::Memory(bytes) => {
                        let rest = bytes.get(index(inside)..).unwrap_or_default();
                        let found = rest.get(..count).ok_or(io::ErrorKind::UnexpectedEof)?;
                        buffer.copy_from_slice(found);
                    }
                }
            }
            _ => buffer.fill(0),
        }
        self.position += count as u64;
        Ok(count)
    }
}
