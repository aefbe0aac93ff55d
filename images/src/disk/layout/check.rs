//! Refuses layouts that cannot be written.

use std::collections::BTreeSet;

use super::{DiskLayout, Filesystem, FsKind, On, Partition, PartitionKind, Table};
use crate::disk::{ext4, fat, swap, xfs};

/// Sectors of a GPT's partition array at the least: 16 KiB.
const GPT_ARRAY_BYTES: u64 = 16384;

/// The smallest btrfs that mkfs.btrfs(8) makes.
const LEAST_BTRFS: u64 = 109 << 20;

/// Why a layout cannot be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// Only two sector sizes exist; an MBR knows one.
    #[error("sector size {sector_size} is not possible with this partition table")]
    SectorSize {
        /// The size asked for.
        sector_size: u32,
    },
    /// The disk is not a whole number of sectors.
    #[error("disk size {size_bytes} is not a multiple of the sector size {sector_size}")]
    DiskSize {
        /// Bytes of the disk.
        size_bytes: u64,
        /// Bytes of a sector.
        sector_size: u32,
    },
    /// A partition begins or ends where the table does not let it.
    #[error(
        "partition {name} (sectors {first} to {last}) lies outside the usable sectors {usable_first} to {usable_last}"
    )]
    Outside {
        /// The partition.
        name: String,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
        /// First sector a partition may use.
        usable_first: u64,
        /// Last sector a partition may use.
        usable_last: u64,
    },
    /// Two partitions share sectors.
    #[error("partitions {a} and {b} overlap")]
    Overlap {
        /// One.
        a: String,
        /// The other.
        b: String,
    },
    /// An MBR counts 2^32 sectors.
    #[error("partition {name} ends beyond the 2^32 sectors that an MBR can count")]
    BeyondMbr {
        /// The partition.
        name: String,
    },
    /// A partition's number is taken, or impossible in its table.
    #[error("partition {name} cannot have the number {number}")]
    Number {
        /// The partition.
        name: String,
        /// Its number.
        number: u32,
    },
    /// The partition's kind is not that of the table.
    #[error("partition {name} is not of the table's kind")]
    WrongKind {
        /// The partition.
        name: String,
    },
    /// A GPT name has room for 36 UTF-16 units.
    #[error("partition name {name} is longer than 36 characters")]
    NameTooLong {
        /// The name.
        name: String,
    },
    /// The file system lies on something that does not exist or is taken.
    #[error("file system {name} has no partition of its own")]
    NoPlace {
        /// The file system.
        name: String,
    },
    /// The place is too small for any file system of that format.
    #[error("file system {name} has {len} bytes; {format} needs {} MiB at the least", .least >> 20)]
    TooSmall {
        /// The file system.
        name: String,
        /// Bytes of its place.
        len: u64,
        /// The format.
        format: &'static str,
        /// Bytes that it needs.
        least: u64,
    },
    /// No file system with these options can be there.
    #[error("file system {name}: {reason}")]
    Impossible {
        /// The file system.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The label does not fit the format.
    #[error("label {label} of file system {name} is longer than {max} bytes")]
    LabelTooLong {
        /// The file system.
        name: String,
        /// Its label.
        label: String,
        /// Bytes there is room for.
        max: usize,
    },
    /// A volume group cannot be as the layout has it.
    #[error("volume group {group}: {reason}")]
    Volumes {
        /// Its name.
        group: String,
        /// What is wrong.
        reason: String,
    },
    /// A mount point is relative, not normal, or used twice.
    #[error("mount point {mount_point} of file system {name} is not absolute, not normal or taken")]
    MountPoint {
        /// The file system.
        name: String,
        /// Its mount point.
        mount_point: String,
    },
}

impl DiskLayout {
    /// Checks that the layout can be written.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn validate(&self) -> Result<(), LayoutError> {
        self.check_disk()?;
        self.check_partitions()?;
        let taken = super::check_volumes::check(self)?;
        self.check_filesystems(taken)
    }

    /// First and last sector that partitions may use.
    pub fn usable_sectors(&self) -> (u64, u64) {
        let sector = u64::from(self.sector_size.max(1));
        let total = self.size_bytes / sector;
        match self.table {
            Table::None => (0, total.saturating_sub(1)),
            Table::Mbr { .. } => (1, total.saturating_sub(1)),
            Table::Gpt { .. } => {
                let array = GPT_ARRAY_BYTES.div_ceil(sector);
                (2 + array, total.saturating_sub(2 + array))
            }
        }
    }

    fn check_disk(&self) -> Result<(), LayoutError> {
        let possible: &[u32] =
            if matches!(self.table, Table::Mbr { .. }) { &[512] } else { &[512, 4096] };
        if !possible.contains(&self.sector_size) {
            return Err(LayoutError::SectorSize { sector_size: self.sector_size });
        }
        if self.size_bytes == 0 || !self.size_bytes.is_multiple_of(u64::from(self.sector_size)) {
            return Err(LayoutError::DiskSize {
                size_bytes: self.size_bytes,
                sector_size: self.sector_size,
            });
        }
        Ok(())
    }

    fn check_partitions(&self) -> Result<(), LayoutError> {
        let (usable_first, usable_last) = self.usable_sectors();
        let mut numbers = BTreeSet::new();
        for p in &self.partitions {
            self.check_kind(p)?;
            if !numbers.insert(p.number) {
                return Err(LayoutError::Number { name: p.name.clone(), number: p.number });
            }
            let first = p.ebr_lba().unwrap_or(p.start_lba);
            let last = p.start_lba.saturating_add(p.sectors).saturating_sub(1);
            if matches!(self.table, Table::Mbr { .. }) && last >= u64::from(u32::MAX) {
                return Err(LayoutError::BeyondMbr { name: p.name.clone() });
            }
            if p.sectors == 0 || first > p.start_lba || first < usable_first || last > usable_last {
                return Err(LayoutError::Outside {
                    name: p.name.clone(),
                    first,
                    last,
                    usable_first,
                    usable_last,
                });
            }
        }
        let mut sorted: Vec<&Partition> = self.partitions.iter().collect();
        sorted.sort_by_key(|p| p.start_lba);
        for pair in sorted.windows(2) {
            if let [a, b] = pair
                && b.ebr_lba().unwrap_or(b.start_lba) < a.end_lba()
            {
                return Err(LayoutError::Overlap { a: a.name.clone(), b: b.name.clone() });
            }
        }
        Ok(())
    }

    fn check_kind(&self, p: &Partition) -> Result<(), LayoutError> {
        let number = |ok: bool| {
            let error = || LayoutError::Number { name: p.name.clone(), number: p.number };
            if ok { Ok(()) } else { Err(error()) }
        };
        match (self.table, p.kind) {
            (Table::Gpt { .. }, PartitionKind::Gpt { .. }) => {
                if p.name.encode_utf16().count() > 36 {
                    return Err(LayoutError::NameTooLong { name: p.name.clone() });
                }
                number((1..=128).contains(&p.number))
            }
            (Table::Mbr { .. }, PartitionKind::Mbr { ebr_lba: Some(ebr), .. }) => {
                number(p.number >= 5 && ebr < p.start_lba)
            }
            (Table::Mbr { .. }, PartitionKind::Mbr { ebr_lba: None, .. }) => {
                number((1..=4).contains(&p.number))
            }
            _ => Err(LayoutError::WrongKind { name: p.name.clone() }),
        }
    }

    /// Whether something may lie at a place.
    pub(super) fn has_place(&self, on: On) -> bool {
        match on {
            On::Whole => self.table == Table::None,
            On::Partition(number) => self.partition(number).is_some(),
            On::Volume { group, volume } => self.volume_extents(group, volume).is_some(),
        }
    }

    /// `places` are taken already.
    fn check_filesystems(&self, mut places: BTreeSet<On>) -> Result<(), LayoutError> {
        let mut mount_points: BTreeSet<&String> = self.elsewhere.iter().collect();
        for fs in &self.filesystems {
            if !self.has_place(fs.on) || !places.insert(fs.on) {
                return Err(LayoutError::NoPlace { name: fs.name.clone() });
            }
            let max = match fs.kind {
                FsKind::Vfat(_) => 11,
                FsKind::Xfs(_) => 12,
                FsKind::Ext4(_) | FsKind::Swap => 16,
                FsKind::Btrfs => 255,
                FsKind::Erofs => 15,
                // It has none.
                FsKind::Squashfs => 0,
            };
            if fs.label.len() > max {
                let (name, label) = (fs.name.clone(), fs.label.clone());
                return Err(LayoutError::LabelTooLong { name, label, max });
            }
            self.check_format(fs)?;
            if let Some(mount_point) = &fs.mount_point
                && (!is_normal(mount_point) || !mount_points.insert(mount_point))
            {
                return Err(LayoutError::MountPoint {
                    name: fs.name.clone(),
                    mount_point: mount_point.clone(),
                });
            }
        }
        Ok(())
    }
}

impl DiskLayout {
    /// Refuses what the format cannot be there, whatever its files.
    fn check_format(&self, fs: &Filesystem) -> Result<(), LayoutError> {
        let name = || fs.name.clone();
        let impossible = |reason: String| LayoutError::Impossible { name: name(), reason };
        let len = self.extents(fs).unwrap_or_default().iter().map(|extent| extent.len).sum();
        match &fs.kind {
            FsKind::Xfs(_) if len < xfs::LEAST => {
                let least = xfs::LEAST;
                Err(LayoutError::TooSmall { name: name(), len, format: "xfs", least })
            }
            FsKind::Xfs(options) => {
                let sector = u64::from(self.sector_size);
                xfs::check(len, sector, options).map_err(|error| impossible(error.to_string()))
            }
            FsKind::Ext4(options) if options.block_size < self.sector_size => {
                let (block, sector) = (options.block_size, self.sector_size);
                let what = format!("ext4 with blocks of {block} bytes on sectors of {sector}");
                Err(impossible(format!("{what}: no kernel mounts it")))
            }
            FsKind::Ext4(options) => {
                ext4::check(len, options).map_err(|error| impossible(error.to_string()))
            }
            FsKind::Vfat(options) => fat::check(len, self.sector_size, &fs.label, options)
                .map_err(|error| impossible(error.to_string())),
            FsKind::Swap => {
                swap::last_page(len).map(drop).map_err(|error| impossible(error.to_string()))
            }
            FsKind::Btrfs if len < LEAST_BTRFS => {
                let least = LEAST_BTRFS;
                Err(LayoutError::TooSmall { name: name(), len, format: "btrfs", least })
            }
            FsKind::Btrfs | FsKind::Erofs | FsKind::Squashfs => Ok(()),
        }
    }
}

impl LayoutError {
    /// The partition that is wrong, the later one of two, if it is one.
    pub fn partition(&self) -> Option<&str> {
        match self {
            Self::Outside { name, .. }
            | Self::Overlap { b: name, .. }
            | Self::Number { name, .. }
            | Self::WrongKind { name }
            | Self::NameTooLong { name }
            | Self::BeyondMbr { name } => Some(name),
            _ => None,
        }
    }

    /// The volume group that is wrong, if it is one.
    pub fn group(&self) -> Option<&str> {
        if let Self::Volumes { group, .. } = self { Some(group) } else { None }
    }

    /// The file system that is wrong, if it is one.
    pub fn filesystem(&self) -> Option<&str> {
        match self {
            Self::NoPlace { name }
            | Self::TooSmall { name, .. }
            | Self::Impossible { name, .. }
            | Self::LabelTooLong { name, .. }
            | Self::MountPoint { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// Whether a path is absolute, without empty, `.` or `..` components.
fn is_normal(path: &str) -> bool {
    path == "/"
        || path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|c| !matches!(c, "" | "." | "..")))
}
