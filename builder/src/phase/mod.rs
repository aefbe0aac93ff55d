//! Phases, steps, keys and the step runner.
//!
//! A step is a pure function of its key: the parent's result, hooks, variables, sandbox.
//! Its result is every tree it may write. A phase is one step; so are the base, the tools
//! container and the size of the disk.

mod boot_code;
pub mod breaks;
pub mod build;
pub mod cache;
pub mod chain;
mod declared;
pub mod failed;
mod hook_failure;
pub mod jobs;
pub mod key;
mod loop_step;
mod making;
pub mod outlook;
pub mod output_tail;
mod output_view;
pub mod paths;
pub mod prepare;
pub mod run;
pub mod sandbox;
mod scratch;
pub mod session;
mod shared_caches;
pub mod state;
pub mod table;
mod volatile;
