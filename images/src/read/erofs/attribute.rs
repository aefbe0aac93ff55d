//! Extended attributes: behind their inode, or in one place for many inodes.

use super::super::fields::{index, le16, le32};
use super::super::medium::{Medium, bytes};
use super::super::volume::{VolumeError, Xattrs};
use super::Result;
use super::inode::{HEADER, Inode};
use super::superblock::Superblock;

/// The most bytes of all attributes of an inode; those that others have, too, count as well.
const MOST: usize = 256 << 10;
/// What names begin with, by their numbers.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// All attributes by their whole names, sorted.
pub(super) fn list(medium: &dyn Medium, superblock: &Superblock, inode: &Inode) -> Result<Xattrs> {
    let mut found = Xattrs::new();
    if inode.attributes_len == 0 {
        return Ok(found);
    }
    let broken = || VolumeError::damaged(inode, "its extended attributes are broken");
    // At most 256 KiB.
    let all = bytes(medium, inode.attributes, index(inode.attributes_len))?;
    let shared = usize::from(all.get(4).copied().unwrap_or(0));
    let own = index(HEADER) + 4 * shared;
    let numbers = all.get(index(HEADER)..own).ok_or_else(broken)?;
    for number in numbers.chunks_exact(4) {
        let at = superblock.shared + u64::from(le32(number, 0)) * 4;
        let head = bytes(medium, at, 4)?;
        let whole = bytes(medium, at, length(&head))?;
        add(&whole, &mut found).ok_or_else(broken)?;
    }
    let mut rest = all.get(own..).unwrap_or_default();
    while !rest.is_empty() {
        let length = add(rest, &mut found).ok_or_else(broken)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    if found.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MOST {
        return Err(broken());
    }
    found.sort();
    if found.windows(2).any(|pair| pair.first().map(|p| &p.0) == pair.get(1).map(|p| &p.0)) {
        return Err(VolumeError::damaged(inode, "an attribute comes twice"));
    }
    Ok(found)
}

/// Bytes of the entry that begins like this.
fn length(head: &[u8]) -> usize {
    4 + usize::from(head.first().copied().unwrap_or(0)) + usize::from(le16(head, 2))
}

/// Takes in the entry at the beginning of `bytes`; its length, or nothing when it is broken.
fn add(bytes: &[u8], found: &mut Xattrs) -> Option<usize> {
    let &[name_len, space, ..] = bytes else { return None };
    let length = length(bytes);
    let (name, value) = bytes.get(4..length)?.split_at_checked(name_len.into())?;
    let (_, prefix) = PREFIXES.iter().find(|(number, _)| *number == space)?;
    let is_whole = matches!(space, 2 | 3);
    if name.contains(&0) || name.is_empty() != is_whole {
        return None;
    }
    found.push(([*prefix, name].concat(), value.to_vec()));
    Some(length)
}
