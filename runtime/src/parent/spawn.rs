//! Starts a re-executed copy of the binary in a user namespace of its own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{PidfdFlags, pidfd_open};
use serde::Serialize;

use crate::channel;
use crate::identity::{IdRange, Identity, find_program};
use crate::messages::{Mapped, Report};

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// Making the child or talking to it failed.
    #[error("the sandbox helper: {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The child could not make its namespaces.
    #[error("{message}")]
    Child {
        /// What the child said.
        message: String,
    },
    /// The id map was refused.
    #[error("{program} failed: {message}")]
    Map {
        /// `newuidmap`, `newgidmap`, or the file that was written.
        program: String,
        /// What it said.
        message: String,
    },
}

pub(crate) fn io_error(doing: &'static str) -> impl FnOnce(io::Error) -> SpawnError {
    move |source| SpawnError::Io { doing, source }
}

/// A child that waits, its ids mapped, for what comes next.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) child: Child,
    pub(crate) socket: UnixStream,
    pub(crate) pidfd: OwnedFd,
}

impl Drop for Helper {
    /// Kills and reaps the child, whatever state it is in.
    fn drop(&mut self) {
        if let Err(error) = self.child.kill() {
            tracing::debug!(%error, "the helper is already gone");
        }
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, "the helper cannot be reaped");
        }
    }
}

/// Starts `goldsmith VERB`, sends `request` and maps the child's ids.
pub(crate) fn spawn<T: Serialize>(
    verb: &str,
    identity: &Identity,
    request: &T,
    fds: &[std::os::fd::BorrowedFd<'_>],
    piped: bool,
) -> Result<Helper, SpawnError> {
    let (socket, theirs) = UnixStream::pair().map_err(io_error("socketpair"))?;
    let output = || if piped { Stdio::piped() } else { Stdio::inherit() };
    let binary = sealed_binary().map_err(io_error("copy of the binary"))?;
    let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
    if piped {
        // The helper of a sandbox holds nothing that a hook should not see.
        command.env_clear();
    }
    let child = command
        .arg(verb)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(if piped { Stdio::piped() } else { Stdio::null() })
        .stderr(output())
        .spawn()
        .map_err(io_error("spawn"))?;
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io_error("spawn")(io::Error::other("no process id")))?;
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(error) => return Err(io_error("pidfd_open")(error.into())),
    };
    let helper = Helper { child, socket, pidfd };
    channel::send(&helper.socket, request, fds).map_err(io_error("request"))?;
    match channel::receive::<Report>(&helper.socket).map_err(io_error("answer"))? {
        Some((Report::Unshared, _)) => {}
        Some((Report::Failed(message), _)) => return Err(SpawnError::Child { message }),
        _ => {
            let message = "the sandbox helper ended before it made its namespaces".to_owned();
            return Err(SpawnError::Child { message });
        }
    }
    write_maps(pid.as_raw_pid(), identity)?;
    channel::send(&helper.socket, &Mapped, &[]).map_err(io_error("go"))?;
    Ok(helper)
}

/// Returns a sealed copy of the running binary in memory.
///
/// A process inside reaches the file that it was started from by `/proc/self/exe`, and the
/// sandbox's root may be the owner of the real one (CVE-2019-5736).
fn sealed_binary() -> io::Result<&'static OwnedFd> {
    static BINARY: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(binary) = BINARY.get() {
        return Ok(binary);
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Plain files: the standard library then lets the kernel copy, which is a third of the
    // whole time of a sandbox that runs /bin/true.
    let mut memory = std::fs::File::from(memfd_create("goldsmith", flags)?);
    let (mut own, _) = fs_err::File::open("/proc/self/exe")?.into_parts();
    io::copy(&mut own, &mut memory)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(memory.as_fd(), seals)?;
    let memory = OwnedFd::from(memory);
    Ok(BINARY.get_or_init(|| memory))
}

fn write_maps(pid: i32, identity: &Identity) -> Result<(), SpawnError> {
    // Root of a namespace writes the maps itself; a user asks the set-uid helpers.
    let direct = rustix::process::geteuid().is_root();
    for (program, file, map) in
        [("newgidmap", "gid_map", &identity.gids), ("newuidmap", "uid_map", &identity.uids)]
    {
        if direct {
            let path = format!("/proc/{pid}/{file}");
            let text: String = map.iter().map(line).collect();
            fs_err::write(&path, text)
                .map_err(|error| SpawnError::Map { program: path, message: error.to_string() })?;
        } else {
            ask(program, pid, map)?;
        }
    }
    Ok(())
}

fn line(range: &IdRange) -> String {
    format!("{} {} {}\n", range.inside, range.outside, range.count)
}

fn ask(program: &str, pid: i32, map: &[IdRange]) -> Result<(), SpawnError> {
    let failed = |message: String| SpawnError::Map { program: program.to_owned(), message };
    let path = find_program(program).ok_or_else(|| failed("not installed".to_owned()))?;
    let output = Command::new(path)
        .arg(pid.to_string())
        .args(map.iter().flat_map(|r| [r.inside, r.outside, r.count]).map(|id| id.to_string()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
