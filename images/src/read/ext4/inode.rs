//! Inodes.

use std::fmt;

use super::super::fields::{index, le16, le32};
use super::super::volume::NodeKind;
use super::{Result, VolumeError, low_high};

const EXTENTS: u32 = 0x8_0000;
const INLINE: u32 = 0x1000_0000;
const ENCRYPTED: u32 = 0x800;

/// Where the block map, a short link or inline data lies.
const FIELD: usize = 0x28;
const FIELD_LEN: usize = 60;

/// An inode as it is on the disk, with what everybody asks for.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) number: u32,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u32,
    pub(super) mtime: (i64, u32),
    pub(super) xattr_block: u64,
    flags: u32,
    pub(super) bytes: Vec<u8>,
}

impl fmt::Display for Inode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {}", self.number)
    }
}

impl Inode {
    pub(super) fn new(number: u32, bytes: Vec<u8>) -> Result<Self> {
        let mode = le16(&bytes, 0);
        let half = |low: usize, high: usize| {
            u32::from(le16(&bytes, low)) | u32::from(le16(&bytes, high)) << 16
        };
        let high = if matches!(mode >> 12, 0o10 | 0o4) { le32(&bytes, 0x6c) } else { 0 };
        let size = u64::from(le32(&bytes, 4)) | u64::from(high) << 32;
        let mut seconds = i64::from(le32(&bytes, 0x10).cast_signed());
        let mut nanos = 0;
        let extra = if bytes.len() > 128 { index(le16(&bytes, 0x80)) } else { 0 };
        if extra >= 12 {
            let more = le32(&bytes, 0x88);
            seconds += i64::from(more & 3) << 32;
            nanos = (more >> 2).min(999_999_999);
        }
        let inode = Self {
            number,
            mode,
            uid: half(2, 0x78),
            gid: half(0x18, 0x7a),
            size,
            links: le16(&bytes, 0x1a).into(),
            mtime: (seconds, nanos),
            xattr_block: low_high(&bytes, 0x68, 0x76),
            flags: le32(&bytes, 0x20),
            bytes,
        };
        if inode.size > i64::MAX.cast_unsigned() {
            return Err(VolumeError::damaged(&inode, "its size is out of range"));
        }
        Ok(inode)
    }

    pub(super) fn kind(&self) -> Result<NodeKind> {
        NodeKind::of_mode(self.mode.into(), || Ok(self.device()))?
            .ok_or_else(|| VolumeError::damaged(self, "its type is unknown"))
    }

    /// Small numbers are in the first word, as ever; larger ones in the second.
    fn device(&self) -> (u32, u32) {
        let (old, new) = (le32(&self.bytes, FIELD), le32(&self.bytes, FIELD + 4));
        if old != 0 {
            return ((old >> 8) & 0xff, old & 0xff);
        }
        ((new & 0xf_ff00) >> 8, (new & 0xff) | ((new >> 12) & 0xf_ff00))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.flags & ENCRYPTED != 0
    }

    pub(super) fn is_inline(&self) -> bool {
        self.flags & INLINE != 0
    }

    pub(super) fn has_extents(&self) -> bool {
        self.flags & EXTENTS != 0
    }

    /// Whether a link's text is in the inode itself.
    pub(super) fn is_fast_link(&self) -> bool {
        !self.is_inline()
            && !self.is_encrypted()
            && !self.has_extents()
            && self.size < FIELD_LEN as u64
    }

    pub(super) fn block_field(&self) -> &[u8] {
        self.bytes.get(FIELD..FIELD + FIELD_LEN).unwrap_or_default()
    }

    /// What lies behind the fields of the inode: room for extended attributes.
    pub(super) fn extra(&self) -> &[u8] {
        if self.bytes.len() <= 128 {
            return &[];
        }
        let from = 128 + index(le16(&self.bytes, 0x80));
        self.bytes.get(from..).unwrap_or_default()
    }
}
