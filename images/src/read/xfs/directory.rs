//! Directories: in the inode, or blocks of entries. Blocks behind [`DATA`] hold indices,
//! which say nothing that the entries do not.

use super::super::fields::{be16, be32, be64, index};
use super::super::volume::Name;
use super::inode::Layout;
use super::{Header, Inode, Result, VolumeError, Xfs, extent};

/// Where entries end and the index begins, in bytes.
const DATA: u64 = 1 << 35;
/// The largest directory, in bytes.
const LIMIT: u64 = 1 << 30;
/// A directory of one block: the block ends with its index.
const ONE: Header = Header { v4: b"XD2B", v5: b"XDB3", crc: 4, block: 8, uuid: 24, owner: 40 };
/// A block of entries alone.
const MANY: Header = Header { v4: b"XD2D", v5: b"XDD3", ..ONE };

pub(super) fn list(xfs: &Xfs, inode: &Inode) -> Result<Vec<Name>> {
    let fork = inode.data()?;
    let mut names = Vec::new();
    if fork.layout == Layout::Local {
        let stored = fork.bytes.get(..index(inode.size));
        let stored = stored.ok_or_else(|| VolumeError::damaged(inode, "it is cut off"))?;
        short(xfs, inode, stored, &mut names)?;
        return Ok(names);
    }
    if inode.size > LIMIT {
        return Err(VolumeError::damaged(inode, "the directory is too large"));
    }
    let size = xfs.superblock.directory_block;
    let map = extent::map(xfs, inode, fork, DATA)?;
    let mut next = 0;
    for piece in &map.pieces {
        // A block may lie in several pieces, and a piece may hold several blocks.
        let mut at = next.max(piece.at);
        while at < piece.at + piece.len {
            if !at.is_multiple_of(size as u64) || at >= LIMIT {
                return Err(VolumeError::damaged(inode, "its blocks have holes"));
            }
            let (offset, block) = xfs.gather(inode, &map.pieces, at, size)?;
            let one = block.get(..4) == Some(ONE.magic(xfs)) && at == 0;
            xfs.check(inode, offset, &block, if one { &ONE } else { &MANY })?;
            entries(xfs, inode, &block, one, &mut names)?;
            at += size as u64;
        }
        next = at;
    }
    Ok(names)
}

/// Entries in the inode: numbers have eight bytes when one of them needs it.
fn short(xfs: &Xfs, inode: &Inode, stored: &[u8], names: &mut Vec<Name>) -> Result<()> {
    let damaged = || VolumeError::damaged(inode, "its entries are broken");
    let (Some(&small), Some(&wide)) = (stored.first(), stored.get(1)) else {
        return Err(damaged());
    };
    let (count, width) = if wide > 0 { (small.max(wide), 8) } else { (small, 4) };
    let kind = usize::from(xfs.superblock.has_file_types);
    let mut rest = stored.get(2 + width..).ok_or_else(damaged)?;
    for _ in 0..count {
        let len = index(rest.first().copied().ok_or_else(damaged)?);
        let (entry, following) =
            rest.split_at_checked(3 + len + kind + width).ok_or_else(damaged)?;
        let number = entry.get(3 + len + kind..).unwrap_or_default();
        let number = if width == 8 { be64(number, 0) } else { be32(number, 0).into() };
        let name = Name::new(entry.get(3..3 + len).unwrap_or_default().to_vec(), number);
        names.push(name.ok_or_else(|| impossible(inode))?);
        rest = following;
    }
    Ok(())
}

fn impossible(inode: &Inode) -> VolumeError {
    VolumeError::damaged(inode, "an entry has an impossible name")
}

fn entries(xfs: &Xfs, inode: &Inode, block: &[u8], one: bool, names: &mut Vec<Name>) -> Result<()> {
    let damaged = || VolumeError::damaged(inode, "an entry of the directory has a wrong length");
    let from = if xfs.superblock.checked { 64 } else { 16 };
    let end = if one {
        let index = index(be32(block, block.len() - 8)).saturating_mul(8);
        (block.len() - 8).checked_sub(index).filter(|end| *end >= from).ok_or_else(damaged)?
    } else {
        block.len()
    };
    let kind = usize::from(xfs.superblock.has_file_types);
    let mut rest = block.get(from..end).unwrap_or_default();
    while !rest.is_empty() {
        if be16(rest, 0) == 0xffff {
            let len = index(be16(rest, 2));
            if len == 0 || !len.is_multiple_of(8) {
                return Err(damaged());
            }
            rest = rest.get(len..).ok_or_else(damaged)?;
            continue;
        }
        let len = index(rest.get(8).copied().unwrap_or(0));
        // The number, the length, the name, its kind, and where the entry began.
        let whole = (9 + len + kind + 2).next_multiple_of(8);
        let (entry, following) = rest.split_at_checked(whole).ok_or_else(damaged)?;
        rest = following;
        let name = entry.get(9..9 + len).unwrap_or_default();
        if name == b"." || name == b".." {
            continue;
        }
        names.push(Name::new(name.to_vec(), be64(entry, 0)).ok_or_else(|| impossible(inode))?);
    }
    Ok(())
}
