//! What every step of one build shares.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use goldsmith_images::store::{Pending, SnapshotId, SnapshotMeta, Store};
use goldsmith_runtime::{Cancel, Identity, OverlayPlan};
use serde::{Deserialize, Serialize};

use super::key::Key;
use super::state::State;
use crate::error::{Failure, Kind, Result, says_no_space};
use crate::report::{Event, Reporter};

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
}

/// A step's name and what its result depends on.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// For people: a phase, `base`, `tools`.
    pub name: String,
    /// Digest of all that the step can see.
    pub key: Key,
    /// Whether it could reach the network, so that its result grows old.
    pub networked: bool,
}

/// What the store keeps of a step.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Seconds since the epoch; garbage collection reads it.
    created: u64,
    /// Snapshots that the record keeps alive.
    snapshots: Vec<SnapshotId>,
    name: String,
    seconds: f64,
    state: State,
    /// What the step found out, beside trees.
    #[serde(default)]
    data: serde_json::Value,
}

/// A step's result: the trees after it and whatever else it found out.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// The trees.
    pub state: State,
    /// For instance sizes or digests.
    pub data: serde_json::Value,
}

impl Session {
    /// Returns the cached result of `recipe`, or runs `work` and caches what it returns.
    ///
    /// Nothing becomes visible when `work` fails.
    ///
    /// # Errors
    ///
    /// Whatever `work` fails with, or the store.
    pub fn step(&self, recipe: &Recipe, work: impl FnOnce() -> Result<Done>) -> Result<Done> {
        if let Some(done) = self.cached(recipe)? {
            self.reporter.event(&Event::StepCached { step: recipe.name.clone() });
            return Ok(done);
        }
        self.fresh(recipe, || {
            let done = work()?;
            Ok((done.clone(), done))
        })
    }

    /// Runs `work` whatever the cache holds, and records what it returns.
    ///
    /// # Errors
    ///
    /// Whatever `work` fails with, or the store.
    pub fn fresh<T>(&self, recipe: &Recipe, work: impl FnOnce() -> Result<(Done, T)>) -> Result<T> {
        self.check_interrupted()?;
        self.reporter.event(&Event::StepStarted { step: recipe.name.clone() });
        let begun = std::time::Instant::now();
        let (done, value) = work()?;
        // The result itself is there: without a record the next build makes it again.
        if let Err(failure) = self.record(recipe, &done, begun.elapsed().as_secs_f64()) {
            self.reporter.warn(format!("{} is not remembered: {failure}", recipe.name));
        }
        Ok(value)
    }

    /// What a failed program's last lines say of the cache's file system: programs in
    /// sandboxes write there.
    pub fn space_hint(&self, tail: &[String]) -> Option<String> {
        tail.iter().any(|line| says_no_space(line)).then(|| {
            let cache = self.store.root().display();
            format!("no space is left for the cache in {cache}; {}", CACHE_FULL.join(", "))
        })
    }

    fn record(&self, recipe: &Recipe, done: &Done, seconds: f64) -> Result<()> {
        let record = Record {
            created: now(),
            snapshots: done.state.snapshots().cloned().collect(),
            name: recipe.name.clone(),
            seconds,
            state: done.state.clone(),
            data: done.data.clone(),
        };
        let value = serde_json::to_value(&record)
            .map_err(|error| Failure::wrap(Kind::Internal, "a step record", &error))?;
        self.store.put_step(recipe.key.as_str(), &value).map_err(|error| store_failure(&error))?;
        self.reporter.event(&Event::StepFinished { step: recipe.name.clone(), seconds });
        Ok(())
    }

    /// Looks a step up; a record that is too old or has lost a snapshot is a miss.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn cached(&self, recipe: &Recipe) -> Result<Option<Done>> {
        if self.refresh {
            return Ok(None);
        }
        let found = self.store.step(recipe.key.as_str()).map_err(|error| store_failure(&error))?;
        let Some(value) = found else { return Ok(None) };
        let Ok(record) = serde_json::from_value::<Record>(value) else { return Ok(None) };
        let age = now().saturating_sub(record.created);
        if recipe.networked && age > self.max_age.as_secs() {
            return Ok(None);
        }
        let map = self.identity.fingerprint();
        let usable = |id| self.store.has_snapshot(id) && self.store.has_id_map(id, &map);
        if !record.snapshots.iter().all(usable) {
            return Ok(None);
        }
        Ok(Some(Done { state: record.state, data: record.data }))
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

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
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
