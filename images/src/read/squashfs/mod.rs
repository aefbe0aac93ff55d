//! squashfs 4.0, read from the kernel's documentation (filesystems/squashfs). The format has
//! no checksums: what is read is bounded instead.

mod compression;
mod data;
mod inode;
mod metadata;
mod superblock;
mod xattr;

use std::sync::Arc;

use super::fields::{index, le16, le32};
use super::medium::Medium;
use super::volume::{Content, Name, Node, NodeKind, Volume, VolumeError, Xattrs};
use data::Blocks;
use inode::{Body, Inode, NONE};
use metadata::Metadata;
use superblock::Superblock;

/// The largest directory, in bytes.
const DIRECTORY: usize = 64 << 20;
/// How much all files may hold. Blocks are compressed and shared, so that the size of the
/// disk says nothing.
const CAPACITY: u64 = 64 << 30;

type Result<T> = std::result::Result<T, VolumeError>;

/// A squashfs file system. Nodes are named by the places of their inodes.
#[derive(Debug)]
pub(super) struct Squashfs {
    medium: Arc<dyn Medium>,
    superblock: Superblock,
    metadata: Metadata,
    blocks: Arc<Blocks>,
}

impl Squashfs {
    pub(super) fn open(medium: Arc<dyn Medium>) -> Result<Self> {
        let superblock = Superblock::read(medium.as_ref())?;
        let metadata = Metadata::new(Arc::clone(&medium), superblock.method);
        let blocks = Arc::new(Blocks::new(&superblock, Arc::clone(&medium)));
        Ok(Self { medium, superblock, metadata, blocks })
    }

    fn inode(&self, id: u64) -> Result<Inode> {
        inode::read(self, id)
    }

    fn owner(&self, number: u16) -> Result<u32> {
        if number >= self.superblock.ids {
            return Err(VolumeError::damaged("the table of owners", "it has no such entry"));
        }
        Ok(le32(&self.metadata.entry(self.superblock.id_table, number.into(), 4)?, 0))
    }
}

impl Volume for Squashfs {
    fn root(&self) -> u64 {
        self.superblock.root
    }

    fn capacity(&self, _: u64) -> u64 {
        CAPACITY
    }

    fn node(&self, id: u64) -> Result<Node> {
        let inode = self.inode(id)?;
        let (kind, size) = match &inode.body {
            Body::Dir { len, .. } => (NodeKind::Dir, *len as u64),
            Body::File(file) => (NodeKind::File, file.size),
            Body::Symlink(text) => (NodeKind::Symlink, text.len() as u64),
            Body::Other(kind) => (*kind, 0),
        };
        Ok(Node {
            kind,
            mode: inode.mode,
            uid: self.owner(inode.owner.0)?,
            gid: self.owner(inode.owner.1)?,
            size,
            links: inode.links,
            mtime: (inode.mtime.into(), 0),
        })
    }

    fn list(&self, id: u64) -> Result<Vec<Name>> {
        let damaged = |reason| VolumeError::damaged(format!("directory {id:#x}"), reason);
        let Body::Dir { reference, len } = self.inode(id)?.body else {
            return Err(damaged("it is none"));
        };
        // Three bytes stand for the two names that every directory has.
        let len = len.saturating_sub(3);
        if len > DIRECTORY {
            return Err(damaged("it is too large"));
        }
        let mut names = Vec::new();
        if len == 0 {
            return Ok(names);
        }
        let all = self.metadata.at(self.superblock.directory_table, reference).take(len)?;
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (head, following) =
                rest.split_at_checked(12).ok_or_else(|| damaged("it is cut off"))?;
            rest = following;
            let count = le32(head, 0).saturating_add(1);
            if count > 256 {
                return Err(damaged("a part of it is too long"));
            }
            for _ in 0..count {
                let size = index(le16(rest, 6)) + 1;
                let (entry, following) =
                    rest.split_at_checked(8 + size).ok_or_else(|| damaged("it is cut off"))?;
                rest = following;
                let id = u64::from(le32(head, 4)) << 16 | u64::from(le16(entry, 0));
                let name = Name::new(entry.get(8..).unwrap_or_default().to_vec(), id);
                names.push(name.ok_or_else(|| damaged("an entry has an impossible name"))?);
            }
        }
        Ok(names)
    }

    fn content(&self, id: u64) -> Result<Content> {
        match self.inode(id)?.body {
            Body::File(file) => data::content(self, file),
            _ => Err(VolumeError::damaged(format!("inode {id:#x}"), "it is no file")),
        }
    }

    fn link(&self, id: u64) -> Result<Vec<u8>> {
        match self.inode(id)?.body {
            Body::Symlink(text) if !text.is_empty() && !text.contains(&0) => Ok(text),
            _ => Err(VolumeError::damaged(format!("inode {id:#x}"), "it is no link")),
        }
    }

    fn xattrs(&self, id: u64) -> Result<Xattrs> {
        match self.inode(id)?.xattr {
            NONE => Ok(Xattrs::new()),
            number => xattr::list(self, number),
        }
    }
}
