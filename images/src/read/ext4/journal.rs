//! The journal of a file system that was not unmounted: what it holds is shown in place,
//! without writing anything.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use super::super::fields::{be32, be64, index};
use super::super::medium::{Medium, bytes, within};
use super::{Ext, Result, VolumeError};

const MAGIC: u32 = 0xc03b_3998;
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const REVOKE: u32 = 5;

/// Incompatible features of journals.
const REVOKES: u32 = 0x1;
const BIT64: u32 = 0x2;
const ASYNC: u32 = 0x4;
const CSUM_V2: u32 = 0x8;
const CSUM_V3: u32 = 0x10;
const FAST_COMMIT: u32 = 0x20;

/// Flags of a block that a descriptor names.
const ESCAPED: u32 = 1;
const SAME_UUID: u32 = 2;
const LAST: u32 = 8;

/// The medium with the journal's blocks in their places.
#[derive(Debug)]
pub(super) struct Replayed {
    medium: Arc<dyn Medium>,
    block_size: u64,
    /// By block: offset of its new content on the medium, whether its first word is taken
    /// for the journal's magic number and thus stored as zero.
    blocks: HashMap<u64, (u64, bool)>,
}

struct Journal<'a> {
    ext: &'a Ext,
    /// Offsets of the journal's blocks.
    places: Vec<u64>,
    features: u32,
    first: usize,
}

pub(super) fn replay(ext: &Ext) -> Result<Replayed> {
    let damaged = |reason| VolumeError::damaged("the journal", reason);
    let size = ext.superblock.block_size as u64;
    let inode = ext.inode(ext.superblock.journal.into())?;
    let mut places = Vec::new();
    for (offset, len) in ext.solid(&inode)? {
        places.extend((0..len / size).map(|block| offset + block * size));
    }
    let head = places.first().ok_or_else(|| damaged("it is empty"))?;
    let head = bytes(ext.medium.as_ref(), *head, 1024)?;
    if be32(&head, 0) != MAGIC || !matches!(be32(&head, 4), 3 | 4) {
        return Err(damaged("its superblock is none"));
    }
    if u64::from(be32(&head, 12)) != size {
        return Err(damaged("its blocks have another size"));
    }
    let features = if be32(&head, 4) == 4 { be32(&head, 0x28) } else { 0 };
    if features & !(REVOKES | BIT64 | ASYNC | CSUM_V2 | CSUM_V3 | FAST_COMMIT) != 0 {
        let what = format!("a journal with the incompatible features {features:#x}");
        return Err(VolumeError::Unsupported { what });
    }
    let (count, first, start) = (be32(&head, 16), index(be32(&head, 20)), index(be32(&head, 28)));
    // Fast commits have blocks of their own at the end. They are not read: what they tell
    // is younger than the last whole commit.
    let fast = match (features & FAST_COMMIT != 0, be32(&head, 0x54)) {
        (false, _) => 0,
        (true, 0) => 256,
        (true, blocks) => index(blocks),
    };
    places.truncate(index(count).saturating_sub(fast));
    let mut replayed =
        Replayed { medium: Arc::clone(&ext.medium), block_size: size, blocks: HashMap::new() };
    if start == 0 {
        return Ok(replayed);
    }
    if first == 0 || first >= places.len() || !(first..places.len()).contains(&start) {
        return Err(damaged("it begins outside of itself"));
    }
    let journal = Journal { ext, places, features, first };
    journal.walk(start, be32(&head, 24), &mut replayed)?;
    Ok(replayed)
}

/// What one transaction wants.
#[derive(Default)]
struct Transaction {
    blocks: Vec<(u64, (u64, bool))>,
    revoked: HashSet<u64>,
}

impl Journal<'_> {
    /// Follows transactions in their order until one is not complete.
    fn walk(&self, start: usize, sequence: u32, replayed: &mut Replayed) -> Result<()> {
        let (mut at, mut sequence) = (start, sequence);
        let mut current = Transaction::default();
        let mut done = Vec::new();
        // Never more than once around.
        for _ in 0..self.places.len() {
            let block = self.read(at)?;
            if be32(&block, 0) != MAGIC || be32(&block, 8) != sequence {
                break;
            }
            at = self.after(at);
            match be32(&block, 4) {
                DESCRIPTOR => {
                    for (block, escaped) in self.tags(&block) {
                        current.blocks.push((block, (self.places[at], escaped)));
                        at = self.after(at);
                    }
                }
                REVOKE => current.revoked.extend(self.revoked(&block)),
                COMMIT => {
                    done.push(std::mem::take(&mut current));
                    sequence = sequence.wrapping_add(1);
                }
                _ => break,
            }
            let blocks: usize = current.blocks.len();
            if blocks > self.places.len() {
                return Err(VolumeError::damaged("the journal", "a transaction is too long"));
            }
        }
        // A revoked block counts only as later transactions have it.
        let mut last_revoked: HashMap<u64, usize> = HashMap::new();
        for (number, transaction) in done.iter().enumerate() {
            last_revoked.extend(transaction.revoked.iter().map(|block| (*block, number)));
        }
        for (number, transaction) in done.into_iter().enumerate() {
            for (block, place) in transaction.blocks {
                if last_revoked.get(&block).is_none_or(|revoked| *revoked < number) {
                    replayed.blocks.insert(block, place);
                }
            }
        }
        Ok(())
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 < self.places.len() { at + 1 } else { self.first }
    }

    fn read(&self, at: usize) -> Result<Vec<u8>> {
        let place = self.places.get(at).copied().unwrap_or(u64::MAX);
        Ok(bytes(self.ext.medium.as_ref(), place, self.ext.superblock.block_size)?)
    }

    fn tail(&self) -> usize {
        if self.features & (CSUM_V2 | CSUM_V3) == 0 { 0 } else { 4 }
    }

    /// The blocks that follow a descriptor: their numbers, and whether they are escaped.
    fn tags(&self, block: &[u8]) -> Vec<(u64, bool)> {
        let wide = self.features & BIT64 != 0;
        let size = match self.features & (CSUM_V2 | CSUM_V3) {
            0 if wide => 12,
            0 => 8,
            // Version 2 has a word more than the field that it uses.
            CSUM_V2 => 8 + if wide { 4 } else { 0 } + 2,
            _ => 16,
        };
        let v3 = self.features & CSUM_V3 != 0;
        let end = block.len() - self.tail();
        let mut tags = Vec::new();
        let mut at = 12;
        while at + size <= end {
            let flags = if v3 { be32(block, at + 4) } else { be32(block, at + 4) & 0xffff };
            let high = if wide { be32(block, at + 8) } else { 0 };
            tags.push((u64::from(be32(block, at)) | u64::from(high) << 32, flags & ESCAPED != 0));
            at += size + if flags & SAME_UUID == 0 { 16 } else { 0 };
            if flags & LAST != 0 {
                break;
            }
        }
        tags
    }

    fn revoked(&self, block: &[u8]) -> Vec<u64> {
        let end = index(be32(block, 12)).min(block.len() - self.tail());
        let body = block.get(16..end).unwrap_or_default();
        if self.features & BIT64 != 0 {
            body.chunks_exact(8).map(|number| be64(number, 0)).collect()
        } else {
            body.chunks_exact(4).map(|number| be32(number, 0).into()).collect()
        }
    }
}

impl Medium for Replayed {
    fn size(&self) -> u64 {
        self.medium.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.size(), offset, buffer.len())?;
        if self.blocks.is_empty() {
            return self.medium.read_at(offset, buffer);
        }
        let (mut offset, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (block, inside) = (offset / self.block_size, offset % self.block_size);
            let room = index(self.block_size - inside).min(rest.len());
            let (now, later) = rest.split_at_mut(room);
            match self.blocks.get(&block) {
                None => self.medium.read_at(offset, now)?,
                Some((place, escaped)) => {
                    self.medium.read_at(place + inside, now)?;
                    if *escaped {
                        let magic = MAGIC.to_be_bytes();
                        let from = index(inside).min(4);
                        for (to, byte) in now.iter_mut().zip(&magic[from..]) {
                            *to = *byte;
                        }
                    }
                }
            }
            offset += now.len() as u64;
            rest = later;
        }
        Ok(())
    }
}
