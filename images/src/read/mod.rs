//! Reads disk images without mounting them.
//!
//! ```text
//! container   what a file is, by its first bytes
//! medium      the bytes of a disk, whatever holds them      (raw, qcow2)
//! partition   where file systems may lie                    (GPT, MBR, none)
//! lvm         the logical volumes on partitions
//! format      which file system lies there, by its magic
//! volume      a file system that can be read                (ext4, xfs, btrfs, fat, squashfs, erofs)
//! system      which of them is mounted where, as a `Tree`
//! ```
//!
//! Everything here reads bytes that strangers wrote: offsets are checked against the disk,
//! what refers to itself is counted, and no file system may hold more data than its disk.

mod btrfs;
pub mod container;
mod crc32c;
mod erofs;
mod ext4;
mod fat;
mod fields;
mod format;
mod lvm;
mod medium;
mod partition;
mod qcow2;
mod squashfs;
mod system;
mod volume;
mod xfs;

use std::sync::Arc;

pub use format::{Format, Magic};
pub use lvm::{LogicalVolume, volumes};
pub use medium::{Medium, Part, RawFile};
pub use partition::{Partition, PartitionError, Role, Slot, partitions};
pub use qcow2::{Qcow2, Qcow2Error};
pub use system::{Found, System, SystemError};
pub use volume::{
    Content, ContentReader, From, Name, Node, NodeKind, Piece, Volume, VolumeError, Xattrs,
};

/// Opens the file system in `part`, whose format is `format`.
///
/// # Errors
///
/// When the format is not one that is read here, or its first blocks are damaged.
pub fn open_volume(part: Arc<dyn Medium>, format: Format) -> Result<Arc<dyn Volume>, VolumeError> {
    match format {
        Format::Ext => Ok(Arc::new(ext4::Ext::open(part)?)),
        Format::Btrfs => Ok(Arc::new(btrfs::Btrfs::open(part)?)),
        Format::Xfs => Ok(Arc::new(xfs::Xfs::open(part)?)),
        Format::Squashfs => Ok(Arc::new(squashfs::Squashfs::open(part)?)),
        Format::Fat => Ok(Arc::new(fat::Fat::open(part)?)),
        Format::Erofs => Ok(Arc::new(erofs::Erofs::open(part)?)),
        other => Err(VolumeError::Unsupported { what: other.to_string() }),
    }
}

#[cfg(test)]
mod tests;
