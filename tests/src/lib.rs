//! Shared pieces of the test tiers: where things are, running the program, hosts left as
//! they were.

mod authority;
mod docker_registry;
mod env;
mod host;
mod initramfs;
pub mod matrix;
mod namespace;
mod proxy;
pub mod server;
pub mod shipped;
mod tree;
mod user;
mod vm;
mod web;
mod web_server;

pub use authority::Authority;
pub use docker_registry::{DockerRegistry, Guard};
pub use env::{Ran, TestEnv, ran, require, succeeded};
pub use host::HostInvariant;
pub use initramfs::Initramfs;
pub use namespace::Namespace;
pub use proxy::Proxy;
pub use tree::{Known, Side, Tree, compare};
pub use user::UserEnv;
pub use vm::{MAC, Vm, free_port};
pub use web::Web;
pub use web_server::{Answer, Asked, WebServer};
