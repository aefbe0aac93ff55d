//! Where the blocks of a fork lie: a list of extents, or a tree of them.

use super::super::fields::{be16, be64, index};
use super::super::volume::{From, Piece};
use super::inode::{Fork, Layout};
use super::{Header, Inode, Result, VolumeError, Xfs};

/// The most pieces of one file: they are kept in memory.
const PIECES: usize = 1 << 22;
/// The deepest tree of extents.
const DEPTH: u16 = 9;

/// A fork's pieces, and how many blocks they and their tree take up.
pub(super) struct Map {
    pub(super) pieces: Vec<Piece>,
    pub(super) blocks: u64,
}

struct Mapper<'a> {
    xfs: &'a Xfs,
    inode: &'a Inode,
    /// In bytes; what lies behind was set aside.
    end: u64,
    next: u64,
    left: u64,
    map: Map,
}

/// The pieces of a fork below `end` bytes.
pub(super) fn map(xfs: &Xfs, inode: &Inode, fork: Fork<'_>, end: u64) -> Result<Map> {
    let map = Map { pieces: Vec::new(), blocks: 0 };
    let mut mapper = Mapper { xfs, inode, end, next: 0, left: fork.extents, map };
    match fork.layout {
        Layout::Extents => {
            let count = index(fork.extents);
            let all = fork.bytes.get(..count.saturating_mul(16));
            mapper.list(all.ok_or_else(|| mapper.damaged("it has no room for its extents"))?)?;
        }
        Layout::Tree => mapper.root(fork.bytes)?,
        Layout::Local | Layout::Device => {
            return Err(mapper.damaged("it has no extents"));
        }
    }
    if mapper.left != 0 {
        return Err(mapper.damaged("it has fewer extents than it says"));
    }
    Ok(mapper.map)
}

impl Mapper<'_> {
    fn damaged(&self, reason: &'static str) -> VolumeError {
        VolumeError::damaged(self.inode, reason)
    }

    /// Counts blocks: no fork takes up more than there are.
    fn spend(&mut self, blocks: u64) -> Result<()> {
        self.map.blocks = self.map.blocks.saturating_add(blocks);
        if self.map.blocks > self.xfs.superblock.blocks {
            return Err(self.damaged("it has more blocks than the file system"));
        }
        Ok(())
    }

    /// Extents of 128 bits: whether it was never written, 54 bits of offset, 52 of the
    /// block, 21 of length.
    fn list(&mut self, records: &[u8]) -> Result<()> {
        let log = self.xfs.superblock.block_log;
        for record in records.chunks_exact(16) {
            let (high, low) = (be64(record, 0), be64(record, 8));
            let unwritten = high >> 63 == 1;
            let first = (high & (u64::MAX >> 1)) >> 9;
            let physical = (high & 0x1ff) << 43 | low >> 21;
            let count = low & 0x1f_ffff;
            if first < self.next || count == 0 || first > i64::MAX.cast_unsigned() >> log >> 1 {
                return Err(self.damaged("its extents overlap"));
            }
            let left = self.left.checked_sub(1);
            self.left = left.ok_or_else(|| self.damaged("it has more extents than it says"))?;
            self.spend(count)?;
            self.next = first + count;
            let offset = self.xfs.superblock.offset(physical, count)?;
            let at = first << log;
            if !unwritten && at < self.end {
                self.run(at, (count << log).min(self.end - at), offset)?;
            }
        }
        Ok(())
    }

    /// Adds a run of bytes that lies behind all that were added before.
    fn run(&mut self, at: u64, len: u64, offset: u64) -> Result<()> {
        if let Some(last) = self.map.pieces.last_mut()
            && last.at + last.len == at
            && last.from == From::Disk(offset.wrapping_sub(last.len))
        {
            last.len += len;
            return Ok(());
        }
        if self.map.pieces.len() == PIECES {
            return Err(self.damaged("it lies in too many pieces"));
        }
        self.map.pieces.push(Piece { at, len, from: From::Disk(offset) });
        Ok(())
    }

    /// The root of a tree, in the inode: never a leaf.
    fn root(&mut self, fork: &[u8]) -> Result<()> {
        let (level, count) = (be16(fork, 0), index(be16(fork, 2)));
        let room = fork.len().saturating_sub(4) / 16;
        if level == 0 || level > DEPTH || count == 0 || count > room {
            return Err(self.damaged("its tree of extents is broken"));
        }
        let below = fork.get(4 + room * 8..).unwrap_or_default();
        for pointer in below.chunks_exact(8).take(count) {
            self.node(be64(pointer, 0), level - 1)?;
        }
        Ok(())
    }

    /// A node of the tree, or a leaf when its level is 0.
    fn node(&mut self, number: u64, level: u16) -> Result<()> {
        self.spend(1)?;
        let superblock = &self.xfs.superblock;
        let offset = superblock.offset(number, 1)?;
        let header = Header { v4: b"BMAP", v5: b"BMA3", crc: 64, block: 24, uuid: 40, owner: 56 };
        let block = self.xfs.sealed_block(self.inode, offset, superblock.block_size, &header)?;
        let body = block.get(if superblock.checked { 72 } else { 24 }..).unwrap_or_default();
        let count = index(be16(&block, 6));
        let room = body.len() / 16;
        if be16(&block, 4) != level || count == 0 || count > room {
            return Err(self.damaged("its tree of extents is broken"));
        }
        if level == 0 {
            return self.list(body.get(..count * 16).unwrap_or_default());
        }
        for pointer in body.get(room * 8..).unwrap_or_default().chunks_exact(8).take(count) {
            self.node(be64(pointer, 0), level - 1)?;
        }
        Ok(())
    }
}
