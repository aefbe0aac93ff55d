//! EROFS, after Linux's "erofs_fs.h": what is not compressed, with inodes of both forms, ends of
//! files beside their inodes, chunks, and attributes of one inode or of many.
//!
//! A node's number is that of its inode. Refused by name: compressed files, file systems on several
//! devices, prefixes of attributes.

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
        let mut pieces = Vec::new();
        for (at, len, offset) in [(0, whole, start), (whole, size - whole, inode.end())] {
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
        let chunk = 1u64 << bits;
        let (count, unit) = (inode.size.div_ceil(chunk), if indexes { 8 } else { 4 });
        let table = inode.end().next_multiple_of(unit);
        self.check(inode, table, count.saturating_mul(unit))?;
        let table = bytes(self.medium.as_ref(), table, index(count * unit))?;
        let mut pieces: Vec<Piece> = Vec::new();
        for (number, entry) in (0u64..).zip(table.chunks_exact(index(unit))) {
            let place = le32(entry, index(unit - 4));
            if place == HOLE {
                continue;
            }
            if indexes && le32(entry, 0) != 0 {
                return Err(VolumeError::Unsupported {
                    what: format!("{inode} on another device, or beyond 16 TiB,"),
                });
            }
            let at = number * chunk;
            let len = chunk.min(inode.size - at);
            let offset = u64::from(place) * self.superblock.block_size();
            self.check(inode, offset, len)?;
            match pieces.last_mut() {
                Some(last)
                    if last.at + last.len == at
                        && last.from == From::Disk(offset.wrapping_sub(last.len)) =>
                {
                    last.len += len;
                }
                _ => pieces.push(Piece { at, len, from: From::Disk(offset) }),
            }
        }
        Ok(pieces)
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
