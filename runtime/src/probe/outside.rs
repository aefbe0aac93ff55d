//! What can be seen without entering a namespace.

use std::path::Path;

use super::{Check, check};
use crate::identity::{IdentityMode, find_program};

fn read(path: &str) -> String {
    fs_err::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What a pod needs, when this is one (docs/kubernetes.md).
pub(super) fn pod_fix() -> Option<&'static str> {
    let pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        || Path::new("/var/run/secrets/kubernetes.io").exists();
    pod.then_some(
        "in the pod: hostUsers: false and securityContext {runAsUser: 0, seccompProfile: {type: Unconfined}}, or capabilities {add: [SYS_ADMIN]} in place of the profile; see docs/kubernetes.md",
    )
}

/// Whether sysctls forbid user namespaces.
pub(super) fn namespaces_allowed() -> Check {
    let name = "user namespaces";
    let unprivileged = !rustix::process::geteuid().is_root();
    if read("/proc/sys/user/max_user_namespaces") == "0" {
        let fix = "as root: sysctl -w user.max_user_namespaces=15000";
        return check(name, false, "user.max_user_namespaces is 0", fix);
    }
    if unprivileged && read("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        let fix = "as root: sysctl -w kernel.unprivileged_userns_clone=1";
        return check(name, false, "kernel.unprivileged_userns_clone is 0", fix);
    }
    if unprivileged && read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        let detail = "AppArmor restricts user namespaces of ordinary users, unless a profile allows this program";
        let fix = "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or load an AppArmor profile for goldsmith with `userns,`";
        // A profile may be in force: entering one, tried next, decides.
        return check(name, false, detail, fix).optional();
    }
    check(name, true, "no setting forbids them", "")
}

/// Whether the programs that write id maps for a user can do so.
pub(super) fn map_helpers(mode: IdentityMode) -> Option<Check> {
    if mode != IdentityMode::Range {
        return None;
    }
    let name = "newuidmap, newgidmap";
    if read("/proc/self/status").lines().any(|line| line == "NoNewPrivs:\t1") {
        let detail = "no_new_privs is set: they would run without their privilege";
        let fix = "start goldsmith without no_new_privs (systemd: NoNewPrivileges=no; Kubernetes: allowPrivilegeEscalation: true)";
        return Some(check(name, false, detail, fix));
    }
    for program in ["newuidmap", "newgidmap"] {
        let path = find_program(program)?;
        if !is_privileged(&path) {
            let detail = format!("{} is neither set-uid nor has file capabilities", path.display());
            let fix = format!("as root: chmod u+s {}", path.display());
            return Some(check(name, false, &detail, &fix));
        }
    }
    Some(check(name, true, "installed, with their privilege", ""))
}

fn is_privileged(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let set_uid =
        fs_err::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o4000 != 0);
    let mut nothing: [u8; 0] = [];
    set_uid || rustix::fs::getxattr(path, "security.capability", &mut nothing[..]).is_ok()
}

/// Whether the kernel filters system calls with an error as the answer.
pub(super) fn seccomp() -> Check {
    let actions = read("/proc/sys/kernel/seccomp/actions_avail");
    if actions.split(' ').any(|action| action == "errno") {
        return check("seccomp filters", true, "the kernel has them", "");
    }
    let fix = "use a kernel with CONFIG_SECCOMP_FILTER";
    check("seccomp filters", false, "this kernel has none", fix)
}

/// Whether sandboxes get a /proc of their own.
pub(super) fn proc() -> Check {
    let name = "/proc of a sandbox";
    if crate::child::proc_is_covered() {
        let detail = "parts of this /proc are masked, so sandboxes see it in place of their own";
        let fix = "in the pod: procMount: Unmasked (needs hostUsers: false); not needed for builds";
        return check(name, false, detail, fix).optional();
    }
    check(name, true, "a fresh one", "")
}

/// Whether loop devices could be used; no build needs them.
pub(super) fn loop_devices() -> Check {
    let control = Path::new("/dev/loop-control").exists();
    let root = rustix::process::geteuid().is_root();
    let (detail, fix) = match (control, root) {
        (true, true) => ("/dev/loop-control is there", ""),
        (true, false) => ("need root; only --backend loop needs them", "run that build as root"),
        (false, _) => {
            ("no /dev/loop-control; only --backend loop needs them", "as root: modprobe loop")
        }
    };
    check("loop devices", control && root, detail, fix).optional()
}
