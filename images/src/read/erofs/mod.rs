//! EROFS, after Linux's "erofs_fs.h": what is not compressed, with inodes of both forms, ends of
//! files beside their inodes, chunks, and attributes of one inode or of many.
//!
//! A node's number is that of its inode. Refused by name: what is compressed, lies on several devices
//! or has prefixes of attributes.

mod attribute;
mod directory;
mod inode;
mod superblock;

use std::sync::Arc;

use super::fields::{index, le32};
use super::medium::{Medium, bytes};
use super::volume::{
    Content, From, Name, Node, NodeKind, Piece, Volume, VolumeError, Xattrs, read_small,
};
use inode::{Inode, Layout};
use superblock::Superblock;

type Result<T> = std::result::Result<T, VolumeError>;

/// How many times its size a file system may hold: chunks may be of many files.
const RATIO: u64 = 64;
/// The most chunks of a file, and the most runs that they may lie in.
const CHUNKS: u64 = 1 << 24;
const RUNS: usize = 1 << 20;
/// How much of a table of chunks is read at once, in bytes.
const AT_ONCE: u64 = 64 << 10;
/// The most bytes of a directory that are read.
const DIRECTORY: u64 = 64 << 20;
/// The longest target of a link (PATH_MAX).
const LINK: u64 = 4096;
/// A chunk that is a hole.
const HOLE: u32 = u32::MAX;

/// An erofs.
#[derive(Debug)]
pub(super) struct Erofs {
    medium: Arc<dyn Medium>,
    superblock: Superblock,
}

impl Erofs {
    pub(super) fn open(medium: Arc<dyn Medium>) -> Result<Self> {
        let superblock = Superblock::read(medium.as_ref())?;
        Ok(Self { medium, superblock })
    }

    fn inode(&self, id: u64) -> Result<Inode> {
        Inode::read(self.medium.as_ref(), &self.superblock, id)
    }

    /// Where the bytes of an inode lie: whole blocks somewhere, the rest behind the inode.
    fn pieces(&self, inode: &Inode) -> Result<Vec<Piece>> {
        let block = self.superblock.block_size();
        let (size, start) = (inode.size, u64::from(inode.place) * block);
        let whole = match inode.layout {
            Layout::Plain => size,
            Layout::Inline => size.div_ceil(block).saturating_sub(1) * block,
            Layout::Chunks { bits, indexes } => return self.chunks(inode, bits, indexes),
        };
        let tail = size - whole;
        if inode.end() % block + tail > block {
            return Err(VolumeError::damaged(inode, "its end does not fit into its block"));
        }
        let mut pieces = Vec::new();
        for (at, len, offset) in [(0, whole, start), (whole, tail, inode.end())] {
            if len > 0 {
                self.check(inode, offset, len)?;
                pieces.push(Piece { at, len, from: From::Disk(offset) });
            }
        }
        Ok(pieces)
    }

    /// Refuses bytes that the disk does not have.
    fn check(&self, inode: &Inode, offset: u64, len: u64) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.medium.size() => Ok(()),
            _ => Err(VolumeError::damaged(inode, "its bytes lie outside of the file system")),
        }
    }

    fn chunks(&self, inode: &Inode, bits: u32, indexes: bool) -> Result<Vec<Piece>> {
        let damaged = |reason| VolumeError::damaged(inode, reason);
        let chunk = 1u64 << bits;
        let (count, unit) = (inode.size.div_ceil(chunk), if indexes { 8 } else { 4 });
        if count > CHUNKS || inode.size > self.capacity(self.medium.size()) {
            return Err(damaged("it has too many chunks"));
        }
        let table = inode.end().next_multiple_of(unit);
        let mut pieces: Vec<Piece> = Vec::new();
        for first in (0..count).step_by(index(AT_ONCE / unit)) {
            let some = (count - first).min(AT_ONCE / unit);
            let part = bytes(self.medium.as_ref(), table + first * unit, index(some * unit))?;
            for (number, entry) in (first..).zip(part.chunks_exact(index(unit))) {
                if indexes && le32(entry, 0) != 0 {
                    let what = format!("{inode} on another device, or beyond 16 TiB,");
                    return Err(VolumeError::Unsupported { what });
                }
                let place = le32(entry, index(unit - 4));
                if place != HOLE {
                    let at = number * chunk;
                    let offset = u64::from(place) * self.superblock.block_size();
                    self.join(inode, &mut pieces, (at, chunk.min(inode.size - at), offset))?;
                }
            }
            if pieces.len() > RUNS {
                return Err(damaged("its chunks lie in too many places"));
            }
        }
        Ok(pieces)
    }

    /// Adds bytes that lie at an offset: a place in the file, a length, the offset.
    fn join(
        &self,
        inode: &Inode,
        pieces: &mut Vec<Piece>,
        (at, len, offset): (u64, u64, u64),
    ) -> Result<()> {
        self.check(inode, offset, len)?;
        let follows = |last: &&mut Piece| {
            last.at + last.len == at && last.from == From::Disk(offset.wrapping_sub(last.len))
        };
        match pieces.last_mut().filter(follows) {
            Some(last) => last.len += len,
            None => pieces.push(Piece { at, len, from: From::Disk(offset) }),
        }
        Ok(())
    }

    fn bytes_of(&self, inode: &Inode) -> Result<Content> {
        let pieces = self.pieces(inode)?;
        let taken = pieces.iter().map(|piece| piece.len).sum();
        Ok(Content { medium: Arc::clone(&self.medium), size: inode.size, pieces, taken })
    }
}

impl Volume for Erofs {
    fn root(&self) -> u64 {
        self.superblock.root
    }

    fn capacity(&self, disk: u64) -> u64 {
        disk.saturating_mul(RATIO)
    }

    fn node(&self, id: u64) -> Result<Node> {
        let inode = self.inode(id)?;
        Ok(Node {
            kind: inode.kind,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            size: inode.size,
            links: inode.links,
            mtime: inode.mtime,
        })
    }

    fn list(&self, id: u64) -> Result<Vec<Name>> {
        let inode = self.inode(id)?;
        if inode.kind != NodeKind::Dir {
            return Err(VolumeError::damaged(&inode, "it is no directory"));
        }
        if inode.size > DIRECTORY {
            return Err(VolumeError::damaged(&inode, "its directory is too large"));
        }
        directory::names(&inode, self.bytes_of(&inode)?, self.superblock.block_size())
    }

    fn content(&self, id: u64) -> Result<Content> {
        let inode = self.inode(id)?;
        match inode.kind {
            NodeKind::File | NodeKind::Symlink => self.bytes_of(&inode),
            _ => Err(VolumeError::damaged(&inode, "it is no file")),
        }
    }

    fn link(&self, id: u64) -> Result<Vec<u8>> {
        let inode = self.inode(id)?;
        if inode.kind != NodeKind::Symlink || inode.size >= LINK {
            return Err(VolumeError::damaged(&inode, "it is no link that a path can be"));
        }
        read_small(self, id, LINK)
    }

    fn xattrs(&self, id: u64) -> Result<Xattrs> {
        attribute::list(self.medium.as_ref(), &self.superblock, &self.inode(id)?)
    }
}
