//! Inodes: each kind has a short and a long form.

use super::super::fields::{index, le16, le32, le64};
use super::super::volume::NodeKind;
use super::metadata::Cursor;
use super::{Result, Squashfs, VolumeError};

/// No block of fragments, no attributes.
pub(super) const NONE: u32 = u32::MAX;
/// The longest text of a symbolic link (PATH_MAX).
const LINK: u32 = 4096;
/// The most blocks of a file: their sizes are kept in memory.
const BLOCKS: u64 = 1 << 22;

/// An inode with what belongs to its kind.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) mode: u32,
    /// Places in the table of owners.
    pub(super) owner: (u16, u16),
    pub(super) mtime: u32,
    pub(super) links: u32,
    pub(super) xattr: u32,
    pub(super) body: Body,
}

/// What an inode is.
#[derive(Debug)]
pub(super) enum Body {
    /// Where its entries lie, and how many bytes they have.
    Dir {
        reference: u64,
        len: usize,
    },
    File(File),
    Symlink(Vec<u8>),
    /// A device, a pipe or a socket.
    Other(NodeKind),
}

/// Where the bytes of a file lie.
#[derive(Debug)]
pub(super) struct File {
    pub(super) size: u64,
    pub(super) start: u64,
    /// Stored lengths of whole blocks.
    pub(super) blocks: Vec<u32>,
    /// The block of fragments with the rest, and the offset there.
    pub(super) fragment: Option<(u32, u32)>,
}

/// Reads the inode at a reference.
pub(super) fn read(squashfs: &Squashfs, reference: u64) -> Result<Inode> {
    let table = squashfs.superblock.inode_table;
    let mut cursor = squashfs.metadata.at(table, reference);
    let head = cursor.take(16)?;
    let mut fields = Fields { squashfs, reference, cursor, links: 1, xattr: NONE };
    let body = match le16(&head, 0) {
        kind @ (1 | 8) => fields.directory(kind == 8)?,
        kind @ (2 | 9) => fields.file(kind == 9)?,
        kind @ (3 | 10) => fields.link(kind == 10)?,
        kind @ (4 | 5 | 11 | 12) => fields.device(kind > 7, kind == 4 || kind == 11)?,
        kind @ (6 | 7 | 13 | 14) => {
            let rest = fields.cursor.take(if kind > 7 { 8 } else { 4 })?;
            fields.links = le32(&rest, 0);
            if kind > 7 {
                fields.xattr = le32(&rest, 4);
            }
            let pipe = kind == 6 || kind == 13;
            Body::Other(if pipe { NodeKind::Fifo } else { NodeKind::Socket })
        }
        _ => return Err(fields.damaged("its type is unknown")),
    };
    Ok(Inode {
        mode: u32::from(le16(&head, 2)) & 0o7777,
        owner: (le16(&head, 4), le16(&head, 6)),
        mtime: le32(&head, 8),
        links: fields.links,
        xattr: fields.xattr,
        body,
    })
}

/// What follows the part that all kinds share; the long forms know attributes.
struct Fields<'a> {
    squashfs: &'a Squashfs,
    reference: u64,
    cursor: Cursor<'a>,
    links: u32,
    xattr: u32,
}

impl Fields<'_> {
    fn damaged(&self, reason: &'static str) -> VolumeError {
        VolumeError::damaged(format!("inode {:#x}", self.reference), reason)
    }

    fn directory(&mut self, long: bool) -> Result<Body> {
        let rest = self.cursor.take(if long { 24 } else { 16 })?;
        if long {
            (self.links, self.xattr) = (le32(&rest, 0), le32(&rest, 20));
            let reference = u64::from(le32(&rest, 8)) << 16 | u64::from(le16(&rest, 18));
            return Ok(Body::Dir { reference, len: index(le32(&rest, 4)) });
        }
        self.links = le32(&rest, 4);
        let reference = u64::from(le32(&rest, 0)) << 16 | u64::from(le16(&rest, 10));
        Ok(Body::Dir { reference, len: index(le16(&rest, 8)) })
    }

    fn file(&mut self, long: bool) -> Result<Body> {
        let rest = self.cursor.take(if long { 40 } else { 16 })?;
        let (start, size, part): (u64, u64, usize) = if long {
            (self.links, self.xattr) = (le32(&rest, 24), le32(&rest, 36));
            (le64(&rest, 0), le64(&rest, 8), 28)
        } else {
            (le32(&rest, 0).into(), le32(&rest, 12).into(), 4)
        };
        let (fragment, offset) = (le32(&rest, part), le32(&rest, part + 4));
        let fragment = (fragment != NONE).then_some((fragment, offset));
        let block = self.squashfs.superblock.block_size as u64;
        let count = if fragment.is_some() { size / block } else { size.div_ceil(block) };
        if size > i64::MAX.cast_unsigned() || count > BLOCKS {
            return Err(self.damaged("it has too many blocks"));
        }
        let sizes = self.cursor.take(index(count) * 4)?;
        let blocks = sizes.chunks_exact(4).map(|size| le32(size, 0)).collect();
        Ok(Body::File(File { size, start, blocks, fragment }))
    }

    fn link(&mut self, long: bool) -> Result<Body> {
        let rest = self.cursor.take(8)?;
        self.links = le32(&rest, 0);
        let len = le32(&rest, 4);
        if len > LINK {
            return Err(self.damaged("the link is too long"));
        }
        let text = self.cursor.take(index(len))?;
        if long {
            self.xattr = le32(&self.cursor.take(4)?, 0);
        }
        Ok(Body::Symlink(text))
    }

    fn device(&mut self, long: bool, block: bool) -> Result<Body> {
        let rest = self.cursor.take(if long { 12 } else { 8 })?;
        self.links = le32(&rest, 0);
        if long {
            self.xattr = le32(&rest, 8);
        }
        let number = le32(&rest, 4);
        let major = (number & 0xf_ff00) >> 8;
        let minor = (number & 0xff) | ((number >> 12) & 0xf_ff00);
        Ok(Body::Other(if block {
            NodeKind::Block(major, minor)
        } else {
            NodeKind::Char(major, minor)
        }))
    }
}
