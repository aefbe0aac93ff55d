//! Runs one plan and reports how it ended.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::cancel::Cancel;
use super::lines::each_line;
use super::spawn::{SpawnError, spawn};
use crate::channel;
use crate::identity::Identity;
use crate::messages::{Report, SandboxRequest};
use crate::plan::{OverlayPlan, SandboxPlan, Stdin};

/// One of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Receives output as it comes.
pub trait OutputSink: Send {
    /// Takes one line without its newline; raw bytes, at most about 64 KiB of them.
    fn line(&mut self, stream: Stream, elapsed: Duration, line: &[u8]);
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this status.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// Killed because the plan's time was up.
    TimedOut,
    /// Killed by [`Cancel`].
    Interrupted,
}

/// What is known after a run.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub status: ExitStatus,
    /// Wall time, set-up included.
    pub elapsed: Duration,
    /// The tmpfs of [`SandboxPlan::scratch_bytes`]: a directory for each of
    /// [`SandboxPlan::overlays`], named by its number, with what it received in `upper`. It
    /// is gone when this is closed.
    pub scratch: Option<OwnedFd>,
}

/// Why a plan could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The helper could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The helper could not set the sandbox up.
    #[error("{message}")]
    Setup {
        /// What it said.
        message: String,
    },
    /// The helper died.
    #[error("the sandbox helper ended without a word")]
    Vanished,
    /// A directory that the plan names cannot be made.
    #[error("a directory of the plan")]
    Directory {
        /// Names call and path.
        source: io::Error,
    },
    /// The helper's answer cannot be read.
    #[error("the sandbox helper's answer")]
    Channel {
        /// Why.
        source: io::Error,
    },
}

/// Runs `plan` and waits for the end of its whole process tree.
///
/// Output lines go to `sink` while they come. When this process dies, even by SIGKILL, the
/// sandbox dies with it: call from a thread that lives as long as the run.
///
/// # Errors
///
/// When the sandbox cannot be set up; a command that ran and failed is an [`Outcome`].
pub fn run(
    identity: &Identity,
    plan: &SandboxPlan,
    sink: Box<dyn OutputSink>,
    cancel: &Cancel,
) -> Result<Outcome, RunError> {
    run_with_listener(identity, plan, sink, cancel, drop)
}

/// The same for a plan with [`Network::Listener`](crate::Network::Listener): `listening` is
/// given the socket before the command starts.
///
/// # Errors
///
/// When the sandbox cannot be set up; a command that ran and failed is an [`Outcome`].
pub fn run_with_listener(
    identity: &Identity,
    plan: &SandboxPlan,
    sink: Box<dyn OutputSink>,
    cancel: &Cancel,
    listening: impl FnOnce(TcpListener),
) -> Result<Outcome, RunError> {
    let begun = Instant::now();
    prepare(identity, plan).map_err(|source| RunError::Directory { source })?;
    let request = SandboxRequest {
        plan: plan.clone(),
        id: unique_id(&plan.id_hint),
        tty_group: identity
            .gids
            .iter()
            .any(|range| (range.inside..=5).contains(&5) && range.count + range.inside > 5),
        terminal_size: super::pty::size(),
    };
    let stdin = io::stdin();
    let inherited = [stdin.as_fd()];
    // The user's terminal itself stays outside: whoever holds it can type into it.
    let inherit = plan.stdin == Stdin::Inherit && !rustix::termios::isatty(&stdin);
    let fds = if inherit { &inherited[..] } else { &[] };
    let mut helper = spawn(crate::child::SANDBOX_VERB, identity, &request, fds, true)?;
    let channel_error = |source| RunError::Channel { source };
    let pidfd = helper.pidfd.try_clone().map_err(channel_error)?;
    let watched = cancel.watch(pidfd);
    let deadline = plan.time_limit_ms.map(|limit| begun + Duration::from_millis(limit));
    let (stdout, stderr) = (helper.child.stdout.take(), helper.child.stderr.take());
    let sink = Mutex::new(sink);
    let (stop_relay, stopped) = UnixStream::pair().map_err(channel_error)?;
    let report = std::thread::scope(|scope| {
        let pass = |stream: Stream, line: &[u8]| {
            if let Ok(mut sink) = sink.lock() {
                sink.line(stream, begun.elapsed(), line);
            }
        };
        if let Some(pipe) = stdout {
            scope.spawn(move || drain(pipe, |line| pass(Stream::Stdout, line)));
        }
        if let Some(pipe) = stderr {
            scope.spawn(move || drain(pipe, |line| pass(Stream::Stderr, line)));
        }
        let mut report = next_report(&helper.socket, deadline);
        if let Ok(Some((Report::Listening, fds))) = &mut report {
            if let Some(socket) = std::mem::take(fds).into_iter().next() {
                listening(TcpListener::from(socket));
            }
            report = next_report(&helper.socket, deadline);
        }
        if let Ok(Some((Report::Terminal, fds))) = &mut report {
            let terminals = std::mem::take(fds);
            let stopped = &stopped;
            scope.spawn(move || relay(&terminals, stopped));
            report = next_report(&helper.socket, deadline);
        }
        if report.is_err() {
            watched.kill();
        }
        drop(stop_relay);
        report
    });
    let elapsed = begun.elapsed();
    if cancel.is_cancelled() {
        return Ok(Outcome { status: ExitStatus::Interrupted, elapsed, scratch: None });
    }
    let (status, scratch) = ending(report)?;
    Ok(Outcome { status, elapsed, scratch })
}

/// What the helper's last word says of the command, and the scratch directory that it handed over.
fn ending(
    report: io::Result<Option<(Report, Vec<OwnedFd>)>>,
) -> Result<(ExitStatus, Option<OwnedFd>), RunError> {
    let mut scratch = None;
    let mut keep = |fds: Vec<OwnedFd>| scratch = fds.into_iter().next();
    let status = match report {
        Ok(Some((Report::Ended { code: Some(code), .. }, fds))) => {
            keep(fds);
            ExitStatus::Code(code)
        }
        Ok(Some((Report::Ended { signal: Some(signal), .. }, fds))) => {
            keep(fds);
            ExitStatus::Signal(signal)
        }
        Ok(Some((Report::Failed(message), _))) => return Err(RunError::Setup { message }),
        Ok(_) => return Err(RunError::Vanished),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => ExitStatus::TimedOut,
        Err(source) => return Err(RunError::Channel { source }),
    };
    Ok((status, scratch))
}

/// Waits for the helper's next word, at most until `deadline`.
fn next_report(
    socket: &UnixStream,
    deadline: Option<Instant>,
) -> io::Result<Option<(Report, Vec<OwnedFd>)>> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    socket.set_read_timeout(left)?;
    channel::receive(socket)
}

fn relay(terminals: &[OwnedFd], stopped: &UnixStream) {
    for terminal in terminals {
        if let Err(error) = super::pty::relay(terminal, stopped) {
            tracing::warn!(%error, "the terminal is no longer relayed");
        }
    }
}

fn drain(pipe: impl io::Read, each: impl FnMut(&[u8])) {
    if let Err(error) = each_line(pipe, each) {
        tracing::warn!(%error, "output of the sandbox is lost");
    }
}

/// Makes upper and work directories that lie on disk, owned by the sandbox's root.
fn prepare(identity: &Identity, plan: &SandboxPlan) -> io::Result<()> {
    if plan.scratch_bytes.is_some() {
        return Ok(());
    }
    for OverlayPlan { upper, work, .. } in plan.overlays() {
        for directory in [upper, work] {
            make(identity, directory)?;
        }
    }
    Ok(())
}

fn make(identity: &Identity, directory: &Path) -> io::Result<()> {
    match fs_err::create_dir(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    // umask is the user's; the root of a file system is everybody's to enter.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(directory, mode)?;
    let (uid, gid) = identity.outside_root();
    if uid != rustix::process::geteuid().as_raw() {
        fs_err::os::unix::fs::lchown(directory, Some(uid), Some(gid))?;
    }
    Ok(())
}

/// A name that no other sandbox of this machine has while it runs.
fn unique_id(hint: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let hint: String = hint.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("goldsmith-{hint}-{}-{count}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_plain() {
        let (a, b) = (unique_id("in st/all"), unique_id("in st/all"));
        assert_ne!(a, b);
        assert!(a.starts_with("goldsmith-install-"));
    }
}
