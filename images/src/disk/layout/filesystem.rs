//! File systems as a layout describes them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ext4Features, Percent, XfsOptions};

/// A file system or swap area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// Its name in the configuration, for messages (`mkfs_root`).
    pub name: String,
    /// Where it lies.
    pub on: On,
    /// Its format and the format's own options.
    pub kind: FsKind,
    /// Its label: ext4 and swap at most 16 bytes, xfs 12, FAT 11 (written upper-case).
    pub label: String,
    /// Its identifier; FAT keeps [`VfatOptions::volume_id`] instead.
    pub uuid: Uuid,
    /// Absolute path at which the guest mounts it; nothing for swap. What the tree holds below
    /// this path goes into this file system and not into its parent.
    pub mount_point: Option<String>,
}

/// What a file system lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// The whole disk; only without a partition table.
    Whole,
    /// The partition of that number.
    Partition(u32),
    /// A logical volume.
    Volume {
        /// Index of its group in the layout.
        group: usize,
        /// Its index in the group.
        volume: usize,
    },
}

/// The formats this crate writes without any tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FsKind {
    /// ext4, ext3 or ext2.
    Ext4(Ext4Options),
    /// xfs, version 5.
    Xfs(XfsOptions),
    /// FAT12, FAT16 or FAT32.
    Vfat(VfatOptions),
    /// A swap area.
    Swap,
    /// btrfs, on one device.
    Btrfs,
    /// EROFS, not compressed: read-only.
    Erofs,
    /// squashfs, which a program makes before the disk is written: read-only.
    Squashfs,
}

impl FsKind {
    /// The type's name in `/etc/fstab`.
    pub fn fstab_name(&self) -> &'static str {
        match self {
            Self::Ext4(options) => options.kind.name(),
            Self::Xfs(_) => "xfs",
            Self::Vfat(_) => "vfat",
            Self::Swap => "swap",
            Self::Btrfs => "btrfs",
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
        }
    }
}

/// Which of the three file systems of one family it is: what fstab says, and which features it
/// has if nobody says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtKind {
    /// Without a journal.
    Ext2,
    /// With a journal.
    Ext3,
    /// With extents and more.
    #[default]
    Ext4,
}

impl ExtKind {
    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Ext2, Self::Ext3, Self::Ext4].into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in `/etc/fstab`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
    fn is_ext4(&self) -> bool {
        *self == Self::Ext4
    }
}

/// What a kernel does when it finds an error in an ext4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ext4Errors {
    /// Goes on.
    #[default]
    Continue,
    /// Writes no more.
    RemountRo,
    /// Stops.
    Panic,
}

impl Ext4Errors {
    /// The one that mke2fs(8) calls so.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Continue, Self::RemountRo, Self::Panic].into_iter().find(|one| one.name() == name)
    }

    /// What mke2fs(8) calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::RemountRo => "remount-ro",
            Self::Panic => "panic",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
    fn is_usual(&self) -> bool {
        *self == Self::Continue
    }
}

/// How to make an ext4, ext3 or ext2. What is left out is as mke2fs(8) has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ext4Options {
    /// Which of them.
    #[serde(default, skip_serializing_if = "ExtKind::is_ext4")]
    pub kind: ExtKind,
    /// Bytes of a block: 1024, 2048 or 4096 (`-b`).
    pub block_size: u32,
    /// Bytes of an inode: a power of two from 128 to a block (`-I`). Times of files in
    /// inodes of 128 bytes end in 2038 and have whole seconds.
    pub inode_size: u32,
    /// Bytes of disk for each inode (`-i`).
    pub inode_ratio: u32,
    /// Number of inodes, whatever the ratio (`-N`); what is rounded up to full tables.
    pub inode_count: Option<u32>,
    /// Length of the journal in MiB (`-J size=`), or the size's default. The writer takes
    /// at most a quarter of the file system.
    pub journal_mib: Option<u32>,
    /// Blocks kept for root (`-m`).
    pub reserved_percent: Percent,
    /// What a kernel does when it finds an error (`-e`).
    #[serde(default, skip_serializing_if = "Ext4Errors::is_usual")]
    pub errors: Ext4Errors,
    /// Blocks that a disk of a RAID has before the next one's (`-E stride=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<u16>,
    /// Blocks that all disks of a RAID have before the first one's again (`-E stripe_width=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stripe_width: Option<u32>,
    /// Blocks that it can grow to without meta_bg (`-E resize=`), or 1024 times its size. The
    /// reserve in front of the first group holds 1024 blocks, which is 8 TiB; beyond it, and
    /// without it, the guest's kernel goes on with meta_bg.
    pub most_blocks: Option<u64>,
    /// Seed of the hashes of names in directories (`-E hash_seed=`), or the UUID.
    pub hash_seed: Option<Uuid>,
    /// What is on (`-O`).
    pub features: Ext4Features,
}

impl Default for Ext4Options {
    /// What diskimage-builder gives a root file system: `-i 4096 -J size=64`.
    fn default() -> Self {
        Self {
            kind: ExtKind::Ext4,
            block_size: 4096,
            inode_size: 256,
            inode_ratio: 4096,
            inode_count: None,
            journal_mib: Some(64),
            reserved_percent: Percent::whole(5),
            errors: Ext4Errors::default(),
            stride: None,
            stripe_width: None,
            most_blocks: None,
            hash_seed: None,
            features: Ext4Features::default(),
        }
    }
}

impl Ext4Options {
    /// The usual ones of a file system of that kind.
    pub fn of(kind: ExtKind) -> Self {
        Self { kind, features: Ext4Features::of(kind), ..Self::default() }
    }
}

/// How to make a FAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfatOptions {
    /// Serial number of the volume.
    pub volume_id: u32,
    /// 12, 16 or 32; by size when absent.
    pub fat_bits: Option<u8>,
}
