//! Attaches one mount below the root, wherever its target really lies.
//!
//! Targets are resolved inside the root by descriptors (openat2(2)), so a symlink that an
//! image or a hook left there cannot lead a mount out of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use pathrs::Root as PathRoot;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree};

use crate::plan::MountPlan;
use crate::sys::mount_setattr;

/// A mount, and the mount point that was made for it.
#[derive(Debug)]
pub(super) struct Attached {
    /// The mounted root, to take it off again.
    top: OwnedFd,
    /// Components that did not exist before: parent, name, whether a directory; outermost
    /// first.
    made: Vec<(OwnedFd, String, bool)>,
}

impl Attached {
    /// Takes the mount off; removes mount points that are still as they were made.
    pub(super) fn clear(self) {
        use std::os::fd::AsRawFd as _;
        let path = format!("/proc/self/fd/{}", self.top.as_raw_fd());
        drop_mount(&path);
        for (parent, name, directory) in self.made.into_iter().rev() {
            let name = name.as_str();
            let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            if !directory {
                let unused = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                    stat.st_size == 0
                        && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                });
                if !unused {
                    continue;
                }
            }
            if let Err(error) = unlinkat(&parent, name, flags) {
                tracing::debug!(%error, name, "the mount point was put to use");
            }
        }
    }
}

fn drop_mount(path: &str) {
    if let Err(error) = rustix::mount::unmount(path, UnmountFlags::DETACH) {
        tracing::debug!(%error, path, "cannot take a mount off");
    }
}

/// Attaches `source` at the plan's target.
pub(super) fn attach(
    root: &Path,
    plan: &MountPlan,
    source: BorrowedFd<'_>,
) -> Result<Attached, String> {
    let target = plan.target.display();
    let failed = |call: &str| {
        let message = format!("{call} for the mount at {target}");
        move |error: rustix::io::Errno| format!("{message}: {error}")
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(source, "", flags).map_err(failed("open_tree"))?;
    if plan.read_only {
        mount_setattr::read_only(tree.as_fd()).map_err(failed("mount_setattr(rdonly)"))?;
    }
    let stat = statat(source, "", AtFlags::EMPTY_PATH).map_err(failed("stat"))?;
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let opened = PathRoot::open(root).map_err(|error| format!("{}: {error}", root.display()))?;
    let (point, made) = mount_point(&opened, &plan.target, directory)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree.as_fd(), "", point.as_fd(), "", flags).map_err(failed("move_mount"))?;
    Ok(Attached { top: tree, made })
}

/// Opens the target, making what is missing of it.
fn mount_point(
    root: &PathRoot,
    target: &Path,
    directory: bool,
) -> Result<(OwnedFd, Vec<(OwnedFd, String, bool)>), String> {
    if let Ok(handle) = root.resolve(target) {
        return Ok((handle.into(), Vec::new()));
    }
    let text = |error: &dyn std::fmt::Display| format!("mount point {}: {error}", target.display());
    let mut made = Vec::new();
    let names: Vec<_> = target
        .components()
        .filter_map(|component| match component {
            std::path::Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let mut so_far = std::path::PathBuf::from("/");
    let mut current: OwnedFd = root.resolve("/").map_err(|error| text(&error))?.into();
    for (index, name) in names.iter().enumerate() {
        so_far.push(name);
        if let Ok(handle) = root.resolve(&so_far) {
            current = handle.into();
            continue;
        }
        let name = name.to_str().ok_or_else(|| text(&"not UTF-8"))?;
        let inner = index + 1 < names.len() || directory;
        let next = if inner {
            rustix::fs::mkdirat(&current, name, Mode::from_raw_mode(0o755))
                .map_err(|error| text(&error))?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&current, name, flags, Mode::empty()).map_err(|error| text(&error))?
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&current, name, flags | OFlags::WRONLY, Mode::from_raw_mode(0o644))
                .map_err(|error| text(&error))?
        };
        made.push((std::mem::replace(&mut current, next), name.to_owned(), inner));
    }
    Ok((current, made))
}
