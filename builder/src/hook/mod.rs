//! Hook trees: collection, order, environment.

mod collect;
pub mod environment;
mod order;

pub use collect::{HookTree, collect};
pub use order::in_order;
