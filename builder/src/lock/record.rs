//! What a build that makes a lock leaves: the lock, and its steps for builds that follow it.

use std::path::PathBuf;

use goldsmith_images::store::Store;

use super::document::{Build, Document, VERSION};
use super::{Lock, classify, elements};
use crate::element::ElementGraph;
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::Recipe;
use crate::phase::chain::Chain;
use crate::phase::prepare::prepare;
use crate::phase::session::{Session, store_failure};
use crate::request::Request;

/// Where the store keeps what hooks put into their cache under a lock.
const CACHES: &str = "locked";

/// What a build that made a lock leaves.
#[derive(Debug)]
pub(super) struct Recorded {
    document: Document,
    /// The build's steps, bases included.
    steps: Vec<Recipe>,
}

impl Lock {
    fn cache(&self, store: &Store) -> PathBuf {
        store.root().join(CACHES).join(&self.key)
    }

    /// The cache of hooks, `DIB_IMAGE_CACHE`: one of this lock's own, empty when it was made,
    /// since what hooks fetch depends on what they find there.
    pub fn image_cache(&self, store: &Store) -> PathBuf {
        self.cache(store).join("image-create")
    }

    /// Makes the cache of hooks, or notes for `store gc` that it is in use; `afresh` empties it.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn prepare_cache(&self, session: &Session, afresh: bool) -> Result<()> {
        let failed =
            |error: std::io::Error| Failure::wrap(Kind::Host, "the cache of hooks", &error);
        let cache = self.cache(&session.store);
        if afresh && cache.exists() {
            crate::phase::jobs::remove(&session.identity, &[self.image_cache(&session.store)])?;
        }
        fs_err::create_dir_all(&cache).map_err(failed)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(&cache, mode).map_err(failed)?;
        let directory = fs_err::File::open(&cache).map_err(failed)?;
        directory.file().set_modified(std::time::SystemTime::now()).map_err(failed)
    }

    /// Writes down what a build that made the lock was made of, and sees to it that the store
    /// has all of it.
    ///
    /// # Errors
    ///
    /// When an element cannot be read, or something cannot be had any more.
    pub fn keep(
        &self,
        session: &Session,
        request: &Request,
        graph: &ElementGraph,
        chain: &Chain<'_>,
    ) -> Result<()> {
        let bootstrap = &chain.bootstrap;
        for plan in std::iter::once(&chain.tools).chain(&chain.base) {
            bootstrap.store_sources(plan)?;
        }
        let emulator = bootstrap.pin_emulator()?;
        let mut document = Document {
            version: VERSION,
            goldsmith: env!("CARGO_PKG_VERSION").to_owned(),
            build: Build {
                arguments: request.lock_arguments.clone(),
                elements: request.elements.clone(),
                arch: request.arch.clone(),
                mirror: chain.mirror.archive.clone(),
                security: chain.mirror.security.clone(),
            },
            element: elements::all(graph)?,
            tools: bootstrap.pin_tools(&chain.tools)?,
            emulator,
            base: chain.base.as_ref().map(|plan| bootstrap.pin(plan)).transpose()?,
            release: Vec::new(),
            package: Vec::new(),
            git: Vec::new(),
            url: Vec::new(),
        };
        classify::sort(&mut document, self.tape.answers(), &session.store.downloads());
        if let Ok(mut recorded) = self.recorded.lock() {
            *recorded = Some(Recorded { document, steps: chain.recipes() });
        }
        Ok(())
    }
}

/// Writes the lock that the session's build made, and lets builds that follow it find the
/// build's steps; afterwards the session itself follows it. Returns the lock.
///
/// # Errors
///
/// When no build has made one, or a file cannot be written.
pub fn finish(session: &mut Session, request: &Request) -> Result<Document> {
    let made = session.lock.take();
    let made = made.ok_or_else(|| Failure::new(Kind::Internal, "no lock was made"))?;
    let recorded = made.recorded.lock().ok().and_then(|mut recorded| recorded.take());
    let Recorded { document, steps } =
        recorded.ok_or_else(|| Failure::new(Kind::Internal, "the build left no lock"))?;
    let strict = Request { locked: true, ..request.clone() };
    let follow = Lock::follow(&document, &made.path, &strict, &session.store)?;
    let to = follow.cache(&session.store);
    if !to.exists() {
        fs_err::rename(made.cache(&session.store), &to)
            .map_err(|error| Failure::wrap(Kind::Host, "the cache of hooks", &error))?;
    }
    session.lock = Some(follow);
    let prepared = prepare(session, &strict)?;
    let request = crate::compat::settled(&strict, &prepared.graph);
    let following = Chain::new(session, &request, &prepared)?.recipes();
    let stored = |error| store_failure(&error);
    for (from, to) in steps.iter().zip(&following).filter(|(from, to)| from.key != to.key) {
        if let Some(record) = session.store.step(from.key.as_str()).map_err(stored)? {
            session.store.put_step(to.key.as_str(), &record).map_err(stored)?;
        }
    }
    document.write(&made.path)?;
    Ok(document)
}
