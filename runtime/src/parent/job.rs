//! Namespace jobs: the caller's own code as root of a user namespace.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::spawn::{SpawnError, spawn};
use crate::channel;
use crate::identity::Identity;
use crate::messages::{JobRequest, Report};

/// A function that can run inside a user namespace.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Its name, unique in the table.
    pub name: &'static str,
    /// Its body; may use threads. It holds all capabilities, inside only.
    pub run: fn(JobInput) -> Result<serde_json::Value, String>,
}

/// What a job works on.
#[derive(Debug)]
pub struct JobInput {
    /// What the caller asked.
    pub request: serde_json::Value,
    /// Open files that the caller passed on, in its order.
    pub files: Vec<OwnedFd>,
}

/// Why a job gave no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// Its process could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The job says why.
    #[error("{message}")]
    Failed {
        /// What it said.
        message: String,
    },
    /// Its process ended without a word.
    #[error("the job {name} ended without a reply")]
    Vanished {
        /// The job's name.
        name: String,
    },
    /// The reply cannot be read.
    #[error("the reply of job {name}")]
    Reply {
        /// The job's name.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Runs the job `name` as root of a fresh user namespace with the map of `identity`.
///
/// In `root` mode the caller's own id is mapped as well, at 65536, so that the job reaches
/// directories that only the caller may enter; sandboxes never get that. At most 16 files.
///
/// # Errors
///
/// When the namespace cannot be made, or with the message that the job failed with.
pub fn run_job(
    identity: &Identity,
    name: &str,
    request: &serde_json::Value,
    files: &[BorrowedFd<'_>],
) -> Result<serde_json::Value, JobError> {
    let message = JobRequest { name: name.to_owned(), request: request.clone() };
    let helper = spawn(crate::child::JOB_VERB, &identity.for_jobs(), &message, files, false)?;
    let name = name.to_owned();
    match channel::receive::<Report>(&helper.socket) {
        Ok(Some((Report::Reply(value), _))) => Ok(value),
        Ok(Some((Report::Failed(message), _))) => Err(JobError::Failed { message }),
        Ok(_) => Err(JobError::Vanished { name }),
        Err(source) => Err(JobError::Reply { name, source }),
    }
}
