//! Serves one sandbox: namespaces, root file system, mounts, container.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::{cgroup, container, enter, network, rootfs};
use crate::channel;
use crate::messages::{Report, SandboxRequest};

/// Returns how it ended and, if the plan asked for one, the tmpfs that overlays wrote to.
pub(super) fn serve(socket: &UnixStream) -> Result<(Report, Option<OwnedFd>), String> {
    enter::die_with_parent()?;
    nix::unistd::setsid().map_err(|error| format!("setsid: {error}"))?;
    let received = channel::receive::<SandboxRequest>(socket).map_err(|error| error.to_string())?;
    let Some((request, mut files)) = received else { return Err("no request".to_owned()) };
    enter::namespaces(socket)?;
    // Opened with the caller's ids: a cache below /root is closed to everybody else.
    let sources = rootfs::open_sources(&request.plan)?;
    // The caller's directory may lie below the one that the workshop is going to hide, and
    // libcontainer changes back to where it was.
    nix::unistd::chdir("/").map_err(|error| format!("chdir(/): {error}"))?;
    enter::become_root()?;
    network::prepare(request.plan.network, socket)?;
    cgroup::prepare()?;
    let mut root = rootfs::assemble(&request.plan, sources)?;
    let ended = container::run(&request, files.pop(), socket);
    root.clear_mount_points();
    Ok((ended?, root.into_scratch()))
}
