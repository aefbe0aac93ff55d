//! Where on a disk file systems may lie.

mod gpt;
mod mbr;

use std::io;
use std::sync::Arc;

use super::format::{Format, Magic};
use super::medium::{Medium, Part};

/// Why a partition table is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// The disk cannot be read.
    #[error("the disk cannot be read")]
    Read(#[from] io::Error),
    /// Both copies of the GPT are damaged.
    #[error("the partition table (GPT) is damaged: {reason}")]
    Gpt {
        /// What is wrong with the first copy.
        reason: &'static str,
    },
    /// The chain of logical partitions does not end.
    #[error("the chain of logical partitions (MBR) is damaged")]
    Chain,
}

/// What a table says that a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The EFI system partition.
    Efi,
    /// /boot, as the Boot Loader Specification marks it.
    Boot,
    /// The root file system, as the Discoverable Partitions Specification marks it.
    Root,
    /// Nothing that counts here.
    Other,
}

/// What a file system lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// The disk has no table: the whole of it.
    Whole,
    /// The partition of that number.
    Number(u32),
    /// A logical volume.
    Volume {
        /// The volume group's name.
        group: Arc<str>,
        /// Its own.
        volume: Arc<str>,
    },
}

impl Slot {
    /// Whether `device` is the path of the logical volume, in one of the two forms that LVM
    /// makes: `/dev/GROUP/VOLUME`, and below `/dev/mapper` with hyphens within names doubled.
    pub(super) fn is_device(&self, device: &str) -> bool {
        let Self::Volume { group, volume } = self else { return false };
        let doubled = |name: &str| name.replace('-', "--");
        match device.strip_prefix("/dev/mapper/") {
            Some(name) => name == format!("{}-{}", doubled(group), doubled(volume)),
            None => device == format!("/dev/{group}/{volume}"),
        }
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("the whole disk"),
            Self::Number(number) => write!(f, "partition {number}"),
            Self::Volume { group, volume } => write!(f, "logical volume {group}/{volume}"),
        }
    }
}

/// A range of the disk.
#[derive(Debug)]
pub struct Partition {
    /// Where it comes from.
    pub slot: Slot,
    /// What the table says it is for.
    pub role: Role,
    /// Its identifier in the table, as fstab's PARTUUID spells it; empty without a table.
    pub id: String,
    /// Its bytes.
    pub part: Arc<Part>,
}

/// A row of a table: number, role, identifier, first byte, length in bytes.
struct Row {
    number: u32,
    role: Role,
    id: String,
    start: u64,
    size: u64,
}

/// Finds the partitions of a disk; without a table the whole disk is one.
///
/// # Errors
///
/// When the disk cannot be read, or has a table that makes no sense.
pub fn partitions(disk: &Arc<dyn Medium>) -> Result<Vec<Partition>, PartitionError> {
    let whole = || Partition {
        slot: Slot::Whole,
        role: Role::Other,
        id: String::new(),
        part: Arc::new(Part::new(Arc::clone(disk), 0, disk.size())),
    };
    let rows = match gpt::rows(disk.as_ref())? {
        Some(rows) => rows,
        // A FAT begins with a boot sector that ends as an MBR does.
        None if Magic::find(disk.as_ref())?.is_some_and(|found| found.format == Format::Fat) => {
            return Ok(vec![whole()]);
        }
        None => mbr::rows(disk.as_ref())?,
    };
    if rows.is_empty() {
        return Ok(vec![whole()]);
    }
    let rows = rows.into_iter().filter(|row| row.start < disk.size() && row.size > 0);
    Ok(rows
        .map(|row| Partition {
            slot: Slot::Number(row.number),
            role: row.role,
            id: row.id,
            part: Arc::new(Part::new(Arc::clone(disk), row.start, row.size)),
        })
        .collect())
}
