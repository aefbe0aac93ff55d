//! What every step of one build shares.

use std::path::PathBuf;
use std::time::Duration;

use goldsmith_images::store::{Pending, SnapshotId, SnapshotMeta, Store};
use goldsmith_runtime::{Cancel, Identity, OverlayPlan};

use crate::error::{Failure, Kind, Result, says_no_space};
use crate::lock::Lock;
use crate::report::Reporter;

/// The store, the identity and the door to the terminal, for the length of one build.
#[derive(Debug)]
pub struct Session {
    /// Blobs, snapshots, step records.
    pub store: Store,
    /// How ids inside sandboxes map to the host's.
    pub identity: Identity,
    /// Where events go.
    pub reporter: Reporter,
    /// Ends the running sandbox on ctrl-C.
    pub cancel: Cancel,
    /// Ignore cached steps.
    pub refresh: bool,
    /// How long a networked step stays valid.
    pub max_age: Duration,
    /// The lock that the build makes or follows.
    pub lock: Option<Lock>,
    /// Whether nobody else sees what this process mounts.
    pub private_mounts: bool,
}

impl Session {
    /// What a failed program's last lines say of the cache's file system: programs in
    /// sandboxes write there.
    pub fn space_hint(&self, tail: &[String]) -> Option<String> {
        tail.iter().any(|line| says_no_space(line)).then(|| {
            let cache = self.store.root().display();
            format!("no space is left for the cache in {cache}; {}", CACHE_FULL.join(", "))
        })
    }

    /// Fails when the user asked to stop.
    ///
    /// # Errors
    ///
    /// [`Kind::Interrupted`].
    pub fn check_interrupted(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Failure::new(Kind::Interrupted, "interrupted"));
        }
        Ok(())
    }

    /// The directories of a stack, bottom first.
    ///
    /// # Errors
    ///
    /// When a snapshot is gone.
    pub fn directories(&self, stack: &[SnapshotId]) -> Result<Vec<PathBuf>> {
        stack
            .iter()
            .map(|id| self.store.snapshot_fs(id).map_err(|error| store_failure(&error)))
            .collect()
    }

    /// Makes room for what a step will write.
    ///
    /// # Errors
    ///
    /// When the store's file system refuses.
    pub fn pending(&self) -> Result<Pending> {
        self.store.pending().map_err(|error| store_failure(&error))
    }

    /// Keeps what a step wrote and puts it on top of `stack`; an empty result is dropped.
    ///
    /// # Errors
    ///
    /// When the store's file system refuses.
    pub fn push(&self, stack: &mut Vec<SnapshotId>, pending: Pending, name: &str) -> Result<()> {
        if is_empty(&pending.upper()) {
            return self.discard(pending);
        }
        let id = self.commit(pending, name, stack.clone(), false)?;
        stack.push(id);
        Ok(())
    }

    /// Keeps what a step wrote as a snapshot of its own.
    ///
    /// # Errors
    ///
    /// When the store's file system refuses.
    pub fn commit(
        &self,
        pending: Pending,
        name: &str,
        parents: Vec<SnapshotId>,
        full: bool,
    ) -> Result<SnapshotId> {
        let meta = SnapshotMeta::new(name, self.identity.fingerprint(), parents, full);
        self.store.commit(pending, meta).map_err(|error| store_failure(&error))
    }

    /// Removes what dead builders, and steps of this one that failed, left unfinished.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or the namespace job that removes it fails.
    pub fn sweep(&self) -> Result<()> {
        let dead = self.store.sweep().map_err(|error| store_failure(&error))?;
        super::jobs::remove(&self.identity, &dead)
    }

    /// Removes what a step wrote.
    ///
    /// # Errors
    ///
    /// When the namespace job that removes it fails.
    pub fn discard(&self, pending: Pending) -> Result<()> {
        let path = pending.path().to_path_buf();
        drop(pending);
        super::jobs::remove(&self.identity, &[path])
    }
}

/// Stacks `pending` on `lowers`.
pub fn overlay(lowers: Vec<PathBuf>, pending: &Pending) -> OverlayPlan {
    OverlayPlan { lowers, upper: pending.upper(), work: pending.work() }
}

fn is_empty(upper: &std::path::Path) -> bool {
    match fs_err::read_dir(upper) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// What to do about a full cache.
pub const CACHE_FULL: &[&str] = &[
    "free space there: `goldsmith store gc` removes what no recent build needs",
    "or set GOLDSMITH_CACHE to a directory with more space",
];

/// A store error as people see it.
pub fn store_failure(error: &goldsmith_images::store::StoreError) -> Failure {
    Failure::wrap(Kind::Host, "the cache", error)
        .hint("set GOLDSMITH_CACHE to a directory on a local file system with free space")
}
