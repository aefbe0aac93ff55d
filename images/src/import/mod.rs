//! Base images from foreign sources.

pub mod debian;
pub mod publisher;
