//! Shared pieces of the test tiers: where things are, running the program, hosts left as
//! they were.

mod docker_registry;
mod env;
mod host;
mod initramfs;
pub mod matrix;
mod namespace;
pub mod server;
pub mod shipped;
mod tree;
mod user;
mod vm;
mod web;

pub use docker_registry::DockerRegistry;
pub use env::{Ran, TestEnv, ran, require, succeeded};
pub use host::HostInvariant;
pub use initramfs::Initramfs;
pub use namespace::Namespace;
pub use tree::{Known, Side, Tree, compare};
pub use user::UserEnv;
pub use vm::{MAC, Vm, free_port};
pub use web::Web;
