//! What a build must leave as it was.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};

/// Mounts, loop devices and processes of the program, counted before a test.
///
/// Mounts and loop devices of the machine are root's alone to make, and root's tests may run
/// beside an ordinary user's: only root looks at them.
#[derive(Debug, PartialEq, Eq)]
pub struct HostInvariant {
    mounts: Option<String>,
    loops: BTreeSet<String>,
    temporary: BTreeSet<String>,
    user: u32,
}

impl HostInvariant {
    /// Looks at the host and at the cache's directory of unfinished work.
    ///
    /// # Errors
    ///
    /// When /proc cannot be read.
    pub fn take(cache: &Path) -> Result<Self> {
        Self::take_for(rustix::process::geteuid().as_raw(), cache)
    }

    /// The same for another user's processes.
    ///
    /// # Errors
    ///
    /// When /proc cannot be read.
    pub fn take_for(user: u32, cache: &Path) -> Result<Self> {
        let root = rustix::process::geteuid().is_root();
        let mut loops = BTreeSet::new();
        for entry in fs_err::read_dir("/sys/block")?.flatten() {
            if root && entry.path().join("loop/backing_file").exists() {
                loops.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
        let mounts = root.then(|| fs_err::read_to_string("/proc/self/mountinfo")).transpose()?;
        let mut temporary = BTreeSet::new();
        for name in ["tmp", "run", "making"] {
            for entry in fs_err::read_dir(cache.join(name)).into_iter().flatten().flatten() {
                temporary.insert(format!("{name}/{}", entry.file_name().to_string_lossy()));
            }
        }
        Ok(Self { mounts, loops, temporary, user })
    }

    /// Fails when anything is left behind. Processes get a moment to die.
    ///
    /// # Errors
    ///
    /// Naming what is left.
    pub fn check(&self, cache: &Path) -> Result<()> {
        let mut helpers = Vec::new();
        for _ in 0..50 {
            helpers = helpers_of(self.user);
            if helpers.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        ensure!(helpers.is_empty(), "processes are left: {helpers:?}");
        let mut now = Self::take_for(self.user, cache)?;
        // The kernel writes a file system of the dead back before it lets its device go.
        for _ in 0..300 {
            if now.loops.is_subset(&self.loops) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            now = Self::take_for(self.user, cache)?;
        }
        ensure!(now.mounts == self.mounts, "mounts changed");
        // Somebody else's may have gone meanwhile.
        ensure!(
            now.loops.is_subset(&self.loops),
            "loop devices: {:?}, before {:?}",
            now.loops,
            self.loops
        );
        let left: Vec<_> = now.temporary.difference(&self.temporary).collect();
        ensure!(left.is_empty(), "unfinished trees are left: {left:?}");
        Ok(())
    }
}

/// Helpers of a user that still run.
fn helpers_of(user: u32) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let Ok(list) = fs_err::read_dir("/proc") else { return found };
    for entry in list.flatten() {
        if !entry.metadata().is_ok_and(|data| data.uid() == user) {
            continue;
        }
        let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("__sandbox") || line.contains("__job") {
            found.push(line);
        }
    }
    found
}
