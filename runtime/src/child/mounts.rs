//! Attaches one mount below the root, wherever its target really lies.
//!
//! Targets are resolved inside the root by descriptors (openat2(2)), so a symlink that an
//! image or a hook left there cannot lead a mount out of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, statat, unlinkat};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree};

use super::mount_point::{MadePoint, mount_point};
use crate::plan::MountPlan;
use crate::sys::mount_setattr;

/// A mount, and the mount point that was made for it.
#[derive(Debug)]
pub(super) struct Attached {
    /// The mounted root, to take it off again.
    top: OwnedFd,
    /// Components that did not exist before, outermost first.
    made: Vec<MadePoint>,
}

impl Attached {
    /// Takes the mount off; removes mount points that are still as they were made.
    pub(super) fn clear(self) {
        use std::os::fd::AsRawFd as _;
        let path = format!("/proc/self/fd/{}", self.top.as_raw_fd());
        drop_mount(&path);
        for MadePoint { parent, name, directory } in self.made.into_iter().rev() {
            let name = name.as_os_str();
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
                tracing::debug!(%error, ?name, "the mount point was put to use");
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
    let (point, made) = mount_point(root, &plan.target, directory)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree.as_fd(), "", point.as_fd(), "", flags).map_err(failed("move_mount"))?;
    Ok(Attached { top: tree, made })
}
