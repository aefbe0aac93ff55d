//! How much room everything in the store takes.
//!
//! A snapshot never changes, so its size is counted once, by a namespace job that may read it, and
//! then stands in the file `size` beside it.

use std::path::PathBuf;

use serde::Serialize;

use super::{SnapshotId, Store, StoreError, write_whole};

/// Bytes and number of one kind of content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DiskUsage {
    /// How many there are.
    pub count: u64,
    /// What they take, in bytes.
    pub bytes: u64,
}

impl DiskUsage {
    /// Counts one more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Store {
    /// The snapshots whose size is not known yet, and where their trees are: the caller counts
    /// them and says so by [`Store::measured`].
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn unmeasured(&self) -> Result<Vec<(SnapshotId, PathBuf)>, StoreError> {
        Ok(self.trees()?.into_iter().filter(|(id, _)| self.size(id).is_none()).collect())
    }

    /// All snapshots and where their trees are.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn trees(&self) -> Result<Vec<(SnapshotId, PathBuf)>, StoreError> {
        let all = self.snapshots()?.into_iter().map(|(id, _)| id);
        Ok(all.map(|id| (id.clone(), self.directory(&id).join("fs"))).collect())
    }

    /// Notes what a snapshot takes, in bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be written; a snapshot that is gone meanwhile is no error.
    pub fn measured(&self, id: &SnapshotId, bytes: u64) -> Result<(), StoreError> {
        match write_whole(&self.directory(id).join("size"), bytes.to_string().as_bytes()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    /// What a snapshot takes, in bytes, if that was counted.
    pub(super) fn size(&self, id: &SnapshotId) -> Option<u64> {
        let text = fs_err::read_to_string(self.directory(id).join("size")).ok()?;
        text.trim().parse().ok()
    }

    /// What is there by kind: `blobs`, `snapshots`, `steps` (records and names of images),
    /// `downloads`, `elements`. Snapshots that are not measured count as empty.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn disk_usage(&self) -> Result<Vec<(&'static str, DiskUsage)>, StoreError> {
        let mut all = Vec::new();
        for (kind, directories) in [
            ("blobs", &["blobs/sha256", "blobs/incoming"][..]),
            ("steps", &["steps", "refs"]),
            ("downloads", &["downloads"]),
        ] {
            let mut usage = DiskUsage::default();
            for directory in directories {
                for path in self.entries(directory, |_| true)? {
                    usage.add(file_size(&path));
                }
            }
            all.push((kind, usage));
        }
        let mut snapshots = DiskUsage::default();
        for (id, _) in self.snapshots()? {
            snapshots.add(self.size(&id).unwrap_or_default());
        }
        let mut elements = DiskUsage::default();
        for path in self.entries("elements", |_| true)? {
            elements.add(tree_size(&path));
        }
        all.insert(1, ("snapshots", snapshots));
        all.push(("elements", elements));
        Ok(all)
    }

    /// Work in progress and its remains, to be counted by whoever may read it.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn work(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut found = self.entries("tmp", |_| true)?;
        found.extend(self.entries("run", |_| true)?);
        Ok(found)
    }
}

/// What a file takes; nothing when it is gone meanwhile.
pub(super) fn file_size(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs_err::symlink_metadata(path).map_or(0, |data| data.blocks() * 512)
}

/// What a directory of ours takes with all below.
pub(super) fn tree_size(path: &std::path::Path) -> u64 {
    let mut total = file_size(path);
    let mut open = vec![path.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs_err::read_dir(&directory).into_iter().flatten().flatten() {
            total += file_size(&entry.path());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    total
}
