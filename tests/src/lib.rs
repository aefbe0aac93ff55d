//! Shared pieces of the test tiers: where things are, running the program, hosts left as
//! they were.

mod env;
mod host;
mod vm;

pub use env::{Ran, TestEnv, require};
pub use host::HostInvariant;
pub use vm::{Vm, free_port};
