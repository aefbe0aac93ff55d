//! Volume groups of LVM: physical volumes, and logical volumes made of their extents.

use serde::{Deserialize, Serialize};

use super::filesystem::On;
use super::{DiskLayout, Extent};

/// Where the extents of a physical volume begin: label and metadata lie before.
pub const PHYSICAL_START: u64 = 1 << 20;

/// A volume group; all of its physical volumes are on the one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeGroup {
    /// Its name, as LVM allows names.
    pub name: String,
    /// Its identifier: 32 letters and digits, see [`derived_volume_id`](super::derived_volume_id).
    pub id: String,
    /// Bytes of an extent.
    pub extent_bytes: u64,
    /// What it is made of.
    pub physical: Vec<PhysicalVolume>,
    /// What it is divided into.
    pub logical: Vec<LogicalVolume>,
}

/// A partition, or a whole disk, that a volume group is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhysicalVolume {
    /// Its name in the configuration, for messages; nothing on the disk has it.
    pub name: String,
    /// Its place.
    pub on: On,
    /// Its identifier, of the same form as the group's.
    pub id: String,
    /// Extents that it has.
    pub extents: u64,
}

/// A logical volume: runs of extents, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicalVolume {
    /// Its name.
    pub name: String,
    /// Its identifier, of the same form as the group's.
    pub id: String,
    /// Its runs, in order.
    pub segments: Vec<Segment>,
}

/// A run of extents of one physical volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Index of the physical volume in its group.
    pub physical: usize,
    /// First extent.
    pub first: u64,
    /// Number of extents.
    pub extents: u64,
}

impl VolumeGroup {
    /// The device-mapper name of a logical volume, below `/dev/mapper`: a hyphen within a name
    /// is written twice.
    pub fn mapped_name(&self, volume: &LogicalVolume) -> String {
        format!("{}-{}", self.name.replace('-', "--"), volume.name.replace('-', "--"))
    }
}

impl LogicalVolume {
    /// Extents that it has.
    pub fn extents(&self) -> u64 {
        self.segments.iter().map(|segment| segment.extents).sum()
    }
}

impl DiskLayout {
    /// The bytes of a place that is one run: the disk or a partition.
    pub fn place(&self, on: On) -> Option<Extent> {
        match on {
            On::Whole => Some(Extent { offset: 0, len: self.size_bytes }),
            On::Partition(number) => self.partition(number).map(|p| self.partition_extent(p)),
            On::Volume { .. } => None,
        }
    }

    /// The bytes of a logical volume, run by run; nothing when there is none of these indices,
    /// or it names extents that do not exist.
    pub fn volume_extents(&self, group: usize, volume: usize) -> Option<Vec<Extent>> {
        let group = self.groups.get(group)?;
        let run = |segment: &Segment| {
            let physical = group.physical.get(segment.physical)?;
            let place = self.place(physical.on)?;
            let offset = segment.first.checked_mul(group.extent_bytes)?;
            let len = segment.extents.checked_mul(group.extent_bytes)?;
            let offset = PHYSICAL_START.checked_add(offset)?;
            (offset.checked_add(len)? <= place.len)
                .then_some(Extent { offset: place.offset + offset, len })
        };
        group.logical.get(volume)?.segments.iter().map(run).collect()
    }
}
