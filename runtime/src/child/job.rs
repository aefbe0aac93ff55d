//! Serves one namespace job.

use std::os::unix::net::UnixStream;

use super::enter;
use crate::channel;
use crate::messages::{JobRequest, Report};
use crate::parent::job::{Job, JobInput};

pub(super) fn serve(socket: &UnixStream, jobs: &[Job]) -> Result<Report, String> {
    enter::die_with_parent()?;
    let received = channel::receive::<JobRequest>(socket).map_err(|error| error.to_string())?;
    let Some((JobRequest { name, request }, files)) = received else {
        return Err("no request".to_owned());
    };
    let job = jobs.iter().find(|job| job.name == name);
    let job = job.ok_or_else(|| format!("there is no job {name}"))?;
    enter::namespaces(socket)?;
    enter::become_root()?;
    (job.run)(JobInput { request, files }).map(Report::Reply)
}
