//! What a failed hook left behind, kept until the next build so that it can be looked at.

use std::path::{Path, PathBuf};

use goldsmith_images::store::{Pending, SnapshotId};
use serde::{Deserialize, Serialize};

use super::session::{Session, store_failure};
use super::state::State;
use crate::error::{Failure, Kind, Result};

/// Names the trees of the failed step.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remains {
    lowers: Vec<SnapshotId>,
    top: SnapshotId,
}

fn record(store: &Path) -> PathBuf {
    store.join("failed.json")
}

/// Keeps what the failed step wrote to the image's tree; an earlier failure's is forgotten
/// (garbage collection removes it).
///
/// # Errors
///
/// When the store's file system refuses.
pub fn keep(session: &Session, before: &State, pending: Pending) -> Result<()> {
    let top = session.commit(pending, "failed", before.mnt.clone(), false)?;
    let remains = Remains { lowers: before.mnt.clone(), top };
    let text = serde_json::to_vec(&remains)
        .map_err(|error| Failure::wrap(Kind::Internal, "failed.json", &error))?;
    let path = record(session.store.root());
    fs_err::write(&path, text).map_err(|error| Failure::wrap(Kind::Host, "the cache", &error))
}

/// The directories of the image as the last failed hook left it, bottom first.
///
/// # Errors
///
/// When no build failed since the last one that ended well.
pub fn directories(session: &Session) -> Result<Vec<PathBuf>> {
    let none = || {
        Failure::new(Kind::Usage, "no failed build is kept")
            .hint("a failed hook's tree is kept until the next build")
    };
    let text = fs_err::read(record(session.store.root()))
        .map_err(|error| none().hint(error.to_string()))?;
    let remains: Remains = serde_json::from_slice(&text)
        .map_err(|error| Failure::wrap(Kind::Internal, "failed.json", &error))?;
    let mut directories = session.directories(&remains.lowers)?;
    directories
        .push(session.store.snapshot_fs(&remains.top).map_err(|error| store_failure(&error))?);
    Ok(directories)
}

/// Forgets the last failure and removes what it left.
///
/// # Errors
///
/// When the namespace job that removes it fails.
pub fn forget(session: &Session) -> Result<()> {
    let path = record(session.store.root());
    let Ok(text) = fs_err::read(&path) else { return Ok(()) };
    if let Ok(remains) = serde_json::from_slice::<Remains>(&text)
        && let Ok(fs) = session.store.snapshot_fs(&remains.top)
        && let Some(directory) = fs.parent()
    {
        super::jobs::remove(&session.identity, &[directory.to_path_buf()])?;
    }
    fs_err::remove_file(&path).map_err(|error| Failure::wrap(Kind::Host, "the cache", &error))
}
