//! Two builds that lack the same step: one makes it, and the other waits and takes the result.
//!
//! Nobody waits in a circle: who makes a base may wait for a layer or an emulator, who makes
//! those or runs a phase for downloads and package caches, and none of these for a step.

use std::time::Duration;

use goldsmith_images::store::Making;

use super::cache::{Done, Recipe};
use super::key::{Key, KeyBuilder};
use super::session::Session;
use crate::error::{Failure, Kind, Result};

/// How often the right to make a step is asked for.
const PAUSE: Duration = Duration::from_millis(100);

impl Session {
    /// The right to make a step; waits, and says so, while somebody else makes it. Who may not
    /// take another's result has nothing to wait for, and makes the step without it.
    ///
    /// # Errors
    ///
    /// [`Kind::Interrupted`].
    pub(super) fn making(&self, recipe: &Recipe, before: &Done) -> Result<Option<Making>> {
        let key = self.making_key(recipe, before)?;
        let waits = !self.refresh && !before.ran;
        let mut told = false;
        loop {
            match self.store.making(key.as_str()) {
                Ok(None) if waits => {}
                Ok(making) => return Ok(making),
                // It saves work and no more: where a lock is not to be had, both do it.
                Err(error) => {
                    tracing::debug!(%error, step = recipe.name, "made without a lock");
                    return Ok(None);
                }
            }
            if !told {
                let name = &recipe.name;
                self.reporter.info(format!("{name}: waiting for another build that makes it"));
                told = true;
            }
            self.check_interrupted()?;
            std::thread::sleep(PAUSE);
        }
    }

    /// Names all that a result must have in common with what is wanted, to be taken.
    fn making_key(&self, recipe: &Recipe, before: &Done) -> Result<Key> {
        let before = serde_json::to_string(&before.state)
            .map_err(|error| Failure::wrap(Kind::Internal, "a step", &error))?;
        let map = self.identity.fingerprint();
        let key = KeyBuilder::new("making").parent(&recipe.key);
        Ok(key.part("before", before).part("map", map).finish())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use goldsmith_images::store::{SnapshotMeta, Store};
    use goldsmith_runtime::{Cancel, Identity};

    use super::super::state::State;
    use super::*;
    use crate::report::{Options, Reporter};

    /// Nothing where this host has no ids to map, unless it has to.
    fn session(root: &Path) -> Option<Session> {
        let Ok(identity) = Identity::detect() else {
            let required = std::env::var("GOLDSMITH_REQUIRE").unwrap_or_default();
            assert!(required.is_empty(), "this host has no ids to map");
            return None;
        };
        Some(Session {
            store: Store::open(root).unwrap(),
            identity,
            reporter: Reporter::new(Options { quiet: true, ..Options::default() }),
            cancel: Cancel::default(),
            refresh: false,
            lock: None,
            private_mounts: false,
            max_age: Duration::from_secs(60),
        })
    }

    fn recipe(name: &str) -> Recipe {
        let key = KeyBuilder::new("test").part("case", name).finish();
        Recipe { name: name.to_owned(), key, networked: false }
    }

    fn made(session: &Session) -> Done {
        let pending = session.pending().unwrap();
        fs_err::create_dir(pending.upper()).unwrap();
        let map = session.identity.fingerprint();
        let meta = SnapshotMeta::new("x", map, Vec::new(), false);
        let id = session.store.commit(pending, meta).unwrap();
        Done { state: State { mnt: vec![id], ..State::default() }, ..Done::default() }
    }

    /// Four builds come to the same step at once; what came of it.
    fn at_once(root: &Path, work: impl Fn(&Session) -> Result<Done> + Sync) -> Vec<Result<Done>> {
        let start = Barrier::new(4);
        let one = || {
            let session = session(root).unwrap();
            start.wait();
            session.step(&recipe("step"), &Done::default(), || work(&session))
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn one_makes_a_step_and_the_others_take_it_i30() {
        let place = tempfile::tempdir().unwrap();
        let Some(session) = session(place.path()) else { return };
        let count = AtomicUsize::new(0);
        // A failure is not shared: each tries for itself.
        for result in at_once(place.path(), |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Err(Failure::new(Kind::Build, "no"))
        }) {
            assert_eq!(result.unwrap_err().kind, Kind::Build);
        }
        assert_eq!(count.swap(0, Ordering::Relaxed), 4);
        let all = at_once(place.path(), |session| {
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(300));
            Ok(made(session))
        });
        assert_eq!(count.load(Ordering::Relaxed), 1);
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(all.iter().filter(|done| done.ran).count(), 1);
        assert!(all.iter().all(|done| done.state == all[0].state));
        assert_eq!(fs_err::read_dir(session.store.root().join("making")).unwrap().count(), 0);
    }

    #[test]
    fn who_may_not_take_a_result_does_not_wait_for_it() {
        let place = tempfile::tempdir().unwrap();
        let Some(mut session) = session(place.path()) else { return };
        let (recipe, before) = (recipe("step"), Done::default());
        let other = Store::open(place.path()).unwrap();
        let key = session.making_key(&recipe, &before).unwrap();
        let held = other.making(key.as_str()).unwrap().unwrap();
        let after = Done { ran: true, ..Done::default() };
        assert!(session.making(&recipe, &after).unwrap().is_none());
        session.refresh = true;
        assert!(session.making(&recipe, &before).unwrap().is_none());
        session.refresh = false;
        // Another step, and the same one on another tree.
        assert!(session.making(&super::tests::recipe("other"), &before).unwrap().is_some());
        let above = made(&session);
        assert!(session.making(&recipe, &above).unwrap().is_some());
        // Who waits can be interrupted.
        session.cancel.cancel();
        let failure = session.making(&recipe, &before).unwrap_err();
        assert_eq!(failure.kind, Kind::Interrupted);
        drop(held);
        assert!(session.making(&recipe, &before).unwrap().is_some());
    }
}
