//! Directories: blocks of entries, behind which stand their names.

use std::io::Read;

use super::super::fields::{index, le16, le64};
use super::super::volume::{Content, Name, VolumeError};
use super::Result;
use super::inode::Inode;

/// Bytes of an entry.
const ENTRY: usize = 12;

/// The names in a directory, which its content holds in blocks of that size.
pub(super) fn names(inode: &Inode, content: Content, block: u64) -> Result<Vec<Name>> {
    let mut bytes = Vec::new();
    content.reader().read_to_end(&mut bytes)?;
    let mut names = Vec::new();
    for block in bytes.chunks(index(block)) {
        one(block, &mut names)
            .ok_or_else(|| VolumeError::damaged(inode, "its directory is broken"))?;
    }
    Ok(names)
}

/// The names in one block; nothing when it is broken.
fn one(block: &[u8], names: &mut Vec<Name>) -> Option<()> {
    let first = usize::from(le16(block, 8));
    if first < ENTRY || first % ENTRY != 0 || first > block.len() {
        return None;
    }
    let entries = block.get(..first)?;
    let starts: Vec<_> =
        entries.chunks_exact(ENTRY).map(|entry| usize::from(le16(entry, 8))).collect();
    for (number, (entry, start)) in entries.chunks_exact(ENTRY).zip(&starts).enumerate() {
        let name = match starts.get(number + 1) {
            Some(end) => block.get(*start..*end)?,
            // The last name of a block ends where zeros begin.
            None => block.get(*start..)?.split(|&byte| byte == 0).next().unwrap_or_default(),
        };
        if name != b"." && name != b".." {
            names.push(Name::new(name.to_vec(), le64(entry, 0))?);
        }
    }
    Some(())
}
