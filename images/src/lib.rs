//! Keeps bytes by digest and lays bytes out on a disk.
//!
//! Invariant: nothing here starts a process, reads the environment or prints.

pub mod compare;
pub mod contract;
pub mod digest;
pub mod disk;
pub mod exchange;
pub mod fetch;
pub mod import;
pub mod layer;
pub mod oci;
pub mod openpgp;
pub mod read;
pub mod registry;
mod retry;
pub mod store;
pub mod sums;
pub mod tree;
mod xz;
