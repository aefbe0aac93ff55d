//! Leases: what a running build uses is not collected.
//!
//! A lease is a shared lock, which the kernel takes back when its process ends, however it ends:
//! of a blob on the blob itself, of a snapshot on the file `lease` beside its tree. Who collects
//! takes the exclusive one first. When something was last used is the modification time of the
//! same file, or of the record: access times change with every reader, this one with users alone.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

/// What this process holds, by the path of what is locked.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases(Arc<Mutex<HashMap<PathBuf, File>>>);

impl Leases {
    /// Takes a lease, waiting for whoever is just collecting; tells whether the file is there.
    pub(super) fn take(&self, path: &Path) -> bool {
        if self.all().contains_key(path) {
            return true;
        }
        let mut options = std::fs::OpenOptions::new();
        let Ok(file) = options.read(true).custom_flags(no_follow()).open(path) else {
            return false;
        };
        self.keep(path, file)
    }

    /// Takes a lease with an open file; tells whether it is still the one at `path`.
    pub(super) fn keep(&self, path: &Path, file: File) -> bool {
        if file.lock_shared().is_err() || !is_at(&file, path) {
            return false;
        }
        touch(path);
        self.all().insert(path.to_path_buf(), file);
        true
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `O_NOFOLLOW`: nobody else writes here, but a link would lead out.
pub(super) fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

/// Whether `path` still names the open file.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let ours = file.metadata().map(|data| (data.dev(), data.ino())).ok();
    let there = std::fs::symlink_metadata(path).map(|data| (data.dev(), data.ino())).ok();
    ours.is_some() && ours == there
}

/// Takes the exclusive lock of what is to go: nothing when somebody uses it.
pub(super) fn seize(path: &Path) -> Option<File> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(no_follow()).open(path).ok()?;
    (file.try_lock().is_ok() && is_at(&file, path)).then_some(file)
}

/// Notes that a file of the store was used just now: what it holds stays.
pub fn touch(path: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: omit, last_modification: now };
    if let Err(error) = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW) {
        tracing::debug!(path = %path.display(), %error, "its last use is not noted");
    }
}

/// When a file was used or written last; the epoch when that cannot be read.
pub(super) fn last_use(path: &Path) -> SystemTime {
    let modified = fs_err::symlink_metadata(path).and_then(|data| data.modified());
    modified.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// How long ago a file was used last; nothing for a time to come.
pub(super) fn idle(path: &Path) -> Duration {
    last_use(path).elapsed().unwrap_or_default()
}
