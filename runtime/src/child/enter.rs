//! Enters new user and mount namespaces and becomes their root.

use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::channel;
use crate::messages::{Mapped, Report};

/// Dies with the parent from here on.
///
/// The flag follows the thread that forked; the builder forks from a thread that lives as
/// long as the run. A parent that died before the call has closed its end of the socket,
/// which the next message notices.
pub(super) fn die_with_parent() -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("prctl(PR_SET_PDEATHSIG): {error}"))
}

/// Unshares, waits for the id maps and stops mounts from leaking either way.
///
/// The process still has the caller's ids afterwards: what only the caller may open can be
/// opened between this and [`become_root`].
pub(super) fn namespaces(socket: &UnixStream) -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(|error| match error {
        // The kernel's ENOSPC is about a limit; spelled out it would look like a full disk.
        Errno::ENOSPC => "no further user namespace is allowed here: user.max_user_namespaces or user.max_mnt_namespaces is reached".to_owned(),
        error => format!("unshare(CLONE_NEWUSER|CLONE_NEWNS): {error}: user namespaces are not allowed here"),
    })?;
    channel::send(socket, &Report::Unshared, &[]).map_err(|error| format!("report: {error}"))?;
    let mapped = channel::receive::<Mapped>(socket).map_err(|error| format!("go: {error}"))?;
    if mapped.is_none() {
        return Err("the builder gave up".to_owned());
    }
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| format!("mount(/, MS_PRIVATE): {error}"))
}

/// Takes the ids of the namespace's root; supplementary groups are dropped.
pub(super) fn become_root() -> Result<(), String> {
    let parent = nix::unistd::getppid();
    let root = Gid::from_raw(0);
    setgroups(&[]).map_err(|error| format!("setgroups: {error}"))?;
    setresgid(root, root, root).map_err(|error| format!("setresgid(0): {error}"))?;
    let root = Uid::from_raw(0);
    setresuid(root, root, root).map_err(|error| format!("setresuid(0): {error}"))?;
    // A change of ids clears the death signal (prctl(2)); a parent that died just then sent none.
    die_with_parent()?;
    if nix::unistd::getppid() == parent {
        return Ok(());
    }
    Err("the builder is gone".to_owned())
}
