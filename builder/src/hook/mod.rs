//! Hook trees: collection, order, environment.

mod collect;
pub mod environment;
pub mod host_commands;
pub mod host_files;
mod order;

pub use collect::{HookTree, collect};
pub use order::in_order;
