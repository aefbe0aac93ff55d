//! From a tree to outputs.

pub mod jobs;
pub mod outputs;
