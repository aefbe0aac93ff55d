//! Extended attributes: in the inode, in leaves, and with values in blocks of their own.

use super::super::fields::{be16, be32, index};
use super::super::volume::Piece;
use super::inode::Layout;
use super::{Header, Inode, Result, VolumeError, Xattrs, Xfs, extent};

/// Flags of an attribute.
const LOCAL: u8 = 0x1;
const ROOT: u8 = 0x2;
const SECURE: u8 = 0x4;
const PARENT: u8 = 0x8;
const INCOMPLETE: u8 = 0x80;

/// The largest value (xattr(7)).
const VALUE: usize = 65536;
/// The most blocks that attributes lie in.
const BLOCKS: u64 = 1 << 16;
/// The deepest tree above leaves.
const DEPTH: usize = 5;

/// Inner nodes and leaves share their header; magic numbers have two bytes at 8.
const SHARED: Header = Header { v4: b"", v5: b"", crc: 12, block: 16, uuid: 32, owner: 48 };
/// A block with a part of a value. Version 4 has no header there.
const REMOTE: Header = Header { v4: b"", v5: b"XARM", crc: 12, block: 40, uuid: 16, owner: 32 };

/// All attributes by their whole names, sorted.
pub(super) fn list(xfs: &Xfs, inode: &Inode) -> Result<Xattrs> {
    let mut found = Xattrs::new();
    let Some(fork) = inode.attributes()? else { return Ok(found) };
    match fork.layout {
        Layout::Local => short(inode, fork.bytes, &mut found)?,
        Layout::Extents if fork.extents == 0 => {}
        Layout::Extents | Layout::Tree => {
            let end = BLOCKS << xfs.superblock.block_log;
            let map = extent::map(xfs, inode, fork, end)?;
            Leaves { xfs, inode, pieces: &map.pieces, left: map.blocks }.walk(&mut found)?;
        }
        Layout::Device => return Err(broken(inode)),
    }
    found.sort();
    if found.windows(2).any(|pair| pair.first().map(|p| &p.0) == pair.get(1).map(|p| &p.0)) {
        return Err(VolumeError::damaged(inode, "an attribute comes twice"));
    }
    Ok(found)
}

fn broken(inode: &Inode) -> VolumeError {
    VolumeError::damaged(inode, "its extended attributes are broken")
}

fn short(inode: &Inode, fork: &[u8], found: &mut Xattrs) -> Result<()> {
    let all = fork.get(4..index(be16(fork, 0))).ok_or_else(|| broken(inode))?;
    let count = fork.get(2).copied().unwrap_or(0);
    let mut rest = all;
    for _ in 0..count {
        let &[name, value, flags, ..] = rest else { return Err(broken(inode)) };
        let (entry, following) = rest
            .split_at_checked(3 + usize::from(name) + usize::from(value))
            .ok_or_else(|| broken(inode))?;
        let (name, value) = entry.get(3..).unwrap_or_default().split_at(name.into());
        add(inode, flags, name, value.to_vec(), found)?;
        rest = following;
    }
    Ok(())
}

/// Takes an attribute in under the name that programs see.
fn add(inode: &Inode, flags: u8, name: &[u8], value: Vec<u8>, found: &mut Xattrs) -> Result<()> {
    if name.is_empty() || name.contains(&0) {
        return Err(broken(inode));
    }
    let space: &[u8] = match flags & (ROOT | SECURE | PARENT) {
        0 => b"user.",
        ROOT => b"trusted.",
        SECURE => b"security.",
        // Where the inode is named: found by the walk, too.
        PARENT => return Ok(()),
        _ => return Err(broken(inode)),
    };
    let list: &[u8] = match (space, name) {
        (b"trusted.", b"SGI_ACL_FILE") => b"system.posix_acl_access",
        (b"trusted.", b"SGI_ACL_DEFAULT") => b"system.posix_acl_default",
        _ => {
            found.push(([space, name].concat(), value));
            return Ok(());
        }
    };
    let shown = shown(&value)
        .ok_or_else(|| VolumeError::damaged(inode, "an access control list is broken"))?;
    found.push((list.to_vec(), shown));
    Ok(())
}

/// An access control list as getxattr(2) shows it.
fn shown(stored: &[u8]) -> Option<Vec<u8>> {
    let mut shown = 2u32.to_le_bytes().to_vec();
    let body = stored.get(4..)?;
    if index(be32(stored, 0)).checked_mul(12)? != body.len() {
        return None;
    }
    for entry in body.chunks_exact(12) {
        let (tag, id, bits) = (be32(entry, 0), be32(entry, 4), be16(entry, 8));
        shown.extend(u16::try_from(tag).ok()?.to_le_bytes());
        shown.extend(bits.to_le_bytes());
        // Only entries that name a user or a group have an id.
        let id = if matches!(tag, 0x02 | 0x08) { id } else { u32::MAX };
        shown.extend(id.to_le_bytes());
    }
    Some(shown)
}

/// The blocks of an attribute fork.
struct Leaves<'a> {
    xfs: &'a Xfs,
    inode: &'a Inode,
    pieces: &'a [Piece],
    /// How many blocks may still be read: none is read twice but in a loop.
    left: u64,
}

impl Leaves<'_> {
    fn block(&mut self, number: u32, header: &Header) -> Result<Vec<u8>> {
        self.left = self.left.checked_sub(1).ok_or_else(|| broken(self.inode))?;
        let superblock = &self.xfs.superblock;
        let at = u64::from(number) << superblock.block_log;
        let (offset, block) =
            self.xfs.gather(self.inode, self.pieces, at, superblock.block_size)?;
        if header.v5.is_empty() || superblock.checked {
            self.xfs.check(self.inode, offset, &block, header)?;
        }
        Ok(block)
    }

    /// Goes down to the first leaf, and along all of them.
    fn walk(&mut self, found: &mut Xattrs) -> Result<()> {
        let checked = self.xfs.superblock.checked;
        let (leaf, node, from) = if checked { (0x3bee, 0x3ebe, 64) } else { (0xfbee, 0xfebe, 16) };
        let mut block = self.block(0, &SHARED)?;
        for _ in 0..DEPTH {
            if be16(&block, 8) != node {
                break;
            }
            block = self.block(be32(&block, from + 4), &SHARED)?;
        }
        loop {
            if be16(&block, 8) != leaf {
                return Err(broken(self.inode));
            }
            self.leaf(&block, found)?;
            match be32(&block, 0) {
                0 => return Ok(()),
                next => block = self.block(next, &SHARED)?,
            }
        }
    }

    fn leaf(&mut self, block: &[u8], found: &mut Xattrs) -> Result<()> {
        let inode = self.inode;
        let (count, from) = if self.xfs.superblock.checked { (56, 80) } else { (12, 32) };
        let count = index(be16(block, count));
        let entries = block.get(from..from + count * 8).ok_or_else(|| broken(inode))?;
        for entry in entries.chunks_exact(8) {
            let (at, flags) = (index(be16(entry, 4)), entry.get(6).copied().unwrap_or(0));
            let stored = block.get(at..).ok_or_else(|| broken(inode))?;
            // One that was being written when the system stopped.
            if flags & INCOMPLETE != 0 {
                continue;
            }
            let (before, size) = if flags & LOCAL != 0 {
                (3, index(be16(stored, 0)))
            } else {
                (9, index(be32(stored, 4)))
            };
            let len = index(stored.get(before - 1).copied().unwrap_or(0));
            let name = stored.get(before..before + len).ok_or_else(|| broken(inode))?;
            if size > VALUE {
                return Err(broken(inode));
            }
            let value = if flags & LOCAL != 0 {
                let value = stored.get(before + len..before + len + size);
                value.ok_or_else(|| broken(inode))?.to_vec()
            } else {
                self.remote(be32(stored, 0), size)?
            };
            add(inode, flags, name, value, found)?;
        }
        Ok(())
    }

    /// A value in blocks of its own.
    fn remote(&mut self, first: u32, size: usize) -> Result<Vec<u8>> {
        let header = if self.xfs.superblock.checked { 56 } else { 0 };
        let mut value = Vec::new();
        let mut number = first;
        while value.len() < size {
            let block = self.block(number, &REMOTE)?;
            let body = block.get(header..).unwrap_or_default();
            let count = body.len().min(size - value.len());
            if header > 0
                && (index(be32(&block, 4)) != value.len() || index(be32(&block, 8)) != count)
            {
                return Err(broken(self.inode));
            }
            value.extend(body.get(..count).unwrap_or_default());
            number = number.checked_add(1).ok_or_else(|| broken(self.inode))?;
        }
        Ok(value)
    }
}
