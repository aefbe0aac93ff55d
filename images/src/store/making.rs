//! Steps in the making: one makes it, and whoever else wants it waits.
//!
//! As with leases, the right to make a step is the lock of a file, which the kernel takes back
//! when its process ends, however it ends. The file goes with the right; the files of those who
//! were killed go with the next [`Store::sweep`].

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::lease::{is_at, no_follow, seize};
use super::{Store, StoreError};

/// The right to make a step, until it is dropped.
#[derive(Debug)]
pub struct Making {
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// Takes the right to make the step of that key; nothing while somebody else has it, in this
    /// process or another. Does not wait.
    ///
    /// # Errors
    ///
    /// When the key is no name or the file system refuses.
    pub fn making(&self, key: &str) -> Result<Option<Making>, StoreError> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(StoreError::Name { name: key.to_owned() });
        }
        let path = self.root.join("making").join(key);
        loop {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(no_follow()).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // Whoever had it may have removed it before it was ours.
            if is_at(&file, &path) {
                return Ok(Some(Making { path, _lock: file }));
            }
        }
    }

    /// Removes what those left who were killed while they made a step.
    pub(super) fn forget_making(&self) -> Result<(), StoreError> {
        for path in self.entries("making", |_| true)? {
            if let Some(_lock) = seize(&path) {
                fs_err::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_file(&self.path) {
            tracing::debug!(%error, "the file of a step's lock stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";

    fn files(store: &Store) -> usize {
        store.entries("making", |_| true).unwrap().len()
    }

    #[test]
    fn one_at_a_time_makes_a_step_and_the_dead_do_not_count_i30() {
        let directory = tempfile::tempdir().unwrap();
        let (store, other) =
            (Store::open(directory.path()).unwrap(), Store::open(directory.path()).unwrap());
        let first = store.making(KEY).unwrap().unwrap();
        // Neither this process nor another one; another step anybody.
        assert!(store.making(KEY).unwrap().is_none());
        assert!(other.making(KEY).unwrap().is_none());
        assert!(other.making("another").unwrap().is_some());
        // Who sweeps leaves it alone.
        other.sweep().unwrap();
        assert!(other.making(KEY).unwrap().is_none());
        drop(first);
        assert_eq!(files(&store), 0);
        assert!(other.making(KEY).unwrap().is_some());
        // What is left of those who were killed: the kernel has taken the lock back.
        let left = store.root.join("making").join(KEY);
        fs_err::write(&left, "").unwrap();
        assert!(store.making(KEY).unwrap().is_some());
        fs_err::write(&left, "").unwrap();
        store.sweep().unwrap();
        assert_eq!(files(&store), 0);
        for name in ["", "..", "../steps/x", "a/b", "a.b"] {
            assert!(matches!(store.making(name), Err(StoreError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn many_threads_take_turns() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, done) = (std::sync::atomic::AtomicUsize::new(0), std::sync::Mutex::new(0));
        let order = std::sync::atomic::Ordering::SeqCst;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let store = Store::open(directory.path()).unwrap();
                    for _ in 0..50 {
                        let making = loop {
                            match store.making(KEY).unwrap() {
                                Some(making) => break making,
                                None => std::thread::yield_now(),
                            }
                        };
                        assert_eq!(inside.fetch_add(1, order), 0, "two at once");
                        *done.lock().unwrap() += 1;
                        inside.fetch_sub(1, order);
                        drop(making);
                    }
                });
            }
        });
        assert_eq!(*done.lock().unwrap(), 200);
    }
}
