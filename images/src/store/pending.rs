//! Work in progress: a directory that becomes a snapshot or is removed.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Store, StoreError};

/// How names begin of what is written aside: tempfile's own.
pub(super) const ASIDE: &str = ".tmp";

/// A directory below `tmp/` that this process fills.
///
/// Dropping it leaves the directory for [`Store::sweep`]: its content may belong to other
/// ids, and only a namespace job can remove it.
#[derive(Debug)]
pub struct Pending {
    path: PathBuf,
    /// Held as long as somebody works here; a directory without is somebody's remains.
    _lock: File,
}

impl Pending {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What becomes the snapshot's tree; made by whoever fills it.
    pub fn upper(&self) -> PathBuf {
        self.path.join("fs")
    }

    /// Scratch space of an overlay mount.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }
}

impl Store {
    /// Makes a directory to work in.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn pending(&self) -> Result<Pending, StoreError> {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::Builder::new().prefix("p-").tempdir_in(self.root.join("tmp"))?;
        let path = directory.keep();
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        let lock = fs_err::File::create(path.join("lock"))?.into_parts().0;
        lock.lock()?;
        Ok(Pending { path, _lock: lock })
    }

    /// Lists what dead processes left: work below `tmp/` and `run/`, and files and directories
    /// written aside that never got their name. Remove it by a namespace job. Files of steps that
    /// they were making are removed at once.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn sweep(&self) -> Result<Vec<PathBuf>, StoreError> {
        self.forget_making()?;
        let (mut dead, mut others) = (Vec::new(), self.entries("run", |_| true)?);
        for entry in fs_err::read_dir(self.root.join("tmp"))? {
            let path = entry?.path();
            let lock = match fs_err::File::open(path.join("lock")) {
                Ok(lock) => lock.into_parts().0,
                // Just made, its lock still to come; or half removed when somebody was killed.
                Err(_) if is_young(&path) => {
                    others.push(path);
                    continue;
                }
                Err(_) => {
                    dead.push(path);
                    continue;
                }
            };
            if lock.try_lock().is_ok() {
                dead.push(path);
            }
        }
        for directory in ["", "downloads", "elements", "refs", "steps"] {
            others.extend(self.entries(directory, |name| name.starts_with(ASIDE))?);
        }
        // None of these has a lock of its own. They were listed before: what another process
        // makes from now on is not among them.
        if !others.is_empty() && self.alone() {
            dead.extend(others);
        }
        Ok(dead)
    }

    pub(super) fn entries(
        &self,
        directory: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let mut found = Vec::new();
        for entry in fs_err::read_dir(self.root.join(directory))? {
            let entry = entry?;
            if wanted(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    /// Whether no other process uses the store: tries for the exclusive lock and falls back.
    fn alone(&self) -> bool {
        let exclusive = self.lock.try_lock().is_ok();
        // flock(2) converts in place; taking the shared lock again cannot block on ourselves.
        self.lock.lock_shared().is_ok() && exclusive
    }
}

fn is_young(path: &Path) -> bool {
    let modified = fs_err::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() < 60))
}
