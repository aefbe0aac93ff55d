//! Which step of a build, and as far as known which hook, wrote a path.
//!
//! What a phase wrote is a snapshot: the last one of the image's stack that holds a path, if
//! only to say that it is gone, is of the phase that had the last word.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use goldsmith_runtime::JobInput;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use serde::{Deserialize, Serialize};

use crate::hook::HookTree;
use crate::phase::build::Built;
use crate::phase::jobs::{call, request};
use crate::phase::session::Session;
use crate::phase::table::PHASES;

/// Who wrote a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The step: a phase, `base`, `fstab`.
    pub step: String,
    /// Hooks of the phase that may have: the only one, or those whose text names the file; as
    /// `DIRECTORY/NAME` and their element.
    pub hooks: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Find {
    layers: Vec<PathBuf>,
    paths: Vec<Vec<u8>>,
}

/// Looks the paths, which are relative to the image's root, up in the trees of `built`; nothing
/// for those that no step wrote.
///
/// # Errors
///
/// When a snapshot is gone or cannot be entered.
pub fn of_paths(
    session: &Session,
    built: &Built,
    paths: &[Vec<u8>],
) -> crate::error::Result<Vec<Option<Origin>>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let find = Find { layers: session.directories(&built.tree)?, paths: paths.to_vec() };
    let found: Vec<Option<usize>> = call(&session.identity, "origin", &find, &[])?;
    let name = |at: usize| session.store.snapshot_name(built.tree.get(at)?);
    Ok(paths
        .iter()
        .zip(found)
        .map(|(path, at)| {
            let step = name(at?)?;
            Some(Origin { hooks: hooks(&built.hooks, &step, path), step })
        })
        .collect())
}

/// The hooks of a phase that may have written a path.
fn hooks(tree: &HookTree, step: &str, path: &[u8]) -> Vec<(String, String)> {
    let Some(phase) = PHASES.iter().find(|phase| phase.name() == step) else { return Vec::new() };
    let named =
        |(name, element): (String, String)| (format!("{}/{name}", phase.directory), element);
    let all: Vec<_> = tree.hooks(phase.directory).into_iter().map(named).collect();
    if all.len() == 1 {
        return all;
    }
    let file = String::from_utf8_lossy(path.rsplit(|&b| b == b'/').next().unwrap_or_default());
    let mentions = |hook: &String| {
        let text = tree.origin(hook).and_then(|(_, path)| fs_err::read(path).ok());
        !file.is_empty() && text.is_some_and(|text| String::from_utf8_lossy(&text).contains(&*file))
    };
    all.into_iter().filter(|(hook, _)| mentions(hook)).collect()
}

/// The job's body: the index of the last layer that holds each path, a whiteout included.
///
/// # Errors
///
/// With the message for the user.
pub fn find(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let Find { layers, paths } = request(&input)?;
    let mut roots = Vec::new();
    for layer in &layers {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, layer, flags, Mode::empty());
        roots.push(root.map_err(|error| format!("{}: {error}", layer.display()))?);
    }
    let holds = |root: &std::os::fd::OwnedFd, path: &[u8]| {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = std::ffi::OsStr::from_bytes(if path.is_empty() { b"." } else { path });
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(root, name, flags, Mode::empty(), resolve).is_ok()
    };
    let found: Vec<Option<usize>> =
        paths.iter().map(|path| roots.iter().rposition(|root| holds(root, path))).collect();
    serde_json::to_value(found).map_err(|error| error.to_string())
}
