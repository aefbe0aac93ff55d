//! What only host root can do: loop devices and real mounts, for the loop backend, and mounts whose
//! ids are mapped for sandboxes.
//!
//! Loop devices and file systems are used when they are asked for; the output directory is mapped
//! for every build of root's. All of it lives in a private mount namespace and
//! in devices that clear themselves, so that a killed builder leaves nothing behind.

mod disk;
mod mounts;

pub use disk::{LoopDisk, LoopNode};
pub use mounts::{HOLD_JOB, MappedView, MountedDisk, private_mounts};

/// Why a privileged step failed.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct PrivilegedError {
    /// What was being done.
    doing: String,
    /// The kernel's answer.
    source: std::io::Error,
}

impl PrivilegedError {
    fn new(doing: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }

    /// What kind of answer the kernel gave.
    pub fn kind(&self) -> std::io::ErrorKind {
        self.source.kind()
    }
}
