//! The superblock, checked; and where logical addresses lie on the disk.

use super::super::crc32c::crc32c;
use super::super::fields::{agrees, index, le16, le32, le64};
use super::super::medium::{Medium, bytes};
use super::tree::Key;
use super::{Result, VolumeError};

/// Where it lies.
const PLACE: u64 = 0x10000;
const SIZE: usize = 4096;

/// Incompatible features that change nothing for a reader, or that are read here.
const READ: u64 = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | META_UUID | 0x10000;
const META_UUID: u64 = 0x400;

/// Kinds of chunks: what is in them, and copies on the same disk.
const CONTENT: u64 = 0x7;
const TWICE: u64 = 0x20;

/// The root of a tree: its block's logical address, and its level.
pub(super) type Root = (u64, u8);

/// What reading needs of it.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) node_size: usize,
    /// The tree of roots.
    pub(super) roots: Root,
    /// The tree of chunks.
    pub(super) chunks: Root,
    /// The identifier that metadata carries.
    pub(super) uuid: [u8; 16],
    /// The chunks that hold the tree of chunks.
    pub(super) system: Map,
}

/// A run of logical addresses: from, length, place on the disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Map(Vec<(u64, u64, u64)>);

impl Map {
    /// Takes a chunk in, as its item describes it.
    pub(super) fn add(&mut self, from: u64, item: &[u8]) -> Result<()> {
        let damaged = |reason| VolumeError::damaged(format!("the chunk at {from}"), reason);
        let (len, kind) = (le64(item, 0), le64(item, 24));
        if kind & !(CONTENT | TWICE) != 0 {
            return Err(VolumeError::Unsupported { what: "a btrfs of several disks".into() });
        }
        if item.len() < 80 || le16(item, 44) == 0 || len == 0 {
            return Err(damaged("it has no place"));
        }
        if from.checked_add(len).is_none() || self.0.len() > 1 << 20 {
            return Err(damaged("it is out of range"));
        }
        let at = self.0.partition_point(|(other, _, _)| *other < from);
        // Those of the superblock come again in the tree.
        if self.0.get(at).is_some_and(|(other, _, _)| *other == from) {
            return Ok(());
        }
        let before = at.checked_sub(1).and_then(|before| self.0.get(before));
        let overlaps = before.is_some_and(|(other, len, _)| other + len > from)
            || self.0.get(at).is_some_and(|(other, _, _)| *other < from + len);
        if overlaps {
            return Err(damaged("it overlaps another one"));
        }
        self.0.insert(at, (from, len, le64(item, 56)));
        Ok(())
    }

    /// The offset of `len` bytes at a logical address; they lie in one chunk.
    pub(super) fn offset(&self, address: u64, len: u64) -> Option<u64> {
        let after = self.0.partition_point(|(from, _, _)| *from <= address);
        let (from, size, place) = self.0.get(after.checked_sub(1)?)?;
        let within = address - from;
        (within.checked_add(len)? <= *size).then(|| place.checked_add(within)).flatten()
    }
}

impl Superblock {
    pub(super) fn read(medium: &dyn Medium) -> Result<Self> {
        let sb = bytes(medium, PLACE, SIZE)?;
        let damaged = |reason| VolumeError::damaged("the superblock", reason);
        let unsupported = |what: &str| VolumeError::Unsupported { what: what.into() };
        if sb.get(0x40..0x48) != Some(b"_BHRfS_M") || le64(&sb, 0x30) != PLACE {
            return Err(damaged("its magic number is wrong"));
        }
        if le16(&sb, 0xc4) != 0 {
            return Err(unsupported("a btrfs with checksums other than crc32c"));
        }
        if !agrees(crc32c(&[sb.get(32..).unwrap_or_default()]), le32(&sb, 0)) {
            return Err(damaged("its checksum is wrong"));
        }
        let features = le64(&sb, 0xbc);
        if features & !READ != 0 {
            let what = format!("a btrfs with the incompatible features {:#x}", features & !READ);
            return Err(VolumeError::Unsupported { what });
        }
        if le64(&sb, 0x88) != 1 {
            return Err(unsupported("a btrfs of several disks"));
        }
        if le64(&sb, 0x60) != 0 {
            return Err(unsupported("a btrfs that was not unmounted, whose log holds changes,"));
        }
        let (sector_size, node_size) = (le32(&sb, 0x90), le32(&sb, 0x94));
        let range = 4096..=65536;
        if !range.contains(&sector_size)
            || !range.contains(&node_size)
            || !sector_size.is_power_of_two()
            || !node_size.is_power_of_two()
        {
            return Err(damaged("the size of blocks is out of range"));
        }
        if le64(&sb, 0x70) > medium.size() {
            return Err(damaged("the file system is larger than its disk"));
        }
        let uuid_at = if features & META_UUID != 0 { 0x23b } else { 0x20 };
        let uuid = sb.get(uuid_at..uuid_at + 16).and_then(|bytes| bytes.try_into().ok());
        let byte = |at: usize| sb.get(at).copied().unwrap_or(0);
        Ok(Self {
            node_size: index(node_size),
            roots: (le64(&sb, 0x50), byte(0xc6)),
            chunks: (le64(&sb, 0x58), byte(0xc7)),
            uuid: uuid.unwrap_or_default(),
            system: system(&sb)?,
        })
    }
}

/// The chunks that the superblock lists: keys, each with an item.
fn system(sb: &[u8]) -> Result<Map> {
    let damaged = || VolumeError::damaged("the superblock", "its list of chunks is broken");
    let size = index(le32(sb, 0xa0));
    let mut rest = sb.get(0x32b..0x32b + size.min(2048)).ok_or_else(damaged)?;
    let mut map = Map::default();
    while !rest.is_empty() {
        let (key, item) = rest.split_at_checked(17).ok_or_else(damaged)?;
        let len = 48 + 32 * index(le16(item, 44));
        let (item, following) = item.split_at_checked(len).ok_or_else(damaged)?;
        map.add(Key::read(key).offset, item)?;
        rest = following;
    }
    Ok(map)
}
