//! XFS of versions 4 and 5, read from "XFS Algorithms & Data Structures". Checksums of
//! version 5 are verified, as is whose block it is. A journal with changes in it is refused.

mod attribute;
mod directory;
mod extent;
mod inode;
mod log;
mod superblock;

use std::sync::Arc;

use super::crc32c;
use super::fields::{agrees, be64, index, le32};
use super::medium::{Medium, bytes};
use super::volume::{Content, From, Name, Node, NodeKind, Piece, Volume, VolumeError, Xattrs};
use inode::{Inode, Layout};
use superblock::Superblock;

/// The longest text of a symbolic link that the format has.
const LINK: u64 = 1024;
/// A block with a part of a link's text. Version 4 has no header there.
const TEXT: Header = Header { v4: b"", v5: b"XSLM", crc: 12, block: 40, uuid: 16, owner: 32 };

type Result<T> = std::result::Result<T, VolumeError>;

/// What blocks of metadata begin with: magic numbers by version, and where version 5 has the
/// checksum, the block's own number, the file system's identifier and the inode's number.
struct Header {
    v4: &'static [u8],
    v5: &'static [u8],
    crc: usize,
    block: usize,
    uuid: usize,
    owner: usize,
}

impl Header {
    fn magic(&self, xfs: &Xfs) -> &'static [u8] {
        if xfs.superblock.checked { self.v5 } else { self.v4 }
    }
}

/// An XFS file system.
#[derive(Debug)]
pub(super) struct Xfs {
    medium: Arc<dyn Medium>,
    superblock: Superblock,
}

impl Xfs {
    /// Opens it, unless it was not unmounted.
    pub(super) fn open(medium: Arc<dyn Medium>) -> Result<Self> {
        let superblock = Superblock::read(medium.as_ref())?;
        log::refuse_dirty(medium.as_ref(), &superblock)?;
        Ok(Self { medium, superblock })
    }

    fn inode(&self, id: u64) -> Result<Inode> {
        let at = self.superblock.inode(id)?;
        let bytes = bytes(self.medium.as_ref(), at, self.superblock.inode_size)?;
        Inode::new(&self.superblock, id, bytes)
    }

    /// Reads a block of metadata of an inode.
    fn sealed_block(
        &self,
        inode: &Inode,
        offset: u64,
        len: usize,
        header: &Header,
    ) -> Result<Vec<u8>> {
        let block = bytes(self.medium.as_ref(), offset, len)?;
        self.check(inode, offset, &block, header)?;
        Ok(block)
    }

    /// Whether a block is what it should be.
    fn check(&self, inode: &Inode, offset: u64, block: &[u8], header: &Header) -> Result<()> {
        let damaged = |reason| Err(VolumeError::damaged(inode, reason));
        if !block.starts_with(header.magic(self)) {
            return damaged("one of its blocks is something else");
        }
        if !self.superblock.checked {
            return Ok(());
        }
        if !agrees(crc32c::sealed(block, header.crc), le32(block, header.crc)) {
            return damaged("the checksum of one of its blocks is wrong");
        }
        if be64(block, header.owner) != inode.number
            || be64(block, header.block) != offset / 512
            || block.get(header.uuid..header.uuid + 16) != Some(&self.superblock.uuid)
        {
            return damaged("one of its blocks is another one's");
        }
        Ok(())
    }

    /// Reads `len` bytes of a fork, which may have no hole there; tells where they begin.
    fn gather(
        &self,
        inode: &Inode,
        pieces: &[Piece],
        at: u64,
        len: usize,
    ) -> Result<(u64, Vec<u8>)> {
        let holes = || VolumeError::damaged(inode, "its blocks have holes");
        let mut number = pieces.partition_point(|piece| piece.at + piece.len <= at);
        let (mut begin, mut found) = (None, Vec::new());
        while found.len() < len {
            let here = at + found.len() as u64;
            let piece = pieces.get(number).filter(|piece| piece.at <= here);
            let Some(Piece { at, len: size, from: From::Disk(offset) }) = piece else {
                return Err(holes());
            };
            let offset = offset + (here - at);
            let count = (len - found.len()).min(index(at + size - here));
            found.extend(bytes(self.medium.as_ref(), offset, count)?);
            begin = begin.or(Some(offset));
            number += 1;
        }
        Ok((begin.ok_or_else(holes)?, found))
    }

    /// The text of a link that does not fit into its inode.
    fn long_link(&self, inode: &Inode) -> Result<Vec<u8>> {
        let header = if self.superblock.checked { 56 } else { 0 };
        let map = extent::map(self, inode, inode.data()?, 1 << 17)?;
        let mut text = Vec::new();
        // Each extent is one block of metadata, however long it is.
        for piece in &map.pieces {
            let (offset, block) = self.gather(inode, &map.pieces, piece.at, index(piece.len))?;
            if self.superblock.checked {
                self.check(inode, offset, &block, &TEXT)?;
            }
            let body = block.get(header..).unwrap_or_default();
            text.extend(body.iter().take(index(inode.size) - text.len()));
        }
        if text.len() < index(inode.size) {
            return Err(VolumeError::damaged(inode, "the link is cut off"));
        }
        Ok(text)
    }
}

impl Volume for Xfs {
    fn root(&self) -> u64 {
        self.superblock.root
    }

    fn node(&self, id: u64) -> Result<Node> {
        let inode = self.inode(id)?;
        if inode.links == 0 {
            return Err(VolumeError::damaged(&inode, "it is named but free"));
        }
        Ok(Node {
            kind: inode.kind()?,
            mode: u32::from(inode.mode) & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
            size: inode.size,
            links: inode.links,
            mtime: inode.mtime,
        })
    }

    fn list(&self, id: u64) -> Result<Vec<Name>> {
        let inode = self.inode(id)?;
        if inode.kind()? != NodeKind::Dir {
            return Err(VolumeError::damaged(&inode, "it is no directory"));
        }
        directory::list(self, &inode)
    }

    fn content(&self, id: u64) -> Result<Content> {
        let inode = self.inode(id)?;
        if inode.kind()? != NodeKind::File {
            return Err(VolumeError::damaged(&inode, "it is no file"));
        }
        if inode.is_realtime() {
            let what = format!("{inode}, which is on a real-time device,");
            return Err(VolumeError::Unsupported { what });
        }
        let map = extent::map(self, &inode, inode.data()?, inode.size)?;
        Ok(Content {
            medium: Arc::clone(&self.medium),
            size: inode.size,
            pieces: map.pieces,
            taken: map.blocks << self.superblock.block_log,
        })
    }

    fn link(&self, id: u64) -> Result<Vec<u8>> {
        let inode = self.inode(id)?;
        if inode.kind()? != NodeKind::Symlink || inode.size > LINK {
            return Err(VolumeError::damaged(&inode, "it is no link, or too long a one"));
        }
        let data = inode.data()?;
        let text = if data.layout == Layout::Local {
            data.bytes.get(..index(inode.size)).unwrap_or_default().to_vec()
        } else {
            self.long_link(&inode)?
        };
        if text.is_empty() || text.contains(&0) {
            return Err(VolumeError::damaged(&inode, "the link has no text, or a NUL in it"));
        }
        Ok(text)
    }

    fn xattrs(&self, id: u64) -> Result<Xattrs> {
        attribute::list(self, &self.inode(id)?)
    }
}
