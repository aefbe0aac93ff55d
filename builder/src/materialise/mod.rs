//! From a tree to outputs.

pub mod aside;
pub mod beside;
pub mod built;
pub mod complete;
pub mod formats;
pub mod jobs;
pub mod layout;
pub mod loop_disk;
pub mod oci;
pub mod outputs;
pub mod parts;
pub mod squashfs;
pub mod unvouched;
pub mod write;
