//! Ends running sandboxes from another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Signal, pidfd_send_signal};

/// Kills whatever sandbox runs under it; stays cancelled.
///
/// Clones share one state. Safe to use from a signal-handling thread.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    running: Mutex<Vec<Arc<OwnedFd>>>,
}

impl Cancel {
    /// Kills the whole tree of every running sandbox; later ones do not start.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        let Ok(running) = self.inner.running.lock() else { return };
        for pidfd in running.iter() {
            kill(pidfd);
        }
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Registers a child for as long as the guard lives.
    pub(crate) fn watch(&self, pidfd: OwnedFd) -> Watched<'_> {
        let pidfd = Arc::new(pidfd);
        if let Ok(mut running) = self.inner.running.lock() {
            running.push(Arc::clone(&pidfd));
        }
        if self.is_cancelled() {
            kill(&pidfd);
        }
        Watched { cancel: self, pidfd }
    }
}

fn kill(pidfd: &OwnedFd) {
    if let Err(error) = pidfd_send_signal(pidfd.as_fd(), Signal::KILL) {
        tracing::debug!(%error, "the sandbox is already gone");
    }
}

/// A registered child.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    cancel: &'a Cancel,
    pidfd: Arc<OwnedFd>,
}

impl Watched<'_> {
    pub(crate) fn kill(&self) {
        kill(&self.pidfd);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let Ok(mut running) = self.cancel.inner.running.lock() {
            running.retain(|other| !Arc::ptr_eq(other, &self.pidfd));
        }
    }
}
