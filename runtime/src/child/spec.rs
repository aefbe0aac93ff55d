//! From a plan to an OCI runtime specification.
//!
//! The user namespace exists already, so the specification names none; the plan's own
//! mounts are attached already, so it lists only the kernel's file systems.

use std::path::Path;

use oci_spec::runtime::{
    Capabilities, Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespaceBuilder,
    LinuxNamespaceType, Mount, MountBuilder, ProcessBuilder, RootBuilder, Spec, SpecBuilder, User,
    UserBuilder,
};

use super::cgroup::CgroupPath;
use super::rootfs::device_path;
use crate::messages::SandboxRequest;
use crate::plan::{Network, Privilege, Stdin, UserPlan};

/// What package managers and their maintainer scripts need. Everything counts inside the
/// user namespace only.
const PACKAGE: [Capability; 13] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::Setfcap,
    Capability::SysChroot,
    Capability::Mknod,
    Capability::NetBindService,
];

/// How a file system of the kernel's can be had here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A fresh one.
    Mounted,
    /// The outer one: pods mask theirs, and then the kernel refuses a fresh one.
    Bound,
}

/// How /proc and /sys come into the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KernelSources {
    pub(super) proc: Source,
    pub(super) sys: Source,
}

/// Builds the specification.
pub(super) fn specification(
    request: &SandboxRequest,
    root: &Path,
    cgroup: &CgroupPath,
    sources: KernelSources,
) -> Result<Spec, String> {
    let plan = &request.plan;
    let text = |error: oci_spec::OciSpecError| format!("runtime specification: {error}");
    // The executor sets the real environment. Without this line libcontainer would ask the
    // image's passwd file, and its name service libraries, for a home directory, with
    // descriptors of the host still open.
    let env = vec!["HOME=/".to_owned()];
    let capabilities = capabilities(plan.privilege).map_err(text)?;
    let process = ProcessBuilder::default()
        .terminal(plan.stdin == Stdin::Terminal)
        .user(user(&plan.user).map_err(text)?)
        .args(plan.argv.clone())
        .env(env)
        .cwd(&plan.cwd)
        .capabilities(capabilities)
        .no_new_privileges(true)
        .build()
        .map_err(text)?;
    let mut kinds = vec![
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
    ];
    if plan.network == Network::None {
        kinds.push(LinuxNamespaceType::Network);
    }
    let namespaces = kinds
        .into_iter()
        .map(|kind| LinuxNamespaceBuilder::default().typ(kind).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(text)?;
    let masked = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats"];
    let frozen = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];
    // A host phase binds /proc into the image's tree; a masked one cannot be bound again.
    let guarded = sources.proc == Source::Mounted;
    let paths = |list: &[&str]| {
        if guarded { list.iter().map(|path| (*path).to_owned()).collect() } else { Vec::new() }
    };
    let linux = LinuxBuilder::default()
        .namespaces(namespaces)
        .cgroups_path(cgroup.to_string())
        .masked_paths(paths(&masked))
        .readonly_paths(paths(&frozen))
        .devices(Vec::new())
        .build()
        .map_err(text)?;
    SpecBuilder::default()
        .version("1.2.0")
        .root(RootBuilder::default().path(root).readonly(false).build().map_err(text)?)
        .hostname(plan.hostname.clone())
        .process(process)
        .mounts(kernel_mounts(request, sources).map_err(text)?)
        .linux(linux)
        .build()
        .map_err(text)
}

fn user(plan: &UserPlan) -> Result<User, oci_spec::OciSpecError> {
    // Not that of whoever calls: an image is the same for everybody.
    let user = UserBuilder::default().uid(plan.uid).gid(plan.gid).umask(0o022_u32);
    if plan.groups.is_empty() {
        return user.build();
    }
    user.additional_gids(plan.groups.clone()).build()
}

fn capabilities(
    privilege: Privilege,
) -> Result<oci_spec::runtime::LinuxCapabilities, oci_spec::OciSpecError> {
    let mut set: Capabilities = PACKAGE.into_iter().collect();
    if privilege == Privilege::Mounting {
        set.insert(Capability::SysAdmin);
    }
    LinuxCapabilitiesBuilder::default()
        .bounding(set.clone())
        .effective(set.clone())
        .permitted(set)
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()
}

fn kernel_mounts(
    request: &SandboxRequest,
    sources: KernelSources,
) -> Result<Vec<Mount>, oci_spec::OciSpecError> {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| {
        MountBuilder::default()
            .destination(destination)
            .typ(kind)
            .source(source)
            .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
            .build()
    };
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if request.tty_group {
        pts.push("gid=5");
    }
    let guarded = ["nosuid", "noexec", "nodev"];
    // A sysfs of its own needs a network namespace of its own.
    let sys = if request.plan.network == Network::None && sources.sys == Source::Mounted {
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
    } else {
        mount("/sys", "bind", "/sys", &["rbind", "rro", "nosuid", "noexec", "nodev"])
    };
    let mut mounts = vec![
        match sources.proc {
            Source::Mounted => mount("/proc", "proc", "proc", &guarded)?,
            Source::Bound => mount("/proc", "bind", "/proc", &["rbind"])?,
        },
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        mount("/dev/pts", "devpts", "devpts", &pts)?,
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777"])?,
        sys?,
    ];
    for (index, device) in request.plan.devices.iter().enumerate() {
        let name = Path::new("/dev").join(&device.name);
        let options = ["bind", "nosuid", "noexec"];
        mounts.push(mount(&name.to_string_lossy(), "bind", &device_path(index), &options)?);
    }
    Ok(mounts)
}
