//! The superblock.

use uuid::Uuid;

use super::super::layout::{Ext4Errors, Ext4Options, Filesystem};
use super::Fields;
use super::checksum::{Sealer, crc};
use super::geometry::Geometry;
use super::inode::{FIRST, Inode, JOURNAL};

/// Bytes of a superblock, and where the first one lies.
pub(super) const SUPERBLOCK: u64 = 1024;
/// Bytes of an inode behind the first 128 that have a meaning.
pub(super) const EXTRA: u64 = 32;

/// The feature `resize_inode`.
const RESIZE_INODE: u32 = 0x10;

/// What all copies of the superblock say.
pub(super) struct Superblock<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) filesystem: &'a Filesystem,
    pub(super) options: &'a Ext4Options,
    pub(super) epoch: i64,
    pub(super) sealer: Sealer,
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u64,
    /// The journal's inode, of which the superblock keeps a copy.
    pub(super) journal: Option<&'a Inode>,
}

impl Superblock<'_> {
    /// Which inode the journal is, and a copy of it.
    fn journal(&self, s: &mut Fields) {
        if let Some(journal) = self.journal {
            s.u32(0xe0, JOURNAL);
            s.u8(0xfd, 1);
            s.bytes(0x10c, &journal.block);
            s.u32(0x148, journal.size >> 32);
            s.u32(0x14c, journal.size);
        }
    }

    /// What kernels are told to do.
    fn advice(&self, s: &mut Fields) {
        let errors = match self.options.errors {
            Ext4Errors::Continue => 1,
            Ext4Errors::RemountRo => 2,
            Ext4Errors::Panic => 3,
        };
        s.u16(0x3c, errors);
        s.u16(0x164, u64::from(self.options.stride.unwrap_or(0)));
        s.u32(0x170, u64::from(self.options.stripe_width.unwrap_or(0)));
    }

    /// The copy that lies in front of `group`.
    pub(super) fn copy(&self, group: u64) -> Vec<u8> {
        let (g, options) = (self.geometry, self.options);
        let features = &options.features;
        let time = u64::try_from(self.epoch).unwrap_or(0);
        let root = options.reserved_percent.of(g.blocks);
        let mut s = Fields::new(SUPERBLOCK);
        s.u32(0x00, g.inodes());
        s.u32(0x04, g.blocks);
        s.u32(0x08, root);
        s.u32(0x0c, self.free_blocks);
        s.u32(0x10, self.free_inodes);
        s.u32(0x14, g.first);
        let log = u64::from(g.block.trailing_zeros().saturating_sub(10));
        s.u32(0x18, log);
        s.u32(0x1c, log);
        s.u32(0x20, g.group);
        s.u32(0x24, g.group);
        s.u32(0x28, g.inodes_per_group);
        s.u32(0x30, time);
        s.u16(0x36, 0xffff); // checked however often it was mounted
        s.u16(0x38, 0xef53);
        // Only the first says that all is well, as mke2fs has it: who uses another checks.
        s.u16(0x3a, u64::from(group == 0));
        s.u32(0x40, time);
        s.u32(0x4c, 1); // revision
        s.u32(0x54, FIRST);
        s.u16(0x58, g.inode_size);
        s.u16(0x5a, group);
        // An empty reserve is none: its inode would be damaged to whoever looks for it.
        let reserve = if g.reserve == 0 { RESIZE_INODE } else { 0 };
        s.u32(0x5c, u64::from(features.compatible & !reserve));
        s.u32(0x60, u64::from(features.incompatible));
        s.u32(0x64, u64::from(features.read_only));
        s.bytes(0x68, self.filesystem.uuid.as_bytes());
        let label = self.filesystem.label.as_bytes();
        s.bytes(0x78, label.get(..16).unwrap_or(label));
        s.u16(0xce, g.reserve);
        s.bytes(0xec, hash_seed(self.filesystem, options).as_bytes());
        s.u8(0xfc, 1); // half of MD4
        s.u16(0xfe, if features.has("64bit") { g.descriptor } else { 0 });
        s.u32(0x100, 0xc); // attributes and access control lists are on
        s.u32(0x108, time);
        self.journal(&mut s);
        self.advice(&mut s);
        if features.has("64bit") {
            s.u32(0x150, g.blocks >> 32);
            s.u32(0x154, root >> 32);
            s.u32(0x158, self.free_blocks >> 32);
        }
        if g.inode_size > 128 {
            s.u16(0x15c, EXTRA);
            s.u16(0x15e, EXTRA);
        }
        s.u32(0x160, 2); // names are hashed as unsigned bytes
        if features.has("flex_bg") {
            s.u8(0x174, u64::from(g.flex.trailing_zeros()));
        }
        for (at, _) in [(0x274, "written"), (0x276, "made"), (0x277, "checked")] {
            s.u8(at, time >> 32);
        }
        if features.has("metadata_csum_seed") {
            s.u32(0x270, u64::from(self.sealer.seed()));
        }
        if self.sealer.is_on() {
            s.u8(0x175, 1); // CRC-32C
            let checksum = crc(u32::MAX, s.get().get(..0x3fc).unwrap_or_default());
            s.u32(0x3fc, u64::from(checksum));
        }
        s.done()
    }
}

/// The seed of hashes of names.
pub(super) fn hash_seed(filesystem: &Filesystem, options: &Ext4Options) -> Uuid {
    options.hash_seed.unwrap_or(filesystem.uuid)
}

/// The same as the four words that hashes begin with.
pub(super) fn hash_words(filesystem: &Filesystem, options: &Ext4Options) -> [u32; 4] {
    let seed = hash_seed(filesystem, options);
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(seed.as_bytes().chunks(4)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
    }
    words
}
