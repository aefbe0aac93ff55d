//! Directories. Indexed ones are read as plain ones: the index is hidden in entries of no
//! inode.

use super::super::fields::{index, le16, le32};
use super::super::medium::bytes;
use super::super::volume::Name;
use super::{Ext, Inode, Result, VolumeError, xattr};

/// The largest directory, in bytes.
const LIMIT: u64 = 1 << 30;

pub(super) fn list(ext: &Ext, inode: &Inode) -> Result<Vec<Name>> {
    let mut names = Vec::new();
    if inode.is_encrypted() {
        return Err(VolumeError::Unsupported { what: format!("{inode}, which is encrypted,") });
    }
    if inode.is_inline() {
        let data = xattr::inline(ext, inode)?;
        // The parent's number, entries in the inode, and the rest among its attributes.
        let (field, rest) = data.split_at(data.len().min(60));
        entries(ext, inode, field.get(4..).unwrap_or_default(), &mut names)?;
        entries(ext, inode, rest, &mut names)?;
        return Ok(names);
    }
    if inode.size > LIMIT {
        return Err(VolumeError::damaged(inode, "the directory is too large"));
    }
    let size = ext.superblock.block_size;
    for (offset, len) in ext.solid(inode)? {
        for block in 0..len / size as u64 {
            let block = bytes(ext.medium.as_ref(), offset + block * size as u64, size)?;
            entries(ext, inode, &block, &mut names)?;
        }
    }
    Ok(names)
}

fn entries(ext: &Ext, inode: &Inode, block: &[u8], names: &mut Vec<Name>) -> Result<()> {
    let damaged = |reason| VolumeError::damaged(inode, reason);
    let mut rest = block;
    while rest.len() >= 8 {
        let id = le32(rest, 0);
        let len = match le16(rest, 4) {
            // The length of a block of 64 KiB does not fit.
            0 | 0xffff if rest.len() >= 65532 => rest.len(),
            len => index(len),
        };
        let name = if ext.superblock.has_file_types() {
            index(rest.get(6).copied().unwrap_or(0))
        } else {
            index(le16(rest, 6))
        };
        if len < 8 || len % 4 != 0 || len > rest.len() {
            return Err(damaged("an entry of the directory has a wrong length"));
        }
        let (entry, following) = rest.split_at(len);
        rest = following;
        if id == 0 {
            continue;
        }
        let name = entry.get(8..8 + name).ok_or_else(|| damaged("a name is cut off"))?;
        if name == b"." || name == b".." {
            continue;
        }
        let name = Name::new(name.to_vec(), id.into());
        names.push(name.ok_or_else(|| damaged("an entry has an impossible name"))?);
    }
    Ok(())
}
