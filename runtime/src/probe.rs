//! What this host allows, and how to mend what it lacks.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::identity::{Identity, IdentityMode};
use crate::parent::job::{Job, JobInput, run_job};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it is, for instance `user namespaces`.
    pub name: String,
    /// Whether it is there.
    pub ok: bool,
    /// Whether nothing works without it.
    pub required: bool,
    /// What was seen.
    pub detail: String,
    /// The command or setting that mends it; empty when nothing has to be mended.
    pub fix: String,
}

/// All that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// The identity mode, when builds are possible.
    pub mode: Option<IdentityMode>,
    /// Why that mode, in words.
    pub why: String,
    /// The checks, most important first.
    pub checks: Vec<Check>,
}

impl HostReport {
    /// Whether a build can run here.
    pub fn usable(&self) -> bool {
        self.mode.is_some() && self.checks.iter().all(|check| check.ok || !check.required)
    }
}

/// The job that [`probe`] runs inside; part of every job table.
pub const PROBE_JOB: Job = Job { name: "probe", run: inside };

/// Looks at this host; makes namespaces for it, changes nothing.
///
/// The job table given to [`crate::init_if_child`] must contain [`PROBE_JOB`].
pub fn probe() -> HostReport {
    let mut checks = vec![namespaces_allowed()];
    let identity = Identity::detect();
    let (mode, why) = match &identity {
        Ok(identity) => (Some(identity.mode), describe(identity)),
        Err(error) => (None, error.to_string()),
    };
    checks.push(match &identity {
        Ok(_) => check("subordinate ids", true, &why, ""),
        Err(error) => check("subordinate ids", false, &error.to_string(), &error.fix()),
    });
    if let Ok(identity) = &identity {
        match run_job(identity, PROBE_JOB.name, &serde_json::Value::Null, &[]) {
            Ok(value) => match serde_json::from_value::<Vec<Check>>(value) {
                Ok(found) => checks.extend(found),
                Err(error) => checks.push(check("namespace", false, &error.to_string(), "")),
            },
            Err(error) => checks.push(check("namespace", false, &error.to_string(), NAMESPACE_FIX)),
        }
    }
    checks.push(loop_devices());
    HostReport { mode, why, checks }
}

const NAMESPACE_FIX: &str = "allow user namespaces: `sysctl -w user.max_user_namespaces=15000`; on Ubuntu `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`; in Kubernetes see docs/kubernetes.md";

fn check(name: &str, ok: bool, detail: &str, fix: &str) -> Check {
    Check { name: name.into(), ok, required: true, detail: detail.into(), fix: fix.into() }
}

fn describe(identity: &Identity) -> String {
    let range = identity.uids.iter().max_by_key(|range| range.count);
    let first = range.map_or(0, |range| range.outside);
    match identity.mode {
        IdentityMode::Range => format!(
            "an ordinary user with subordinate ids from {first} on: the image's root is the user, every other id one of the range"
        ),
        IdentityMode::Root => {
            format!("root, mapped to the ids from {first} on, which nobody else uses")
        }
        IdentityMode::Nested => "root of a container's own user namespace".to_owned(),
    }
}

fn namespaces_allowed() -> Check {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default().trim().to_owned();
    let name = "user namespaces";
    if read("/proc/sys/user/max_user_namespaces") == "0" {
        let fix = "as root: sysctl -w user.max_user_namespaces=15000";
        return check(name, false, "user.max_user_namespaces is 0", fix);
    }
    if read("/proc/sys/kernel/unprivileged_userns_clone") == "0"
        && !rustix::process::geteuid().is_root()
    {
        let fix = "as root: sysctl -w kernel.unprivileged_userns_clone=1";
        return check(name, false, "kernel.unprivileged_userns_clone is 0", fix);
    }
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        let detail = "AppArmor restricts user namespaces of ordinary users";
        let fix = "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or load an AppArmor profile for goldsmith";
        let unprivileged = !rustix::process::geteuid().is_root();
        return check(name, !unprivileged, detail, if unprivileged { fix } else { "" });
    }
    check(name, true, "allowed", "")
}

fn loop_devices() -> Check {
    let control = Path::new("/dev/loop-control").exists();
    let root = rustix::process::geteuid().is_root();
    let (detail, fix) = match (control, root) {
        (true, true) => ("/dev/loop-control is there", ""),
        (true, false) => {
            ("needs root; only `--backend loop` uses them", "run the last step as root")
        }
        (false, _) => {
            ("no /dev/loop-control; only `--backend loop` uses them", "as root: modprobe loop")
        }
    };
    Check { required: false, ..check("loop devices", control && root, detail, fix) }
}

/// Tries what sandboxes do, as root of a fresh user namespace.
fn inside(_: JobInput) -> Result<serde_json::Value, String> {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let none: Option<&str> = None;
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::empty(), none)
        .map_err(|error| format!("mount(tmpfs): {error}"))?;
    for directory in ["a", "b", "u", "w", "m"] {
        fs_err::create_dir(Path::new("/tmp").join(directory)).map_err(|error| error.to_string())?;
    }
    let options = "lowerdir=/tmp/a:/tmp/b,upperdir=/tmp/u,workdir=/tmp/w,userxattr";
    let overlay =
        mount(Some("overlay"), "/tmp/m", Some("overlay"), MsFlags::empty(), Some(options));
    let mut checks = vec![match overlay {
        Ok(()) => check("overlay in a user namespace", true, "works with userxattr", ""),
        Err(error) => check(
            "overlay in a user namespace",
            false,
            &format!("mount(overlay, userxattr): {error}"),
            "use a kernel from 5.11 on with the overlay module",
        ),
    }];
    if overlay.is_ok() && umount2("/tmp/m", MntFlags::MNT_DETACH).is_err() {
        tracing::debug!("the trial overlay goes with the namespace");
    }
    let v2 = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .find(|path| Path::new(path).join("cgroup.controllers").exists());
    checks.push(match v2 {
        Some(path) => check("control groups", true, &format!("version 2 at {path}"), ""),
        None => Check {
            required: false,
            ..check(
                "control groups",
                false,
                "no version 2 hierarchy is mounted; one is mounted privately",
                "",
            )
        },
    });
    let binfmt = mount(Some("binfmt_misc"), "/tmp/m", Some("binfmt_misc"), MsFlags::empty(), none);
    checks.push(Check {
        required: false,
        ..match binfmt {
            Ok(()) => {
                check("foreign architectures", true, "binfmt_misc mounts in a user namespace", "")
            }
            Err(error) => check(
                "foreign architectures",
                false,
                &format!("mount(binfmt_misc): {error}"),
                "use a kernel from 6.7 on to build for another architecture",
            ),
        }
    });
    serde_json::to_value(checks).map_err(|error| error.to_string())
}
