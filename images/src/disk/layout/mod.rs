//! What is where on a disk: sizes, partitions, file systems. Arithmetic only.
//!
//! A layout is complete: every identifier that ends up on the disk is in it,
//! so writing it twice gives the same bytes, and it can be stored, compared and
//! hashed as a cache key.

mod check;
mod check_volumes;
mod ext4_features;
mod filesystem;
mod gpt_codes;
mod ids;
mod percent;
mod table;
mod volume;
mod xfs_options;

use serde::{Deserialize, Serialize};

pub use check::LayoutError;
pub use ext4_features::Ext4Features;
pub use filesystem::{Ext4Errors, Ext4Options, ExtKind, Filesystem, FsKind, On, VfatOptions};
pub use ids::{derived_u32, derived_uuid, derived_volume_id};
pub use percent::Percent;
pub use table::{Partition, PartitionKind, Table, mbr_type, type_guid};
pub use volume::{LogicalVolume, PHYSICAL_START, PhysicalVolume, Segment, VolumeGroup};
pub use xfs_options::{XfsFeature, XfsFeatures, XfsOptions};

/// One MiB, the alignment of everything this project places.
pub const MIB: u64 = 1 << 20;

/// A whole disk, or a bare file system when `table` is [`Table::None`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLayout {
    /// Length of the disk in bytes, a multiple of the sector size.
    pub size_bytes: u64,
    /// Logical sector size: 512 or 4096.
    pub sector_size: u32,
    /// Unix time that file systems record as the time they were made.
    pub epoch: i64,
    /// The partition table.
    pub table: Table,
    /// Partitions in order of creation.
    pub partitions: Vec<Partition>,
    /// Volume groups on partitions, or on the disk itself.
    #[serde(default)]
    pub groups: Vec<VolumeGroup>,
    /// File systems and swap areas, at most one on each partition or logical volume.
    pub filesystems: Vec<Filesystem>,
    /// Mount points of file systems on other disks: what the tree holds below them is not
    /// written here.
    #[serde(default)]
    pub elsewhere: Vec<String>,
}

/// A run of bytes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

impl Extent {
    /// The byte after the last one.
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

impl DiskLayout {
    /// A disk without a table that is one file system.
    pub fn bare(size_bytes: u64, epoch: i64, filesystem: Filesystem) -> Self {
        Self {
            size_bytes,
            sector_size: 512,
            epoch,
            table: Table::None,
            partitions: Vec::new(),
            groups: Vec::new(),
            filesystems: vec![Filesystem { on: On::Whole, ..filesystem }],
            elsewhere: Vec::new(),
        }
    }

    /// The partition with this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.number == number)
    }

    /// The bytes of a partition.
    pub fn partition_extent(&self, partition: &Partition) -> Extent {
        let sector = u64::from(self.sector_size);
        Extent { offset: partition.start_lba * sector, len: partition.sectors * sector }
    }

    /// The bytes a file system occupies, run by run: one run but on a logical volume. Nothing
    /// when its partition or volume does not exist.
    pub fn extents(&self, filesystem: &Filesystem) -> Option<Vec<Extent>> {
        match filesystem.on {
            On::Volume { group, volume } => self.volume_extents(group, volume),
            on => self.place(on).map(|extent| vec![extent]),
        }
    }

    /// The file system mounted at `mount_point`.
    pub fn mounted_at(&self, mount_point: &str) -> Option<&Filesystem> {
        self.filesystems.iter().find(|f| f.mount_point.as_deref() == Some(mount_point))
    }

    /// Where a BIOS core image may go: the BIOS boot partition of a GPT, or the
    /// gap between an MBR and its first partition.
    pub fn bios_area(&self) -> Option<Extent> {
        let sector = u64::from(self.sector_size);
        match self.table {
            Table::None => None,
            Table::Gpt { .. } => self
                .partitions
                .iter()
                .find(|p| matches!(p.kind, PartitionKind::Gpt { type_guid, .. } if type_guid == type_guid::BIOS_BOOT))
                .map(|p| self.partition_extent(p)),
            Table::Mbr { .. } => {
                let first = self
                    .partitions
                    .iter()
                    .map(|p| p.ebr_lba().unwrap_or(p.start_lba))
                    .min()
                    .unwrap_or(self.size_bytes / sector);
                (first > 1).then(|| Extent { offset: sector, len: (first - 1) * sector })
            }
        }
    }
}

#[cfg(test)]
mod tests;
