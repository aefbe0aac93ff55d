//! The cache of steps: what a step's result was, by the step's key.
//!
//! A networked step may give other trees for the same key when it runs again. So a record
//! also names the trees that its step started from and counts for those only, and what
//! follows a step that ran runs too. Of two builds that lack the same step one makes it
//! (`making.rs`).

use std::time::{SystemTime, UNIX_EPOCH};

use goldsmith_images::store::SnapshotId;
use serde::{Deserialize, Serialize};

use super::key::Key;
use super::session::{Session, store_failure};
use super::state::State;
use crate::error::{Failure, Kind, Result};
use crate::report::Event;

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
    /// The trees that the step started from.
    before: State,
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
    /// Whether this build made it: then nothing that follows comes from the cache.
    pub ran: bool,
}

/// What the cache says of a step.
#[derive(Debug, Clone)]
pub enum Found {
    /// The result can be taken.
    Hit(Box<Done>),
    /// There is none, or only one that starts from other trees or has lost a snapshot.
    Miss,
    /// There is one, but it has seen the network too long ago.
    Stale,
}

impl Found {
    /// The result, when it can be taken.
    pub fn hit(self) -> Option<Done> {
        match self {
            Self::Hit(done) => Some(*done),
            Self::Miss | Self::Stale => None,
        }
    }
}

impl Session {
    /// Returns the cached result of `recipe`, or runs `work` and caches what it returns. While
    /// somebody else makes it, this waits.
    ///
    /// `before` is the result that the step starts from. Nothing becomes visible when `work`
    /// fails.
    ///
    /// # Errors
    ///
    /// Whatever `work` fails with, or the store; [`Kind::Interrupted`] while it waits.
    pub fn step(
        &self,
        recipe: &Recipe,
        before: &Done,
        work: impl FnOnce() -> Result<Done>,
    ) -> Result<Done> {
        if let Some(done) = self.cached(recipe, before)? {
            return Ok(done);
        }
        let making = self.making(recipe, before)?;
        // Whoever made it before us has left the result, unless they failed or were killed.
        if making.is_some()
            && let Some(done) = self.cached(recipe, before)?
        {
            return Ok(done);
        }
        let done = self.fresh(recipe, before, work);
        drop(making);
        done
    }

    fn cached(&self, recipe: &Recipe, before: &Done) -> Result<Option<Done>> {
        let found = self.look_up(recipe, before)?.hit();
        if found.is_some() {
            self.reporter.event(&Event::StepCached { step: recipe.name.clone() });
        }
        Ok(found)
    }

    /// Runs `work` whatever the cache holds, and records what it returns.
    ///
    /// # Errors
    ///
    /// Whatever `work` fails with, or the store.
    pub fn fresh(
        &self,
        recipe: &Recipe,
        before: &Done,
        work: impl FnOnce() -> Result<Done>,
    ) -> Result<Done> {
        self.check_interrupted()?;
        self.reporter.event(&Event::StepStarted { step: recipe.name.clone() });
        let begun = std::time::Instant::now();
        let done = Done { ran: true, ..work()? };
        // The result itself is there: without a record the next build makes it again.
        if let Err(failure) = self.record(recipe, before, &done, begun.elapsed().as_secs_f64()) {
            self.reporter.warn(format!("{} is not remembered: {failure}", recipe.name));
        }
        Ok(done)
    }

    fn record(&self, recipe: &Recipe, before: &Done, done: &Done, seconds: f64) -> Result<()> {
        let record = Record {
            created: now(),
            snapshots: done.state.snapshots().cloned().collect(),
            name: recipe.name.clone(),
            seconds,
            before: before.state.clone(),
            state: done.state.clone(),
            data: done.data.clone(),
        };
        let value = serde_json::to_value(&record)
            .map_err(|error| Failure::wrap(Kind::Internal, "a step record", &error))?;
        self.store.put_step(recipe.key.as_str(), &value).map_err(|error| store_failure(&error))?;
        self.reporter.event(&Event::StepFinished { step: recipe.name.clone(), seconds });
        Ok(())
    }

    /// Looks up what a step gave that starts from `before`; runs nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn look_up(&self, recipe: &Recipe, before: &Done) -> Result<Found> {
        if self.refresh {
            return Ok(Found::Miss);
        }
        let found = self.store.step(recipe.key.as_str()).map_err(|error| store_failure(&error))?;
        let Some(value) = found else { return Ok(Found::Miss) };
        let Ok(record) = serde_json::from_value::<Record>(value) else { return Ok(Found::Miss) };
        let age = now().saturating_sub(record.created);
        if recipe.networked && age > self.max_age.as_secs() {
            return Ok(Found::Stale);
        }
        let map = self.identity.fingerprint();
        let usable = |id| self.store.has_snapshot(id) && self.store.has_id_map(id, &map);
        if before.ran || record.before != before.state || !record.snapshots.iter().all(usable) {
            return Ok(Found::Miss);
        }
        let done = Done { state: record.state, data: record.data, ran: false };
        Ok(Found::Hit(Box::new(done)))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use goldsmith_images::store::Store;
    use goldsmith_runtime::{Cancel, Identity};
    use serde_json::json;

    use super::super::key::KeyBuilder;
    use super::*;
    use crate::report::{Options, Reporter};

    // I22: there is no cache that others can write to; a record that somebody got in all the same
    // counts for nothing unless it fits in every part, and the step is then made.
    #[test]
    fn planted_records_are_ignored_and_the_step_is_made_i22() {
        let directory = tempfile::tempdir().unwrap();
        let Ok(identity) = Identity::detect() else {
            let required = std::env::var("GOLDSMITH_REQUIRE").unwrap_or_default();
            assert!(required.is_empty(), "this host has no ids to map");
            return;
        };
        let session = Session {
            store: Store::open(directory.path()).unwrap(),
            identity,
            reporter: Reporter::new(Options::default()),
            cancel: Cancel::default(),
            refresh: false,
            lock: None,
            max_age: std::time::Duration::from_secs(60),
            private_mounts: false,
        };
        let snapshot = |map: &str| {
            let pending = session.store.pending().unwrap();
            fs_err::create_dir(pending.upper()).unwrap();
            let meta =
                goldsmith_images::store::SnapshotMeta::new("x", map.to_owned(), Vec::new(), false);
            session.store.commit(pending, meta).unwrap()
        };
        let map = session.identity.fingerprint();
        let (good, foreign) = (snapshot(&map), snapshot("another map"));
        let state = |ids: &[&SnapshotId]| State {
            mnt: ids.iter().map(|id| (*id).clone()).collect(),
            ..State::default()
        };
        let record = |created: u64, before: State, after: State| {
            let snapshots: Vec<_> = after.snapshots().collect();
            json!({ "created": created, "snapshots": snapshots, "name": "x", "seconds": 0.0,
                    "before": before, "state": after })
        };
        let honest = record(now(), State::default(), state(&[&good]));
        let mut gone = honest.clone();
        gone["snapshots"] = json!([good, "nobodysname"]);
        let mut climbing = honest.clone();
        climbing["snapshots"] = json!(["../../etc"]);
        let recipe = |key: &str| {
            let key = KeyBuilder::new("test").part("case", key).finish();
            Recipe { name: "x".into(), key, networked: true }
        };
        for (case, planted) in [
            ("no record", json!({ "created": now(), "snapshots": [good] })),
            ("a snapshot that is not there", gone),
            ("a path", climbing),
            ("another's ids", record(now(), State::default(), state(&[&foreign]))),
            ("other trees below", record(now(), state(&[&good]), state(&[&good]))),
            ("an age", record(1, State::default(), state(&[&good]))),
        ] {
            let recipe = recipe(case);
            session.store.put_step(recipe.key.as_str(), &planted).unwrap();
            let before = Done::default();
            assert!(session.look_up(&recipe, &before).unwrap().hit().is_none(), "{case}");
            let made = Done { state: state(&[&good]), ..Done::default() };
            let done = session.step(&recipe, &before, || Ok(made)).unwrap();
            assert!(done.ran, "{case}");
            let again = session.look_up(&recipe, &before).unwrap().hit();
            assert_eq!(again.map(|done| done.state), Some(state(&[&good])), "{case}");
        }
        // The legal twin; and under another key it is nobody's.
        let twin = recipe("twin");
        session.store.put_step(twin.key.as_str(), &honest).unwrap();
        assert!(session.look_up(&twin, &Done::default()).unwrap().hit().is_some());
        assert!(session.look_up(&recipe("other"), &Done::default()).unwrap().hit().is_none());
    }
}
