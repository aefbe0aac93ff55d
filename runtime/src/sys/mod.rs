//! System calls that no crate wraps: the only unsafe code of the workspace.

pub(crate) mod block_device;
pub(crate) mod interface;
pub(crate) mod mount_setattr;
pub(crate) mod process;
