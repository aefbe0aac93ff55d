//! Extended attributes: sets of them, which inodes share.

use super::super::fields::{index, le16, le32, le64};
use super::super::medium::bytes;
use super::{Result, Squashfs, VolumeError, Xattrs};

/// The largest value (xattr(7)).
const VALUE: usize = 65536;
/// The most attributes of an inode.
const MOST: u32 = 65536;
/// A value that lies elsewhere, shared by several attributes.
const ELSEWHERE: u16 = 0x100;

/// The set of that number by whole names, sorted.
pub(super) fn list(squashfs: &Squashfs, number: u32) -> Result<Xattrs> {
    let broken = || VolumeError::damaged("the table of attributes", "it is broken");
    let table = squashfs.superblock.xattr_table.ok_or_else(broken)?;
    let head = bytes(squashfs.medium.as_ref(), table, 16)?;
    let start = le64(&head, 0);
    if number >= le32(&head, 8) {
        return Err(broken());
    }
    let entry = squashfs.metadata.entry(table.saturating_add(16), number.into(), 16)?;
    let mut cursor = squashfs.metadata.at(start, le64(&entry, 0));
    let count = le32(&entry, 8);
    if count > MOST {
        return Err(broken());
    }
    let mut found = Xattrs::new();
    let mut total = 0;
    for _ in 0..count {
        let head = cursor.take(4)?;
        let (kind, len) = (le16(&head, 0), index(le16(&head, 2)));
        let name = cursor.take(len)?;
        let size = index(le32(&cursor.take(4)?, 0));
        total += len + size;
        if size > VALUE || total > 16 * VALUE || name.is_empty() || name.contains(&0) {
            return Err(broken());
        }
        let mut value = cursor.take(size)?;
        if kind & ELSEWHERE != 0 {
            let mut there = squashfs.metadata.at(start, le64(&value, 0));
            let size = index(le32(&there.take(4)?, 0));
            total += size;
            if value.len() != 8 || size > VALUE || total > 16 * VALUE {
                return Err(broken());
            }
            value = there.take(size)?;
        }
        let space: &[u8] = match kind & !ELSEWHERE {
            0 => b"user.",
            1 => b"trusted.",
            2 => b"security.",
            _ => return Err(broken()),
        };
        found.push(([space, &name].concat(), value));
    }
    found.sort();
    if found.windows(2).any(|pair| pair.first().map(|p| &p.0) == pair.get(1).map(|p| &p.0)) {
        return Err(broken());
    }
    Ok(found)
}
