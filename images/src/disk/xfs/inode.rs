//! Inodes.

use super::super::layout::{XfsFeature, XfsFeatures};
use super::fields::{Fields, sealed};
use super::geometry::INODE;

/// Bytes of an inode in front of its forks.
const CORE: u64 = 176;
/// Bytes of both forks.
pub(super) const LITERAL: u64 = INODE - CORE;
/// A flag of the inodes that describe a part of the disk for real time, which there is none of.
pub(super) const NEW_BITMAP: u64 = 4;

/// Flags of the second word: times count from 1901 in nanoseconds, and numbers of extents have
/// more bits.
const BIGTIME: u64 = 8;
const NREXT64: u64 = 0x10;
/// Seconds from where those times begin to 1970.
const BEFORE: i64 = 1 << 31;
/// The last second that they can say in full, in 2486.
const LAST_BIG: i64 = 18_446_744_072 - BEFORE;

/// How a fork holds what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Device = 0,
    Local = 1,
    Extents = 2,
    Tree = 3,
}

impl Form {
    fn number(self) -> u64 {
        match self {
            Self::Device => 0,
            Self::Local => 1,
            Self::Extents => 2,
            Self::Tree => 3,
        }
    }
}

/// An inode that is to be written.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    /// Type and permissions.
    pub(super) mode: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u64,
    /// Last change of the content, which stands for all times but the birth.
    pub(super) mtime: (i64, u32),
    pub(super) size: u64,
    /// Blocks it takes.
    pub(super) blocks: u64,
    pub(super) form: Form,
    /// Extents of its data.
    pub(super) extents: u64,
    pub(super) data: Vec<u8>,
    /// Bytes of the data fork when there is another behind it.
    pub(super) fork: Option<u64>,
    pub(super) attribute_form: Form,
    pub(super) attribute_extents: u64,
    pub(super) attributes: Vec<u8>,
    pub(super) flags: u64,
}

impl Inode {
    /// An empty file of root's.
    pub(super) fn own(mode: u64, epoch: i64) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            links: 1,
            mtime: (epoch, 0),
            size: 0,
            blocks: 0,
            form: Form::Extents,
            extents: 0,
            data: Vec::new(),
            fork: None,
            attribute_form: Form::Extents,
            attribute_extents: 0,
            attributes: Vec::new(),
            flags: 0,
        }
    }

    /// Its bytes; `birth` is when it was made.
    pub(super) fn bytes(
        &self,
        ino: u64,
        birth: i64,
        uuid: uuid::Uuid,
        features: XfsFeatures,
    ) -> Vec<u8> {
        let big = features.has(XfsFeature::Bigtime);
        let many = features.has(XfsFeature::Nrext64);
        let mut i = core(ino, uuid);
        i.u16(2, self.mode);
        i.u8(5, self.form.number());
        i.u32(8, u64::from(self.uid));
        i.u32(12, u64::from(self.gid));
        i.u32(16, self.links);
        for at in [32, 40, 48] {
            time(&mut i, at, self.mtime, big); // access, modification, change
        }
        i.u64(56, self.size);
        i.u64(64, self.blocks);
        if many {
            i.u64(24, self.extents);
            i.u32(76, self.attribute_extents);
        } else {
            i.u32(76, self.extents);
            i.u16(80, self.attribute_extents);
        }
        i.u8(82, self.fork.unwrap_or(0) / 8);
        i.u8(83, self.attribute_form.number());
        i.u16(90, self.flags);
        i.u64(104, 1); // changes
        let second = if big { BIGTIME } else { 0 } | if many { NREXT64 } else { 0 };
        i.u64(120, second);
        time(&mut i, 144, (birth, 0), big);
        let data = super::super::sink::len_of(CORE);
        i.bytes(data, &self.data);
        if let Some(fork) = self.fork {
            i.bytes(data + super::super::sink::len_of(fork), &self.attributes);
        }
        sealed(i, 100)
    }
}

/// An inode that nothing uses.
pub(super) fn unused(ino: u64, uuid: uuid::Uuid) -> Vec<u8> {
    sealed(core(ino, uuid), 100)
}

fn core(ino: u64, uuid: uuid::Uuid) -> Fields {
    let mut i = Fields::new(INODE);
    i.bytes(0, b"IN");
    i.u8(4, 3); // version
    i.u32(96, u64::from(u32::MAX)); // not unlinked
    i.u64(152, ino);
    i.bytes(160, uuid.as_bytes());
    i
}

fn time(i: &mut Fields, at: usize, (seconds, nanoseconds): (i64, u32), big: bool) {
    if big {
        let since = i128::from(seconds) + i128::from(BEFORE);
        let all = since * 1_000_000_000 + i128::from(nanoseconds);
        i.u64(at, u64::try_from(all).unwrap_or(0));
        return;
    }
    i.u32(at, u64::from_le_bytes(seconds.to_le_bytes()));
    i.u32(at + 4, u64::from(nanoseconds));
}

/// Whether an inode can say that time, with `bigtime` if it is `big`.
pub(super) fn can_say(seconds: i64, nanoseconds: u32, big: bool) -> bool {
    let last = if big { LAST_BIG } else { i64::from(i32::MAX) };
    (-BEFORE..=last).contains(&seconds) && nanoseconds < 1_000_000_000
}
