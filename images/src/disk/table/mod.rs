//! Partition tables as the few sectors they consist of.

mod gpt;
mod mbr;

use super::layout::{DiskLayout, Table};

/// Why a partition table cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The layout breaks a rule of GPT.
    #[error("the partition table cannot be made")]
    Gpt(#[source] gptman::Error),
    /// Four primary partitions leave no room for an extended one.
    #[error("logical partitions need one of the four primary places of the partition table")]
    NoPlaceForExtended,
}

/// Bytes with a place on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fragment {
    /// First byte.
    pub(super) offset: u64,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
}

/// The sectors of the layout's table, the first one first.
pub(super) fn fragments(layout: &DiskLayout) -> Result<Vec<Fragment>, TableError> {
    match layout.table {
        Table::None => Ok(Vec::new()),
        Table::Gpt { disk_guid } => gpt::fragments(layout, disk_guid),
        Table::Mbr { disk_id } => mbr::fragments(layout, disk_id),
    }
}

#[cfg(test)]
mod tests;
