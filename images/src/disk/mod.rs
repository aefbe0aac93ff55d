//! Lays a [`Tree`](crate::tree) out as the bytes of a disk: partition table,
//! file systems, boot code, into a raw file or a qcow2 stream.
//!
//! Nothing here mounts, needs a privilege, reads a clock or draws a random
//! number: the same layout and tree give the same bytes.
//!
//! ```text
//! layout   what is where; plain data            (arithmetic)
//! view     the tree, divided by mount points
//! table    GPT, MBR          boot   GRUB for BIOS
//! lvm      volume groups on partitions, and volumes as disks of their own
//! ext4   xfs   btrfs   fat   erofs   swap     one writer for each format; alloc, fields, sweep   what they share
//! made     what programs made, copied to its place
//! sink     raw file, qcow2 and other formats: every byte once, any order
//! ```

mod alloc;
mod boot;
mod btrfs;
mod erofs;
mod ext4;
mod fat;
mod fields;
pub mod layout;
mod lvm;
mod made;
mod patch;
pub mod sink;
pub mod size;
mod swap;
mod sweep;
mod table;
mod view;
mod write;
mod xfs;

pub use boot::{BiosBoot, BootError, BootFiles};
pub use btrfs::BtrfsError;
pub use erofs::ErofsError;
pub use ext4::Ext4Error;
pub use fat::FatError;
pub(crate) use lvm::checksum as lvm_checksum;
pub use lvm::shown_id;
pub use made::{Made, MadeError, part};
pub use patch::{boot_code, frame, volume, volumes};
pub use swap::SwapError;
pub use table::TableError;
pub use view::SplitError;
pub use write::{
    FilesystemReport, FilesystemUse, WriteError, WriteReport, write, write_empty, write_with,
};
pub use xfs::XfsError;

#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
pub(crate) mod tests;
