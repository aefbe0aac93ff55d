//! Inodes, of two forms.

use std::fmt;

use super::super::fields::{le16, le32, le64};
use super::super::medium::{Medium, bytes};
use super::super::volume::NodeKind;
use super::superblock::Superblock;
use super::{Result, VolumeError};

/// Bytes that inodes are counted in, and of the short form.
const SLOT: u64 = 32;
/// Bytes of the longer form.
const LONG: u64 = 64;
/// Bytes in front of an inode's attributes.
pub(super) const HEADER: u64 = 12;

/// Where the bytes of an inode are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// In a run of blocks.
    Plain,
    /// The same, but for the last block, which lies behind the inode.
    Inline,
    /// In chunks of so many bytes as a power of two, found by indexes or by numbers of blocks.
    Chunks { bits: u32, indexes: bool },
}

/// An inode.
#[derive(Debug)]
pub(super) struct Inode {
    id: u64,
    pub(super) layout: Layout,
    pub(super) kind: NodeKind,
    /// Permissions.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u32,
    pub(super) mtime: (i64, u32),
    /// The first block.
    pub(super) place: u32,
    /// Where its attributes begin.
    pub(super) attributes: u64,
    /// Bytes of them, their header included.
    pub(super) attributes_len: u64,
}

impl fmt::Display for Inode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {}", self.id)
    }
}

impl Inode {
    pub(super) fn read(medium: &dyn Medium, superblock: &Superblock, id: u64) -> Result<Self> {
        let damaged = |reason| VolumeError::damaged(format!("inode {id}"), reason);
        let at = id.checked_mul(SLOT).and_then(|at| at.checked_add(superblock.inodes));
        let at = at.ok_or_else(|| damaged("its number is out of range"))?;
        let format = le16(&bytes(medium, at, 2)?, 0);
        let is_long = format & 1 != 0;
        let len = if is_long { LONG } else { SLOT };
        let fields = bytes(medium, at, if is_long { 64 } else { 32 })?;
        let word = le32(&fields, 16);
        let mode = u32::from(le16(&fields, 4));
        let kind = NodeKind::of_mode(mode, || Ok(device(word)))?
            .ok_or_else(|| damaged("its type is unknown"))?;
        let layout = match format >> 1 {
            0 => Layout::Plain,
            2 => Layout::Inline,
            4 if kind == NodeKind::File => chunks(superblock, word)
                .ok_or_else(|| damaged("the size of its chunks is out of range"))?,
            1 | 3 => {
                let what = format!("inode {id}, which is compressed,");
                return Err(VolumeError::Unsupported { what });
            }
            _ => return Err(damaged("its form is unknown")),
        };
        let (size, uid, gid, links, mtime) = if is_long {
            let nanos = le32(&fields, 40).min(999_999_999);
            let mtime = (le64(&fields, 32).cast_signed(), nanos);
            let links = le32(&fields, 44);
            (le64(&fields, 8), le32(&fields, 24), le32(&fields, 28), links, mtime)
        } else {
            let half = |at| u32::from(le16(&fields, at));
            (le32(&fields, 8).into(), half(24), half(26), half(6), superblock.time)
        };
        if size > i64::MAX.cast_unsigned() {
            return Err(damaged("its size is out of range"));
        }
        let attributes_len = match u64::from(le16(&fields, 2)) {
            0 => 0,
            words => HEADER + (words - 1) * 4,
        };
        Ok(Self {
            id,
            layout,
            kind,
            mode: mode & 0o7777,
            uid,
            gid,
            size,
            links,
            mtime,
            place: word,
            attributes: at + len,
            attributes_len,
        })
    }

    /// The byte behind the inode and its attributes.
    pub(super) fn end(&self) -> u64 {
        self.attributes + self.attributes_len
    }
}

/// The layout of a file in chunks, of which a word says how large they are.
fn chunks(superblock: &Superblock, word: u32) -> Option<Layout> {
    let (bits, flags) = (word & 0x1f, word & 0xffff & !0x1f);
    let bits = superblock.block_bits() + bits;
    let known = flags & !0x20 == 0 && bits < 48;
    known.then_some(Layout::Chunks { bits, indexes: flags & 0x20 != 0 })
}

/// A device's numbers, major and minor.
fn device(word: u32) -> (u32, u32) {
    ((word >> 8) & 0xfff, word & 0xff | (word >> 12) & 0xf_ff00)
}
