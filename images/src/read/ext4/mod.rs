//! ext2, ext3 and ext4, read from the specification in the kernel's documentation
//! (filesystems/ext4). Checksums are not verified: what is read is bounded instead.
//!
//! A crate that reads ext4 exists, but shows neither extended attributes nor inode numbers,
//! holes or device numbers, all of which an archive of the file system needs.

mod directory;
mod inode;
mod journal;
mod map;
mod superblock;
mod xattr;

use std::sync::Arc;

use super::fields::{index, le16, le32};
use super::medium::{Medium, bytes};
use super::volume::{Content, From, Name, Node, NodeKind, Piece, Volume, VolumeError, Xattrs};
use inode::Inode;
use superblock::Superblock;

/// The root directory's inode.
const ROOT: u64 = 2;
/// The longest text of a symbolic link (PATH_MAX).
const LINK: u64 = 4096;

type Result<T> = std::result::Result<T, VolumeError>;

/// An ext2, ext3 or ext4 file system.
#[derive(Debug)]
pub(super) struct Ext {
    medium: Arc<dyn Medium>,
    superblock: Superblock,
}

impl Ext {
    /// Opens it; changes that only the journal holds are seen where they belong.
    pub(super) fn open(medium: Arc<dyn Medium>) -> Result<Self> {
        let superblock = Superblock::read(medium.as_ref())?;
        let dirty = superblock.needs_recovery();
        let ext = Self { medium, superblock };
        if !dirty {
            return Ok(ext);
        }
        let medium: Arc<dyn Medium> = Arc::new(journal::replay(&ext)?);
        // The journal may hold another superblock.
        let superblock = Superblock::read(medium.as_ref())?;
        Ok(Self { medium, superblock })
    }

    fn inode(&self, id: u64) -> Result<Inode> {
        let superblock = &self.superblock;
        let number = u32::try_from(id).ok().filter(|n| (1..=superblock.inodes).contains(n));
        let number =
            number.ok_or_else(|| VolumeError::damaged("a directory", "it names no inode"))?;
        let (group, within) = superblock.split(number);
        let descriptor =
            bytes(self.medium.as_ref(), superblock.descriptor(group), superblock.descriptor_size)?;
        let high = if superblock.descriptor_size >= 64 { le32(&descriptor, 0x28) } else { 0 };
        let table = u64::from(le32(&descriptor, 8)) | u64::from(high) << 32;
        let table = superblock.offset(table)?;
        let at = table + u64::from(within) * superblock.inode_size as u64;
        let bytes = bytes(self.medium.as_ref(), at, superblock.inode_size)?;
        Inode::new(number, bytes)
    }

    fn block(&self, number: u64) -> Result<Vec<u8>> {
        let at = self.superblock.offset(number)?;
        Ok(bytes(self.medium.as_ref(), at, self.superblock.block_size)?)
    }

    fn content_of(&self, inode: &Inode) -> Result<Content> {
        if inode.is_encrypted() {
            return Err(VolumeError::Unsupported { what: format!("{inode}, which is encrypted,") });
        }
        let content = |pieces, taken| Content {
            medium: Arc::clone(&self.medium),
            size: inode.size,
            pieces,
            taken,
        };
        if inode.is_inline() {
            let bytes = xattr::inline(self, inode)?;
            let piece = Piece { at: 0, len: inode.size, from: From::Memory(bytes.into()) };
            let pieces = if inode.size > 0 { vec![piece] } else { Vec::new() };
            return Ok(content(pieces, 0));
        }
        let map = map::map(self, inode)?;
        Ok(content(map.pieces, map.blocks * self.superblock.block_size as u64))
    }

    /// The blocks of a file as a journal or a directory wants them: no holes.
    fn solid(&self, inode: &Inode) -> Result<Vec<(u64, u64)>> {
        let holes = || VolumeError::damaged(inode, "it has holes");
        let mut next = 0;
        let mut runs = Vec::new();
        for piece in self.content_of(inode)?.pieces {
            let From::Disk(offset) = piece.from else { return Err(holes()) };
            if piece.at != next {
                return Err(holes());
            }
            next = piece.at + piece.len;
            runs.push((offset, piece.len));
        }
        if next < inode.size { Err(holes()) } else { Ok(runs) }
    }
}

impl Volume for Ext {
    fn root(&self) -> u64 {
        ROOT
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
        self.content_of(&inode)
    }

    fn link(&self, id: u64) -> Result<Vec<u8>> {
        use std::io::Read as _;
        let inode = self.inode(id)?;
        if inode.kind()? != NodeKind::Symlink || inode.size > LINK {
            return Err(VolumeError::damaged(&inode, "it is no link, or too long a one"));
        }
        let text = if inode.is_fast_link() {
            inode.block_field().get(..index(inode.size)).unwrap_or_default().to_vec()
        } else {
            let mut text = Vec::new();
            self.content_of(&inode)?.reader().read_to_end(&mut text)?;
            text
        };
        if text.is_empty() || text.contains(&0) {
            return Err(VolumeError::damaged(&inode, "the link has no text, or a NUL in it"));
        }
        Ok(text)
    }

    fn xattrs(&self, id: u64) -> Result<Xattrs> {
        xattr::list(self, &self.inode(id)?)
    }
}

/// The two halves of a number of 48 bits.
fn low_high(bytes: &[u8], low: usize, high: usize) -> u64 {
    u64::from(le32(bytes, low)) | u64::from(le16(bytes, high)) << 32
}
