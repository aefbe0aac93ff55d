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
    // Without the list, as in a container, only mount(2) can tell.
    fs_err::read_to_string(modules).map_or(true, |list| has_module(&list, kind))
}

/// Whether modules.dep(5) lists the file system's module.
fn has_module(list: &str, kind: &str) -> bool {
    let file = format!("/{kind}.ko");
    list.lines().filter_map(|line| line.split(':').next()).any(|name| name.contains(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_the_kernels_or_modules() {
        check_kernel(&["proc"]).unwrap();
        let list = "kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz\nkernel/fs/ext4/ext4.ko:\n";
        assert!(has_module(list, "xfs") && has_module(list, "ext4"));
        assert!(!has_module(list, "libcrc32c") && !has_module(list, "fs"));
    }
}
