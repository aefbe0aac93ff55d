//! Where the blocks of a file lie: by extents, or by tables of tables.

use super::super::fields::{index, le16, le32};
use super::super::volume::{From, Piece};
use super::{Ext, Inode, Result, VolumeError, low_high};

/// The most pieces of one file: they are kept in memory.
const PIECES: usize = 1 << 22;
/// The deepest tree of extents.
const DEPTH: u16 = 5;

/// A file's pieces, and how many blocks they and their tables take up.
pub(super) struct Map {
    pub(super) pieces: Vec<Piece>,
    pub(super) blocks: u64,
}

struct Mapper<'a> {
    ext: &'a Ext,
    inode: &'a Inode,
    /// How many blocks the file's size covers.
    wanted: u64,
    next: u64,
    map: Map,
}

pub(super) fn map(ext: &Ext, inode: &Inode) -> Result<Map> {
    let wanted = inode.size.div_ceil(ext.superblock.block_size as u64);
    let map = Map { pieces: Vec::new(), blocks: 0 };
    let mut mapper = Mapper { ext, inode, wanted, next: 0, map };
    if inode.has_extents() {
        mapper.extents(inode.block_field(), None)?;
    } else {
        mapper.tables()?;
    }
    Ok(mapper.map)
}

impl Mapper<'_> {
    fn damaged(&self, reason: &'static str) -> VolumeError {
        VolumeError::damaged(self.inode, reason)
    }

    /// Counts blocks: no file takes up more than there are.
    fn spend(&mut self, blocks: u64) -> Result<()> {
        self.map.blocks = self.map.blocks.saturating_add(blocks);
        if self.map.blocks > self.ext.superblock.blocks {
            return Err(self.damaged("it has more blocks than the file system"));
        }
        Ok(())
    }

    /// Adds a run of blocks at `logical`, which lies behind all that were added before.
    fn run(&mut self, logical: u64, physical: u64, count: u64) -> Result<()> {
        let size = self.ext.superblock.block_size as u64;
        if logical >= self.wanted {
            return Ok(());
        }
        let offset = self.ext.superblock.offset(physical)?;
        self.ext.superblock.offset(physical.saturating_add(count - 1))?;
        let at = logical * size;
        let len = (count * size).min(self.inode.size - at);
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

    /// One node of the tree of extents; `depth` is what its parent promised.
    fn extents(&mut self, node: &[u8], depth: Option<u16>) -> Result<()> {
        let (magic, entries, own) = (le16(node, 0), index(le16(node, 2)), le16(node, 6));
        if magic != 0xf30a || own > DEPTH || depth.is_some_and(|depth| depth != own) {
            return Err(self.damaged("its tree of extents is broken"));
        }
        // Below the root, nodes without entries are removed.
        if entries > (node.len() - 12) / 12 || (entries == 0 && depth.is_some()) {
            return Err(self.damaged("a node of its extents has a wrong number of entries"));
        }
        for entry in node.get(12..).unwrap_or_default().chunks_exact(12).take(entries) {
            let first = u64::from(le32(entry, 0));
            if own > 0 {
                if first < self.next {
                    return Err(self.damaged("its extents overlap"));
                }
                self.spend(1)?;
                let below = self.ext.block(low_high(entry, 4, 8))?;
                self.extents(&below, Some(own - 1))?;
                continue;
            }
            let len = u64::from(le16(entry, 4));
            // Longer ones are set aside, but were never written: a hole.
            let (count, written) = if len > 32768 { (len - 32768, false) } else { (len, true) };
            if first < self.next || count == 0 {
                return Err(self.damaged("its extents overlap"));
            }
            self.spend(count)?;
            self.next = first + count;
            if written {
                let physical = u64::from(le32(entry, 8)) | u64::from(le16(entry, 6)) << 32;
                self.run(first, physical, count)?;
            }
        }
        Ok(())
    }

    /// Twelve blocks, then a table, a table of tables, and one more level.
    fn tables(&mut self) -> Result<()> {
        let field = self.inode.block_field().to_vec();
        let mut logical = 0;
        for (number, entry) in field.chunks_exact(4).enumerate() {
            let level = u32::try_from(number.saturating_sub(11)).unwrap_or(0);
            self.pointer(u64::from(le32(entry, 0)), level, &mut logical)?;
        }
        Ok(())
    }

    fn pointer(&mut self, block: u64, level: u32, logical: &mut u64) -> Result<()> {
        let each = self.ext.superblock.block_size as u64 / 4;
        if *logical >= self.wanted {
            return Ok(());
        }
        if block == 0 {
            *logical = logical.saturating_add(each.saturating_pow(level));
            return Ok(());
        }
        self.spend(1)?;
        if level == 0 {
            self.run(*logical, block, 1)?;
            *logical += 1;
            return Ok(());
        }
        let table = self.ext.block(block)?;
        for entry in table.chunks_exact(4) {
            self.pointer(u64::from(le32(entry, 0)), level - 1, logical)?;
        }
        Ok(())
    }
}
