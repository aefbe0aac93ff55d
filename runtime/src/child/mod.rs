//! The re-executed halves: `__sandbox` drives libcontainer, `__job` runs the caller's code.
//!
//! Both get their request on standard input, which is a socket to the builder.

mod cgroup;
mod console;
mod container;
mod enter;
mod executor;
mod formats;
mod job;
mod liveness;
mod mount_point;
mod mounts;
mod network;
mod rootfs;
mod sandbox;
mod scratch;
mod seccomp;
mod seccomp_i386;
mod spec;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

pub(crate) use container::proc_is_covered;
pub(crate) use formats::{FILE_SYSTEM, describe};

use crate::messages::Report;
use crate::parent::job::Job;

/// The hidden verb of a sandbox helper.
pub(crate) const SANDBOX_VERB: &str = "__sandbox";
/// The hidden verb of a namespace job.
pub(crate) const JOB_VERB: &str = "__job";

/// Becomes a helper, and does not return, when this process was started as one.
///
/// Call it first in `main`, before any thread exists: a container is forked only from a
/// process with one thread. `jobs` is the table that [`crate::run_job`] picks from.
pub fn init_if_child(jobs: &[Job]) {
    let mut arguments = std::env::args_os();
    let verb = arguments.nth(1);
    let verb = verb.as_deref().and_then(|verb| verb.to_str());
    let (Some(verb @ (SANDBOX_VERB | JOB_VERB)), None) = (verb, arguments.next()) else { return };
    let status = match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(fd) => {
            let socket = UnixStream::from(fd);
            let done = match verb {
                SANDBOX_VERB => sandbox::serve(&socket),
                _ => job::serve(&socket, jobs).map(|reply| (reply, None)),
            };
            report(&socket, done)
        }
        Err(_) => 70,
    };
    finish(status)
}

/// Tells the builder how it went; the status is only for a person who started this by hand.
fn report(socket: &UnixStream, done: Result<(Report, Option<OwnedFd>), String>) -> i32 {
    let (message, scratch, status) = match done {
        Ok((report, scratch)) => (report, scratch, 0),
        Err(error) => (Report::Failed(error), None, 70),
    };
    let fds: Vec<_> = scratch.iter().map(AsFd::as_fd).collect();
    match crate::channel::send(socket, &message, &fds) {
        Ok(()) => status,
        Err(_) => 70,
    }
}

#[expect(clippy::exit, reason = "a helper must not fall through into the caller's main")]
fn finish(status: i32) -> ! {
    std::process::exit(status)
}
