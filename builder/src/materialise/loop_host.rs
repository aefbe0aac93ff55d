//! What the loop backend needs of the host, told before anything runs.

use std::path::Path;

use goldsmith_runtime::IdentityMode;

use crate::error::{Failure, Kind, Result};
use crate::phase::session::Session;

/// Fails early where the backend cannot work.
///
/// # Errors
///
/// When the caller is not root of the host, or there are no loop devices.
pub fn check(session: &Session) -> Result<()> {
    if session.identity.mode != IdentityMode::Root {
        return Err(Failure::new(Kind::Host, "--backend loop needs root: it mounts file systems")
            .hint("run it as root, or leave --backend out: the image backend needs no privilege"));
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err(Failure::new(Kind::Host, "--backend loop needs /dev/loop-control")
            .hint("modprobe loop; in a container, a privileged one that sees the host's /dev"));
    }
    Ok(())
}

/// Fails early where the kernel knows one of these file systems neither now nor by a module.
///
/// # Errors
///
/// With the name of the file system.
pub fn check_kernel(kinds: &[&str]) -> Result<()> {
    let Some(kind) = kinds.iter().find(|kind| !is_known(kind)) else { return Ok(()) };
    let message = format!("--backend loop mounts {kind}, which this kernel does not know");
    Err(Failure::new(Kind::Host, message)
        .hint(format!("modprobe {kind}, or leave --backend out: the image backend asks no kernel")))
}

/// Whether mount(2) finds the file system, or a module of it.
fn is_known(kind: &str) -> bool {
    let known = fs_err::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.rsplit('\t').next() == Some(kind)) {
        return true;
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let modules = Path::new("/lib/modules").join(release).join("modules.dep");
    let list = fs_err::read_to_string(modules).unwrap_or_default();
    let file = format!("/{kind}.ko");
    list.lines().filter_map(|line| line.split(':').next()).any(|name| name.contains(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_kernel_has_is_named() {
        check_kernel(&["proc"]).unwrap();
        let failure = check_kernel(&["proc", "no-such-fs"]).unwrap_err();
        assert!(failure.message.contains("mounts no-such-fs"), "{failure}");
        assert_eq!(failure.kind, Kind::Host);
    }
}
