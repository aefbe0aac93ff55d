//! What can only be tried as root of a fresh user namespace.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::formats::{FORMATS, FORMATS_FIX};
use super::{Check, check};
use crate::child::{FILE_SYSTEM, describe};
use crate::parent::job::JobInput;

const NONE: Option<&str> = None;

/// The body of [`super::PROBE_JOB`].
pub(super) fn look(input: JobInput) -> Result<serde_json::Value, String> {
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::empty(), NONE)
        .map_err(|error| format!("mount(tmpfs): {error}"))?;
    for directory in ["a", "b", "u", "w", "m"] {
        fs_err::create_dir(Path::new("/tmp").join(directory)).map_err(|error| error.to_string())?;
    }
    let checks = match input.request.as_str() {
        Some(FORMATS) => vec![foreign_architectures()],
        _ => vec![overlay(), control_groups(), foreign_architectures()],
    };
    serde_json::to_value(checks).map_err(|error| error.to_string())
}

fn overlay() -> Check {
    let name = "overlay in a user namespace";
    let options = "lowerdir=/tmp/a:/tmp/b,upperdir=/tmp/u,workdir=/tmp/w,userxattr";
    match mount(Some("overlay"), "/tmp/m", Some("overlay"), MsFlags::empty(), Some(options)) {
        Ok(()) => {
            if umount2("/tmp/m", MntFlags::MNT_DETACH).is_err() {
                tracing::debug!("the trial overlay goes with the namespace");
            }
            check(name, true, "works with userxattr", "")
        }
        Err(nix::errno::Errno::ENODEV) => {
            let fix = "as root: modprobe overlay";
            check(name, false, "the kernel does not know overlay", fix)
        }
        Err(error) => {
            let detail = format!("mount(overlay, userxattr): {error}");
            check(name, false, &detail, "use a kernel from 5.11 on with the overlay module")
        }
    }
}

fn control_groups() -> Check {
    let v2 = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .find(|path| Path::new(path).join("cgroup.controllers").exists());
    if let Some(path) = v2 {
        return check("control groups", true, &format!("version 2 at {path}"), "");
    }
    let detail = "no version 2 hierarchy is mounted; one is mounted privately";
    check("control groups", false, detail, "").optional()
}

/// Whether a sandbox can be given programs of other machines.
fn foreign_architectures() -> Check {
    match mount(Some(FILE_SYSTEM), "/tmp/m", Some(FILE_SYSTEM), MsFlags::empty(), NONE) {
        Ok(()) => {
            if umount2("/tmp/m", MntFlags::MNT_DETACH).is_err() {
                tracing::debug!("the trial mount goes with the namespace");
            }
            check(FORMATS, true, "binfmt_misc mounts in a user namespace", "")
        }
        Err(error) => check(FORMATS, false, &describe(error), FORMATS_FIX),
    }
    .optional()
}
