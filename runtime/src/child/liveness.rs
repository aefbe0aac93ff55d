//! Tells the container's first process whether the helper that made it still lives.
//!
//! The death signal only works for a parent that dies later. A helper that was killed while
//! the container was being set up would leave its first process waiting for a start that
//! nobody gives; a pipe whose other end only the helper holds shows it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

/// Both ends of the pipe; the helper keeps the value for as long as it serves.
#[derive(Debug, Clone)]
pub(super) struct Liveness {
    reader: Arc<OwnedFd>,
    writer: Arc<OwnedFd>,
}

impl Liveness {
    pub(super) fn new() -> Result<Self, String> {
        let (reader, writer) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("pipe: {error}"))?;
        Ok(Self { reader: Arc::new(reader), writer: Arc::new(writer) })
    }

    /// In the container's first process: dies with the helper from here on, and fails when
    /// the helper is dead already.
    pub(super) fn bind(&self) -> Result<(), String> {
        super::enter::die_with_parent()?;
        // This process's copy of the writing end; the helper's own stays open.
        nix::unistd::close(self.writer.as_raw_fd()).map_err(|error| format!("close: {error}"))?;
        let mut watched = [PollFd::from_borrowed_fd(self.reader.as_fd(), PollFlags::IN)];
        poll(&mut watched, Some(&Timespec::default())).map_err(|error| format!("poll: {error}"))?;
        if watched[0].revents().contains(PollFlags::HUP) {
            return Err("the helper is gone".to_owned());
        }
        Ok(())
    }
}
