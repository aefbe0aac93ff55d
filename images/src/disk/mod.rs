//! Lays a [`Tree`](crate::tree) out as the bytes of a disk: partition table,
//! file systems, boot code, into a raw file or a qcow2 stream.
//!
//! Nothing here mounts, needs a privilege, reads a clock or draws a random
//! number: the same layout and tree give the same bytes.

mod boot;
pub mod layout;
pub mod sink;
mod table;

pub use boot::{BiosBoot, BootError, BootFiles};
pub use table::TableError;

#[cfg(test)]
pub(crate) mod test_support;
