//! How large snapshots are: counted inside the namespace, whose ids alone may read them all.

use std::path::PathBuf;

use goldsmith_images::store::SnapshotId;
use goldsmith_images::tree::Tree;
use goldsmith_runtime::{Identity, JobInput};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::phase::jobs::{call, request};
use crate::phase::session::{Session, store_failure};

#[derive(Debug, Serialize, Deserialize)]
struct Sizes {
    paths: Vec<PathBuf>,
}

/// What each directory takes with all below, in bytes; nothing for one that cannot be read.
///
/// # Errors
///
/// When no namespace can be made.
pub(super) fn count(identity: &Identity, paths: Vec<PathBuf>) -> Result<Vec<Option<u64>>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    call(identity, "sizes", &Sizes { paths }, &[])
}

/// The job's body.
///
/// # Errors
///
/// With the message for the user.
pub(crate) fn job(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Sizes { paths } = request(&input)?;
    let size = |path| Tree::merge(&[path]).ok().map(|tree| tree.apparent_kib() * 1024);
    let sizes: Vec<Option<u64>> = paths.into_iter().map(size).collect();
    serde_json::to_value(sizes).map_err(|error| error.to_string())
}

/// Has every snapshot that is new counted.
///
/// # Errors
///
/// When no namespace can be made, or the store cannot be written.
pub(super) fn measure(session: &Session) -> Result<()> {
    let stored = |error| store_failure(&error);
    let new = session.store.unmeasured().map_err(stored)?;
    let (ids, trees): (Vec<SnapshotId>, Vec<_>) = new.into_iter().unzip();
    for (id, size) in ids.iter().zip(count(&session.identity, trees)?) {
        if let Some(size) = size {
            session.store.measured(id, size).map_err(stored)?;
        }
    }
    Ok(())
}
