//! A place for every inode and for what does not lie beside one.

use super::super::sink::offset_of;
use super::BLOCK;
use super::directory;
use super::draft::{Content, Draft, Drafted};

/// Bytes of an inode.
pub(super) const INODE: u64 = 64;
/// Inodes are counted in units of this.
const SLOT: u64 = 32;

/// Where everything lies.
#[derive(Debug)]
pub(super) struct Plan {
    /// One for each inode.
    pub(super) spots: Vec<Spot>,
    /// All blocks of the file system.
    pub(super) blocks: u64,
}

/// Where an inode lies and what it holds; offsets of the file system in bytes.
#[derive(Debug)]
pub(super) struct Spot {
    /// The inode.
    pub(super) at: u64,
    /// Bytes that it holds.
    pub(super) size: u64,
    /// Of these, bytes of whole blocks.
    pub(super) whole: u64,
    /// Whether the rest lies behind the inode.
    pub(super) is_inline: bool,
    /// Where its own blocks begin; 0 without any.
    pub(super) data: u64,
}

impl Plan {
    /// Puts inodes one after the other from the second block on, and data behind them.
    pub(super) fn new(draft: &Draft<'_>) -> Self {
        let mut spots = Vec::new();
        let mut at = BLOCK;
        for drafted in &draft.inodes {
            let size = match &drafted.content {
                Content::Directory(names) => directory::size(names),
                Content::File { size, .. } => *size,
                Content::Bytes(bytes) => offset_of(bytes.len()),
                Content::Device(_) | Content::Nothing => 0,
            };
            let whole = size / BLOCK * BLOCK;
            let head = INODE + offset_of(drafted.attributes.len());
            let tail = size - whole;
            let is_inline = tail > 0 && head + tail <= BLOCK;
            at = at.next_multiple_of(SLOT);
            // What lies behind an inode is within one block.
            let within = if is_inline { head + tail } else { INODE };
            if at % BLOCK + within > BLOCK {
                at = at.next_multiple_of(BLOCK);
            }
            spots.push(Spot { at, size, whole, is_inline, data: 0 });
            at += head + if is_inline { tail } else { 0 };
        }
        at = at.next_multiple_of(BLOCK);
        for spot in &mut spots {
            let stored = if spot.is_inline { spot.whole } else { spot.size };
            if stored > 0 {
                spot.data = at;
                let end =
                    at.checked_add(stored).and_then(|end| end.checked_next_multiple_of(BLOCK));
                at = end.unwrap_or(u64::MAX / BLOCK * BLOCK);
            }
        }
        Self { spots, blocks: at / BLOCK }
    }

    /// The number of an inode: its slot.
    pub(super) fn nid(&self, inode: usize) -> u64 {
        self.spots.get(inode).map_or(0, |spot| spot.at / SLOT)
    }
}

impl Spot {
    /// Where what lies behind the inode begins.
    pub(super) fn tail_at(&self, drafted: &Drafted<'_>) -> u64 {
        self.at + INODE + offset_of(drafted.attributes.len())
    }
}
