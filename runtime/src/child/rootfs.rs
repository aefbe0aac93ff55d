//! The root file system and the mounts beside it.
//!
//! All of it lies on a tmpfs in the helper's own mount namespace and is gone with it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use super::formats;
use super::mounts::{Attached, attach};
use super::scratch::Scratch;
use crate::plan::{MountPlan, MountSource, OverlayPlan, RootPlan, SandboxPlan};

/// Where the helper works; hides the host's directory of that name from it.
pub(super) const WORKSHOP: &str = "/tmp";
/// The container's root.
pub(super) const ROOT: &str = "/tmp/rootfs";

/// The directories of the plan, opened while the caller's ids were still in force.
#[derive(Debug)]
pub(super) struct Sources(VecDeque<OwnedFd>);

impl Sources {
    fn next(&mut self) -> Result<OwnedFd, String> {
        self.0.pop_front().ok_or_else(|| "more mounts than sources".to_owned())
    }
}

fn open(path: &Path) -> Result<OwnedFd, String> {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("open({}): {error}", path.display()))
}

/// Opens what a hook named: nothing on the way may lead out of `root`.
fn open_below(root: &Path, path: &Path) -> Result<OwnedFd, String> {
    let top = open(root)?;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(&top, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).map_err(|error| {
        let (path, root) = (path.display(), root.display());
        match error {
            rustix::io::Errno::XDEV => format!("the mount source {path} leads out of {root}"),
            error => format!("open({path} below {root}): {error}"),
        }
    })
}

fn open_overlay(
    overlay: &OverlayPlan,
    on_disk: bool,
    sources: &mut VecDeque<OwnedFd>,
) -> Result<(), String> {
    let own = [&overlay.upper, &overlay.work].into_iter().filter(|_| on_disk);
    for path in overlay.lowers.iter().chain(own) {
        sources.push_back(open(path)?);
    }
    Ok(())
}

/// Opens every directory and file that the plan names, in the plan's order.
pub(super) fn open_sources(plan: &SandboxPlan) -> Result<Sources, String> {
    let mut sources = VecDeque::new();
    let on_disk = plan.scratch_bytes.is_none();
    match &plan.root {
        RootPlan::Overlay(overlay) => open_overlay(overlay, on_disk, &mut sources)?,
        RootPlan::Directory(directory) => sources.push_back(open(directory)?),
    }
    for MountPlan { source, .. } in &plan.mounts {
        match source {
            MountSource::Bind(path) => sources.push_back(open(path)?),
            MountSource::BindBelow { root, path } => sources.push_back(open_below(root, path)?),
            MountSource::Overlay(overlay) => open_overlay(overlay, on_disk, &mut sources)?,
            MountSource::Tmpfs { .. } | MountSource::Text(_) => {}
        }
    }
    for device in &plan.devices {
        sources.push_back(open(&device.source)?);
    }
    for format in &plan.formats {
        sources.push_back(open(&format.interpreter)?);
    }
    Ok(Sources(sources))
}

/// The assembled root.
#[derive(Debug)]
pub(super) struct Root {
    attached: Vec<Attached>,
    scratch: Option<Scratch>,
}

impl Root {
    /// Takes the mounts off and removes mount points that only they needed.
    pub(super) fn clear_mount_points(&mut self) {
        while let Some(attached) = self.attached.pop() {
            attached.clear();
        }
    }

    /// The root of the tmpfs that overlays wrote to, if the plan asked for one.
    pub(super) fn into_scratch(self) -> Option<OwnedFd> {
        self.scratch.map(Scratch::into_root)
    }
}

/// Mounts root and mounts; the container's files go beside them.
pub(super) fn assemble(plan: &SandboxPlan, mut sources: Sources) -> Result<Root, String> {
    tmpfs(WORKSHOP, 0o700)?;
    for directory in [ROOT, "/tmp/bundle", "/tmp/state", "/tmp/texts", "/tmp/devices"] {
        fs_err::create_dir(directory).map_err(|error| error.to_string())?;
    }
    let none: Option<&str> = None;
    let mut scratch = plan.scratch_bytes.map(Scratch::mount).transpose()?;
    match &plan.root {
        RootPlan::Overlay(overlay) => {
            mount_overlay(overlay, &mut sources, scratch.as_mut(), Path::new(ROOT))?;
        }
        RootPlan::Directory(_) => {
            let directory = sources.next()?;
            let source = fd_path(&directory);
            mount(Some(source.as_str()), ROOT, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)
                .map_err(|error| format!("mount(root directory): {error}"))?;
        }
    }
    let mut attached = Vec::new();
    for (index, planned) in plan.mounts.iter().enumerate() {
        let source = detached(planned, index, &mut sources, scratch.as_mut())?;
        attached.push(attach(Path::new(ROOT), planned, source.as_fd())?);
    }
    for index in 0..plan.devices.len() {
        let node = sources.next()?;
        let source = fd_path(&node);
        let at = device_path(index);
        fs_err::write(&at, "").map_err(|error| error.to_string())?;
        mount(Some(source.as_str()), at.as_str(), none, MsFlags::MS_BIND, none)
            .map_err(|error| format!("mount(device {index}): {error}"))?;
    }
    if !plan.formats.is_empty() {
        let interpreters =
            plan.formats.iter().map(|_| sources.next()).collect::<Result<Vec<_>, _>>()?;
        formats::register(&plan.formats, &interpreters)?;
    }
    Ok(Root { attached, scratch })
}

/// Where a lent device waits for the container's /dev.
pub(super) fn device_path(index: usize) -> String {
    format!("{WORKSHOP}/devices/{index}")
}

/// Makes what a mount shows available somewhere below the workshop and opens it.
fn detached(
    planned: &MountPlan,
    index: usize,
    sources: &mut Sources,
    scratch: Option<&mut Scratch>,
) -> Result<OwnedFd, String> {
    let stage = format!("{WORKSHOP}/stage-{index}");
    let stage = Path::new(&stage);
    let make = || fs_err::create_dir(stage).map_err(|error| error.to_string());
    match &planned.source {
        MountSource::Bind(_) | MountSource::BindBelow { .. } => return sources.next(),
        MountSource::Overlay(overlay) => {
            make()?;
            mount_overlay(overlay, sources, scratch, stage)?;
        }
        MountSource::Tmpfs { mode } => {
            make()?;
            tmpfs(stage, *mode)?;
        }
        MountSource::Text(text) => {
            let file = format!("{WORKSHOP}/texts/{index}");
            fs_err::write(&file, text).map_err(|error| error.to_string())?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs_err::set_permissions(&file, mode).map_err(|error| error.to_string())?;
            return openat(CWD, &file, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| format!("open({file}): {error}"));
        }
    }
    openat(CWD, stage, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("open({}): {error}", stage.display()))
}

fn tmpfs(target: impl AsRef<Path>, mode: u32) -> Result<(), String> {
    let target = target.as_ref();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(format!("mode={mode:o}").as_str()))
        .map_err(|error| format!("mount(tmpfs, {}): {error}", target.display()))
}

pub(super) fn fd_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Mounts an overlay with the options that an ordinary user may give.
///
/// The paths are descriptors: they need no permission on the way, and two hundred of them
/// fit into the page that mount(2) reads. `volatile` saves every fsync; the store never
/// mounts an upper directory a second time.
fn mount_overlay(
    plan: &OverlayPlan,
    sources: &mut Sources,
    scratch: Option<&mut Scratch>,
    target: &Path,
) -> Result<(), String> {
    let mut fds = (0..plan.lowers.len()).map(|_| sources.next()).collect::<Result<Vec<_>, _>>()?;
    fds.extend(match scratch {
        Some(scratch) => scratch.directories()?,
        None => [sources.next()?, sources.next()?],
    });
    let (upper, work) = (fd_path(&fds[plan.lowers.len()]), fd_path(&fds[plan.lowers.len() + 1]));
    let lowers: Vec<_> = fds[..plan.lowers.len()].iter().rev().map(fd_path).collect();
    let base = format!("lowerdir={},upperdir={upper},workdir={work},userxattr", lowers.join(":"));
    let attempt = |options: &str| {
        mount(Some("overlay"), target, Some("overlay"), MsFlags::empty(), Some(options))
    };
    match attempt(&format!("{base},volatile")) {
        Ok(()) => Ok(()),
        Err(nix::errno::Errno::EINVAL) => attempt(&base),
        Err(error) => Err(error),
    }
    .map_err(|error| {
        format!(
            "mount(overlay, {} layers below {}): {error}",
            plan.lowers.len(),
            plan.upper.display()
        )
    })
}
