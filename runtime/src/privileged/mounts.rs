//! Real mounts, and views of them whose owners are those that a sandbox maps.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_bind, mount_change, move_mount, open_tree, unmount,
};
use rustix::process::chroot;

use super::PrivilegedError;
use crate::child::JOB_VERB;
use crate::identity::Identity;
use crate::messages::JobRequest;
use crate::parent::job::{Job, JobInput};
use crate::parent::spawn::spawn;
use crate::sys::block_device::trim;
use crate::sys::mount_setattr;

/// The job that keeps a user namespace alive until its map was taken; part of every job table.
pub const HOLD_JOB: Job = Job { name: "hold", run: hold };

fn hold(_input: JobInput) -> Result<serde_json::Value, String> {
    loop {
        std::thread::park();
    }
}

/// Moves the process into a mount namespace of its own: what it mounts from here on is seen by
/// its own sandboxes only and is gone with the last of them.
///
/// To be called while the process has one thread; later threads inherit it.
///
/// # Errors
///
/// When the caller is not root.
pub fn private_mounts() -> Result<(), PrivilegedError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| {
        PrivilegedError::new("unshare(CLONE_NEWNS)", std::io::Error::from(error))
    })?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)
        .map_err(|error| PrivilegedError::new("mount(/, MS_SLAVE)", error))
}

/// Mounted file systems; dropping it unmounts them, the latest first.
#[derive(Debug, Default)]
pub struct MountedDisk {
    points: Vec<PathBuf>,
}

impl MountedDisk {
    /// Mounts the file system on `source` at `point`; `options` are the file system's own.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn mount(
        &mut self,
        source: &Path,
        fstype: &str,
        options: &CStr,
        point: &Path,
    ) -> Result<(), PrivilegedError> {
        mount(source, point, fstype, MountFlags::empty(), Some(options)).map_err(|error| {
            PrivilegedError::new(format!("mount({}, {fstype})", source.display()), error)
        })?;
        self.points.push(point.to_path_buf());
        Ok(())
    }

    /// The same with both paths as they are below `root`.
    ///
    /// /proc/self/mounts will name `source` as it is written here, also inside sandboxes, where
    /// programs look it up below their own /dev; the host's /dev need not have it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn mount_below(
        &mut self,
        root: &Path,
        source: &Path,
        fstype: &str,
        options: &CStr,
        point: &Path,
    ) -> Result<(), PrivilegedError> {
        // Another root directory for a thread that does nothing else.
        let mounted = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_FS)?;
                chroot(root)?;
                rustix::process::chdir("/")?;
                mount(source, point, fstype, MountFlags::empty(), Some(options))?;
                Ok(())
            });
            let panicked = |_| Err(std::io::Error::other("the thread that mounts panicked"));
            thread.join().unwrap_or_else(panicked)
        });
        mounted.map_err(|error: std::io::Error| {
            PrivilegedError::new(format!("mount({}, {fstype})", source.display()), error)
        })?;
        self.points.push(root.join(point.strip_prefix("/").unwrap_or(point)));
        Ok(())
    }

    /// Shows the directory `from` at `point` as well.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn bind(&mut self, from: &Path, point: &Path) -> Result<(), PrivilegedError> {
        mount_bind(from, point).map_err(|error| {
            PrivilegedError::new(format!("mount(bind, {})", point.display()), error)
        })?;
        self.points.push(point.to_path_buf());
        Ok(())
    }

    /// Has everything that was written to the file system at `point` on its device, as unmounting
    /// alone would not tell of what could not be written.
    ///
    /// # Errors
    ///
    /// When something could not be written since it was mounted.
    pub fn sync(&self, point: &Path) -> Result<(), PrivilegedError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, point, flags, Mode::empty())
            .and_then(rustix::fs::syncfs)
            .map_err(|error| PrivilegedError::new(format!("syncfs({})", point.display()), error))
    }

    /// Gives unused blocks of the file system at `point` back to the image file; a file system
    /// that cannot is left as it is.
    pub fn trim(&self, point: &Path) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let done = openat(CWD, point, flags, Mode::empty())
            .map_err(std::io::Error::from)
            .and_then(|root| trim(root.as_fd()));
        if let Err(error) = done {
            tracing::debug!(%error, point = %point.display(), "not trimmed");
        }
    }

    /// Unmounts everything; the file systems are then complete on their devices.
    ///
    /// # Errors
    ///
    /// When one is busy; the rest stays mounted too.
    pub fn unmount(mut self) -> Result<(), PrivilegedError> {
        while let Some(point) = self.points.last() {
            unmount(point, UnmountFlags::NOFOLLOW).map_err(|error| {
                PrivilegedError::new(format!("umount({})", point.display()), error)
            })?;
            self.points.pop();
        }
        Ok(())
    }
}

impl Drop for MountedDisk {
    fn drop(&mut self) {
        for point in self.points.drain(..).rev() {
            if let Err(error) = unmount(&point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
                tracing::warn!(%error, point = %point.display(), "still mounted");
            }
        }
    }
}

/// A user namespace that maps ids as sandboxes do.
#[derive(Debug)]
pub struct MappedView {
    namespace: OwnedFd,
}

impl MappedView {
    /// Makes the namespace.
    ///
    /// The job table given to [`crate::init_if_child`] must contain [`HOLD_JOB`].
    ///
    /// # Errors
    ///
    /// When user namespaces cannot be had.
    pub fn new(identity: &Identity) -> Result<Self, PrivilegedError> {
        let request =
            JobRequest { name: HOLD_JOB.name.to_owned(), request: serde_json::Value::Null };
        let helper = spawn(JOB_VERB, identity, &request, &[], false).map_err(|error| {
            PrivilegedError::new("a user namespace", std::io::Error::other(error))
        })?;
        let path = format!("/proc/{}/ns/user", helper.child.id());
        let namespace = openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| PrivilegedError::new(path, error))?;
        Ok(Self { namespace })
    }

    /// Shows the file system at `from` at `to` with its ids mapped; mounts below `from` are
    /// not part of it.
    ///
    /// # Errors
    ///
    /// When the file system does not know mapped ids (mount_setattr(2)), or the kernel is
    /// older than 5.12.
    pub fn show(
        &self,
        disk: &mut MountedDisk,
        from: &Path,
        to: &Path,
    ) -> Result<(), PrivilegedError> {
        let wrong = |call: &str| {
            let doing = format!("{call} for {}", to.display());
            move |error: rustix::io::Errno| PrivilegedError::new(doing, error)
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, from, flags).map_err(wrong("open_tree"))?;
        mount_setattr::map_ids(tree.as_fd(), self.namespace.as_fd())
            .map_err(wrong("mount_setattr(MOUNT_ATTR_IDMAP)"))?;
        move_mount(tree.as_fd(), "", CWD, to, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(wrong("move_mount"))?;
        disk.points.push(to.to_path_buf());
        Ok(())
    }
}
