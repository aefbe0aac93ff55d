//! Inodes, and the two forks of each: data and attributes.

use std::fmt;

use super::super::fields::{agrees, be16, be32, be64, index, le32};
use super::super::volume::NodeKind;
use super::{Result, Superblock, VolumeError, crc32c::sealed};

/// Flags of versions 2 and 3.
const REALTIME: u16 = 0x1;
const BIG_TIME: u64 = 0x8;
const WIDE_COUNTERS: u64 = 0x10;

/// How a fork holds what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// A device number.
    Device,
    /// The bytes themselves.
    Local,
    /// A list of extents.
    Extents,
    /// The root of a tree of extents.
    Tree,
}

/// One of the two forks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fork<'a> {
    pub(super) layout: Layout,
    pub(super) bytes: &'a [u8],
    /// How many extents it says to have.
    pub(super) extents: u64,
}

/// An inode as it is on the disk, with what everybody asks for.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) number: u64,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u32,
    pub(super) mtime: (i64, u32),
    counters: (u64, u64),
    bytes: Vec<u8>,
}

impl fmt::Display for Inode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {}", self.number)
    }
}

impl Inode {
    pub(super) fn new(superblock: &Superblock, number: u64, bytes: Vec<u8>) -> Result<Self> {
        let damaged = |reason| VolumeError::damaged(format!("inode {number}"), reason);
        let version = bytes.get(4).copied().unwrap_or(0);
        if bytes.get(..2) != Some(b"IN") {
            return Err(damaged("its magic number is wrong"));
        }
        if superblock.checked != (version == 3) || !(1..=3).contains(&version) {
            return Err(damaged("it has another version than the file system"));
        }
        let flags = if version == 3 { be64(&bytes, 120) } else { 0 };
        if version == 3 {
            if !agrees(sealed(&bytes, 100), le32(&bytes, 100)) {
                return Err(damaged("its checksum is wrong"));
            }
            if be64(&bytes, 152) != number || bytes.get(160..176) != Some(&superblock.uuid) {
                return Err(damaged("it is another one, or that of another file system"));
            }
        }
        let mtime = if flags & BIG_TIME != 0 {
            // Nanoseconds since the first second that fits into 32 bits.
            let time = be64(&bytes, 40);
            let seconds = (time / 1_000_000_000).cast_signed() - (1 << 31);
            (seconds, u32::try_from(time % 1_000_000_000).unwrap_or(0))
        } else {
            let seconds = i64::from(be32(&bytes, 40).cast_signed());
            (seconds, be32(&bytes, 44).min(999_999_999))
        };
        let counters = if flags & WIDE_COUNTERS != 0 {
            (be64(&bytes, 24), be32(&bytes, 76).into())
        } else {
            (be32(&bytes, 76).into(), be16(&bytes, 80).into())
        };
        let inode = Self {
            number,
            mode: be16(&bytes, 2),
            uid: be32(&bytes, 8),
            gid: be32(&bytes, 12),
            size: be64(&bytes, 56),
            links: if version == 1 { be16(&bytes, 6).into() } else { be32(&bytes, 16) },
            mtime,
            counters,
            bytes,
        };
        if inode.size > i64::MAX.cast_unsigned() {
            return Err(damaged("its size is out of range"));
        }
        Ok(inode)
    }

    pub(super) fn kind(&self) -> Result<NodeKind> {
        NodeKind::of_mode(self.mode.into(), || self.device())?
            .ok_or_else(|| VolumeError::damaged(self, "its type is unknown"))
    }

    fn device(&self) -> Result<(u32, u32)> {
        let data = self.data()?;
        if data.layout != Layout::Device {
            return Err(VolumeError::damaged(self, "it has no device number"));
        }
        let number = be32(data.bytes, 0);
        Ok((number >> 18, number & 0x3_ffff))
    }

    /// Whether its data are on the real-time device.
    pub(super) fn is_realtime(&self) -> bool {
        be16(&self.bytes, 90) & REALTIME != 0
    }

    /// The data fork.
    pub(super) fn data(&self) -> Result<Fork<'_>> {
        let area = self.area();
        let bytes = match self.fork_offset() {
            0 => area,
            offset => area.get(..offset).ok_or_else(|| self.bad_fork())?,
        };
        let layout = self.layout(5)?;
        Ok(Fork { layout, bytes, extents: self.counters.0 })
    }

    /// The attribute fork, if there is one.
    pub(super) fn attributes(&self) -> Result<Option<Fork<'_>>> {
        let offset = self.fork_offset();
        if offset == 0 {
            return Ok(None);
        }
        let bytes = self.area().get(offset..).ok_or_else(|| self.bad_fork())?;
        let layout = self.layout(83)?;
        Ok(Some(Fork { layout, bytes, extents: self.counters.1 }))
    }

    fn bad_fork(&self) -> VolumeError {
        VolumeError::damaged(self, "its attributes lie outside of it")
    }

    fn layout(&self, at: usize) -> Result<Layout> {
        Ok(match self.bytes.get(at) {
            Some(0) => Layout::Device,
            Some(1) => Layout::Local,
            Some(2) => Layout::Extents,
            Some(3) => Layout::Tree,
            _ => return Err(VolumeError::damaged(self, "the format of its data is unknown")),
        })
    }

    /// What lies behind the fields of the inode.
    fn area(&self) -> &[u8] {
        let from = if self.bytes.get(4) == Some(&3) { 176 } else { 100 };
        self.bytes.get(from..).unwrap_or_default()
    }

    fn fork_offset(&self) -> usize {
        index(self.bytes.get(82).copied().unwrap_or(0)) * 8
    }
}
