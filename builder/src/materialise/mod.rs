//! From a tree to outputs.

pub mod aside;
pub mod beside;
pub mod jobs;
pub mod loop_disk;
pub mod outputs;
