//! Extended attributes: in the inode, in a block, in an inode of their own; and what a small
//! file keeps among them.

use std::io::Read as _;

use super::super::fields::{index, le16, le32};
use super::{Ext, Inode, Result, VolumeError, Xattrs};

const MAGIC: u32 = 0xea02_0000;
/// The largest value (xattr(7)).
const VALUE: usize = 65536;
/// The attribute that holds what of an inline file is not in the inode: `system.data`.
const INLINE: (u8, &[u8]) = (7, b"data");

/// An attribute as it is stored.
struct Stored {
    index: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// All attributes by their whole names, sorted.
pub(super) fn list(ext: &Ext, inode: &Inode) -> Result<Xattrs> {
    let mut found = Vec::new();
    for Stored { index, name, value } in stored(ext, inode)? {
        if (index, name.as_slice()) == INLINE {
            continue;
        }
        let whole: &[u8] = match index {
            0 => b"",
            1 => b"user.",
            2 => b"system.posix_acl_access",
            3 => b"system.posix_acl_default",
            4 => b"trusted.",
            6 => b"security.",
            7 => b"system.",
            8 => b"system.richacl",
            // Of encryption: of no use without the file system.
            9 => continue,
            _ => return Err(VolumeError::damaged(inode, "an attribute is of an unknown kind")),
        };
        let value = match index {
            2 | 3 => shown(&value)
                .ok_or_else(|| VolumeError::damaged(inode, "an access control list is broken"))?,
            _ => value,
        };
        found.push(([whole, &name].concat(), value));
    }
    found.sort();
    if found.windows(2).any(|pair| pair.first().map(|p| &p.0) == pair.get(1).map(|p| &p.0)) {
        return Err(VolumeError::damaged(inode, "an attribute comes twice"));
    }
    Ok(found)
}

/// The content of an inline file.
pub(super) fn inline(ext: &Ext, inode: &Inode) -> Result<Vec<u8>> {
    let mut data = inode.block_field().to_vec();
    for attribute in stored(ext, inode)? {
        if (attribute.index, attribute.name.as_slice()) == INLINE {
            data.extend(attribute.value);
        }
    }
    if inode.size > data.len() as u64 {
        return Err(VolumeError::damaged(inode, "its inline data is cut off"));
    }
    data.truncate(index(inode.size));
    Ok(data)
}

fn stored(ext: &Ext, inode: &Inode) -> Result<Vec<Stored>> {
    let mut found = Vec::new();
    let extra = inode.extra();
    if extra.len() >= 8 && le32(extra, 0) == MAGIC {
        let body = extra.get(4..).unwrap_or_default();
        read(ext, inode, body, body, &mut found)?;
    }
    if inode.xattr_block != 0 {
        let block = ext.block(inode.xattr_block)?;
        if le32(&block, 0) != MAGIC {
            return Err(VolumeError::damaged(inode, "its block of attributes is none"));
        }
        read(ext, inode, block.get(32..).unwrap_or_default(), &block, &mut found)?;
    }
    Ok(found)
}

/// Reads entries; their values count from the begin of `values`.
fn read(
    ext: &Ext,
    inode: &Inode,
    entries: &[u8],
    values: &[u8],
    found: &mut Vec<Stored>,
) -> Result<()> {
    let damaged = || VolumeError::damaged(inode, "its extended attributes are broken");
    let mut rest = entries;
    while rest.len() >= 4 && le32(rest, 0) != 0 {
        let len = index(rest.first().copied().unwrap_or(0));
        let name = rest.get(16..16 + len).ok_or_else(damaged)?.to_vec();
        let (at, other, size) = (index(le16(rest, 2)), le32(rest, 4), index(le32(rest, 8)));
        if size > VALUE {
            return Err(damaged());
        }
        let value = if other == 0 {
            values.get(at..at.saturating_add(size)).ok_or_else(damaged)?.to_vec()
        } else {
            let holder = ext.inode(other.into())?;
            if holder.size != size as u64 || holder.is_inline() {
                return Err(damaged());
            }
            let mut value = Vec::new();
            ext.content_of(&holder)?.reader().read_to_end(&mut value)?;
            value
        };
        found.push(Stored { index: rest.get(1).copied().unwrap_or(0), name, value });
        rest = rest.get((16 + len).next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

/// An access control list as getxattr(2) shows it: a wider form than the stored one.
fn shown(stored: &[u8]) -> Option<Vec<u8>> {
    let mut shown = 2u32.to_le_bytes().to_vec();
    let Some(([1, 0, 0, 0], mut rest)) = stored.split_first_chunk::<4>() else { return None };
    while !rest.is_empty() {
        let (short, following) = rest.split_at_checked(4)?;
        shown.extend(short);
        // Only entries that name a user or a group have an id.
        if matches!(le16(short, 0), 0x02 | 0x08) {
            let (id, following) = following.split_at_checked(4)?;
            shown.extend(id);
            rest = following;
        } else {
            shown.extend([0xff; 4]);
            rest = following;
        }
    }
    Some(shown)
}
