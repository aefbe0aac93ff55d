//! Elements, phases, plans and the command line of goldsmith.

pub mod base;
pub mod block_device;
pub mod cli;
pub mod compat;
pub mod disk_image;
pub mod element;
pub mod error;
pub mod guest;
pub mod hook;
pub mod image_type;
pub mod kernel;
pub mod lock;
pub mod machine;
pub mod materialise;
pub mod phase;
pub mod registry;
pub mod report;
pub mod request;
pub mod verify;
