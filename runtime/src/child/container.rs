//! Drives libcontainer: the only room that names it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::wait::{WaitStatus, waitpid};

use super::cgroup::CgroupPath;
use super::console::Console;
use super::executor::HookExecutor;
use super::rootfs::{ROOT, WORKSHOP};
use super::spec::{KernelSources, Source, specification};
use crate::messages::{Report, SandboxRequest};
use crate::plan::Stdin;

/// Runs the request's command as the first process of a container and waits for its end.
pub(super) fn run(
    request: &SandboxRequest,
    stdin: Option<OwnedFd>,
    builder: &UnixStream,
) -> Result<Report, String> {
    let log = CauseLog::install();
    let sources = KernelSources { proc: which_proc()?, sys: which_sys() };
    let cgroup = CgroupPath::new(&request.id)?;
    let spec = specification(request, Path::new(ROOT), &cgroup, sources)?;
    let bundle = Path::new(WORKSHOP).join("bundle");
    spec.save(bundle.join("config.json")).map_err(|error| format!("config.json: {error}"))?;
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => fs_err::File::open("/dev/null")
            .map_err(|error| error.to_string())?
            .into_parts()
            .0
            .into(),
    };
    let failed = |error: libcontainer::error::LibcontainerError| {
        let mut text = format!("container: {error}");
        for cause in log.causes() {
            text.push_str("; ");
            text.push_str(&cause);
        }
        text
    };
    let executor = HookExecutor::new(&request.plan)?;
    let console = match request.plan.stdin {
        Stdin::Terminal => Some(Console::listen()?),
        Stdin::Null | Stdin::Inherit => None,
    };
    let mut container = ContainerBuilder::new(request.id.clone(), SyscallType::default())
        .with_root_path(Path::new(WORKSHOP).join("state"))
        .map_err(&failed)?
        .with_executor(executor.clone())
        .with_stdin(stdin)
        .with_console_socket(console.as_ref().map(|_| Console::PATH))
        .as_init(&bundle)
        .with_systemd(false)
        // libcontainer's word for a console that is relayed by somebody else.
        .with_detach(console.is_some())
        .build()
        .map_err(&failed)?;
    let pid = container.pid().ok_or("the container has no process")?;
    if let Some(console) = console {
        console.hand_over(request.terminal_size, builder)?;
    }
    container.start().map_err(&failed)?;
    let ended = wait(pid)?;
    // Until here the helper's end of the pipe shows that it lives.
    drop(executor);
    if let Err(error) = container.delete(true) {
        tracing::debug!(%error, "state of the container is left on its tmpfs");
    }
    Ok(ended)
}

fn wait(pid: nix::unistd::Pid) -> Result<Report, String> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => {
                return Ok(Report::Ended { code: Some(code), signal: None });
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                return Ok(Report::Ended { code: None, signal: Some(signal as i32) });
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(format!("waitpid: {error}")),
        }
    }
}

/// Finds out whether a fresh /proc can be mounted.
///
/// The kernel refuses one when parts of every visible /proc are covered, as in a pod.
/// Asked in a process of its own: only a new process enters a new pid namespace, but the
/// check (mount_too_revealing) is the same for the current one.
fn which_proc() -> Result<Source, String> {
    let trial = format!("{WORKSHOP}/proc");
    fs_err::create_dir(&trial).map_err(|error| error.to_string())?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let none: Option<&str> = None;
    match mount(Some("proc"), trial.as_str(), Some("proc"), flags, none) {
        Ok(()) => {
            umount2(trial.as_str(), MntFlags::MNT_DETACH)
                .map_err(|error| format!("umount({trial}): {error}"))?;
            Ok(Source::Mounted)
        }
        // A pid namespace that this user namespace does not own says EPERM as well.
        Err(nix::errno::Errno::EPERM) if proc_is_covered() => Ok(Source::Bound),
        Err(_) => Ok(Source::Mounted),
    }
}

/// Whether anything is mounted below /proc.
pub(crate) fn proc_is_covered() -> bool {
    let text = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().any(|line| {
        line.split(' ').nth(4).is_some_and(|point| {
            point.starts_with("/proc/") && !point.starts_with("/proc/sys/fs/binfmt_misc")
        })
    })
}

/// Finds out whether a fresh /sys can be mounted, by the kernel's own rule: it cannot when
/// anything visible of the outer one is covered, as a pod's is. There is no trying: only
/// the container's own network namespace may have a sysfs.
fn which_sys() -> Source {
    let text = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if sys_is_covered(&text) { Source::Bound } else { Source::Mounted }
}

/// Directories of sysfs that are always empty, so that a mount on them covers nothing.
const SYS_MOUNT_POINTS: [&str; 11] = [
    "/sys/firmware/efi/efivars",
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
    "/sys/fs/fuse/connections",
    "/sys/fs/pstore",
    "/sys/fs/resctrl",
    "/sys/fs/selinux",
    "/sys/kernel/config",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
];

/// Whether a mount covers a part of /sys that is not empty, or /sys is not mounted at all.
fn sys_is_covered(mountinfo: &str) -> bool {
    let points: Vec<_> = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    let harmless =
        |point: &str| SYS_MOUNT_POINTS.iter().any(|empty| Path::new(point).starts_with(empty));
    !points.contains(&"/sys")
        || points.iter().any(|point| point.starts_with("/sys/") && !harmless(point))
}

/// Collects errors that libcontainer only logs: its own error says "failed to prepare
/// rootfs" and no more. The container's first process, a copy of this one until it executes
/// the hook, writes them to the hook's standard error.
#[derive(Debug, Clone)]
struct CauseLog {
    helper: u32,
    causes: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl CauseLog {
    fn install() -> Self {
        let log = Self { helper: std::process::id(), causes: std::sync::Arc::default() };
        if tracing::subscriber::set_global_default(log.clone()).is_err() {
            tracing::debug!("a subscriber is installed already");
        }
        log
    }

    fn causes(&self) -> Vec<String> {
        self.causes.lock().map(|causes| causes.clone()).unwrap_or_default()
    }
}

impl tracing::Subscriber for CauseLog {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= tracing::Level::ERROR
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if !self.0.is_empty() {
                    self.0.push(' ');
                }
                self.0.push_str(&format!("{field}={value:?}"));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        if std::process::id() != self.helper {
            let line = format!("sandbox: {}\n", text.0);
            // Nowhere is left to report to when this fails.
            rustix::io::write(rustix::stdio::stderr(), line.as_bytes()).unwrap_or_default();
        } else if let Ok(mut causes) = self.causes.lock() {
            causes.push(text.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_sys_is_noticed() {
        let line = |point: &str| format!("30 23 0:28 / {point} ro,nosuid - tmpfs tmpfs ro\n");
        let host = line("/sys") + &line("/sys/fs/cgroup") + &line("/sys/kernel/debug/tracing");
        for (what, text, covered) in [
            ("a host", host.clone(), false),
            ("a pod", host.clone() + &line("/sys/firmware"), true),
            ("a name that begins alike", host + &line("/sys/fs/cgroups"), true),
            ("no sysfs", line("/proc"), true),
        ] {
            assert_eq!(sys_is_covered(&text), covered, "{what}");
        }
    }
}
