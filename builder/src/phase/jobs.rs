//! Namespace jobs: our own code that must run as the image's root.
//!
//! A job is a re-executed copy of the binary inside the user namespace; its request and
//! reply are JSON. The table is handed to `goldsmith_runtime::init_if_child` by `main`.

use std::path::PathBuf;

use goldsmith_runtime::{Identity, Job, JobError, JobInput, run_job};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};

/// Every job there is.
pub const JOBS: [Job; 17] = [
    goldsmith_runtime::PROBE_JOB,
    goldsmith_runtime::privileged::HOLD_JOB,
    Job { name: "remove", run: remove_job },
    Job { name: "flatten", run: flatten_job },
    Job { name: "keep", run: super::scratch::keep_job },
    Job { name: "unpack-debian", run: crate::base::jobs::unpack },
    Job { name: "import-image", run: crate::base::jobs::import },
    Job { name: "settle-base", run: crate::base::jobs::settle },
    Job { name: "unpack-layer", run: crate::registry::layers::unpack_job },
    Job { name: "image-user", run: crate::registry::user::find_job },
    Job { name: "sizes", run: crate::cli::store::sizes::job },
    Job { name: "measure", run: crate::materialise::jobs::measure },
    Job { name: "write", run: crate::materialise::write::write },
    Job { name: "parts", run: crate::materialise::parts::archive },
    Job { name: "boot-code", run: crate::materialise::jobs::boot_code },
    Job { name: "tidy", run: crate::materialise::jobs::tidy },
    Job { name: "origin", run: crate::verify::origin::find },
];

/// Runs the job `name` and reads its reply.
///
/// # Errors
///
/// When the namespace cannot be made or the job fails; the message is the job's own.
pub fn call<Q: Serialize, A: DeserializeOwned>(
    identity: &Identity,
    name: &str,
    request: &Q,
    files: &[std::os::fd::BorrowedFd<'_>],
) -> Result<A> {
    let internal = |error: serde_json::Error| {
        Failure::wrap(Kind::Internal, format!("the message of job {name}"), &error)
    };
    let request = serde_json::to_value(request).map_err(internal)?;
    let reply = run_job(identity, name, &request, files).map_err(|error| match error {
        JobError::Spawn(error) => Failure::wrap(Kind::Host, "no sandbox can run here", &error)
            .hint("`goldsmith doctor` says what this host lacks"),
        error => Failure::wrap(Kind::Build, format!("job {name}"), &error),
    })?;
    serde_json::from_value(reply).map_err(internal)
}

/// Reads a job's request.
///
/// # Errors
///
/// When it is not what the job expects: parent and child are one binary, so this is a bug.
pub fn request<Q: DeserializeOwned>(input: &JobInput) -> std::result::Result<Q, String> {
    serde_json::from_value(input.request.clone()).map_err(|error| format!("request: {error}"))
}

#[derive(Debug, Serialize, Deserialize)]
struct Remove {
    paths: Vec<PathBuf>,
}

/// Removes trees that other ids own.
///
/// What the caller owns wholly, as an ordinary user does the trees of commands that wrote as
/// root, is removed at once, without a namespace.
///
/// # Errors
///
/// When one of them cannot be removed.
pub fn remove(identity: &Identity, paths: &[PathBuf]) -> Result<()> {
    let own = identity.outside_root().0 == rustix::process::geteuid().as_raw();
    let others: Vec<_> = paths
        .iter()
        .filter(|path| !own || goldsmith_images::layer::remove_tree(path).is_err())
        .cloned()
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    call(identity, "remove", &Remove { paths: others }, &[])
}

fn remove_job(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let request: Remove = request(&input)?;
    for path in &request.paths {
        goldsmith_images::layer::remove_tree(path).map_err(|error| error.to_string())?;
    }
    Ok(serde_json::Value::Null)
}

#[derive(Debug, Serialize, Deserialize)]
struct Flatten {
    lowers: Vec<PathBuf>,
    destination: PathBuf,
}

/// Copies the merged view of `lowers` (bottom first) to `destination`, which must be empty.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn flatten(identity: &Identity, lowers: Vec<PathBuf>, destination: PathBuf) -> Result<()> {
    call(identity, "flatten", &Flatten { lowers, destination }, &[])
}

fn flatten_job(input: JobInput) -> std::result::Result<serde_json::Value, String> {
    let request: Flatten = request(&input)?;
    goldsmith_images::layer::flatten(&request.lowers, &request.destination)
        .map_err(|error| error.to_string())?;
    Ok(serde_json::Value::Null)
}
