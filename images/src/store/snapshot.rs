//! Snapshots: extracted layers that overlays stack.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Pending, Store, StoreError, write_whole};

/// Names a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotId(String);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is recorded beside a snapshot's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// What made it, for people.
    pub name: String,
    /// The id map that its owners are written in; another map needs another snapshot.
    pub id_map: String,
    /// The snapshots it lies on, bottom first.
    pub parents: Vec<SnapshotId>,
    /// Whether it is a whole tree rather than a difference.
    pub full: bool,
    /// Seconds since the epoch.
    #[serde(default)]
    created: u64,
    /// The boot it was made in, until its bytes are known to be on disk.
    #[serde(default)]
    unsynced: Option<String>,
}

impl SnapshotMeta {
    /// Describes a snapshot to be made.
    pub fn new(name: &str, id_map: String, parents: Vec<SnapshotId>, full: bool) -> Self {
        Self { name: name.to_owned(), id_map, parents, full, created: 0, unsynced: None }
    }
}

impl Store {
    /// Turns finished work into a snapshot; it is visible at once or not at all.
    ///
    /// # Errors
    ///
    /// When the file system refuses; the work is then left for [`Store::sweep`].
    pub fn commit(&self, pending: Pending, meta: SnapshotMeta) -> Result<SnapshotId, StoreError> {
        let meta = SnapshotMeta {
            created: super::steps::now(),
            unsynced: Some(self.boot.clone()),
            ..meta
        };
        let text = serde_json::to_vec_pretty(&meta)?;
        fs_err::write(pending.path().join("meta.json"), text)?;
        let name = pending.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let id = SnapshotId(name.unwrap_or_default().trim_start_matches("p-").to_owned());
        // The lease is taken before anybody can see what it is for.
        let lease = fs_err::File::create(pending.path().join("lease"))?.into_parts().0;
        lease.lock_shared()?;
        let directory = self.directory(&id);
        fs_err::rename(pending.path(), &directory)?;
        self.leases.keep(&directory.join("lease"), lease);
        Ok(id)
    }

    pub(super) fn directory(&self, id: &SnapshotId) -> PathBuf {
        self.root().join("snapshots").join(&id.0)
    }

    /// The directory of a snapshot's tree; it stays as long as this store is open.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSnapshot`] when there is none of that name, or only one that a crash
    /// may have torn.
    pub fn snapshot_fs(&self, id: &SnapshotId) -> Result<PathBuf, StoreError> {
        if self.has_snapshot(id) {
            return Ok(self.directory(id).join("fs"));
        }
        Err(StoreError::NoSnapshot { id: id.clone() })
    }

    /// Whether a snapshot is there and whole; then it stays as long as this store is open.
    pub fn has_snapshot(&self, id: &SnapshotId) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric();
        if id.0.is_empty() || !id.0.chars().all(plain) {
            return false;
        }
        let lease = self.lease(id);
        if !lease.exists() {
            // Made by an older version.
            let options = std::fs::OpenOptions::new().create_new(true).write(true).open(&lease);
            tracing::debug!(made = options.is_ok(), "a lease for a snapshot without");
        }
        self.leases.take(&lease) && self.is_whole(id)
    }

    /// Whether no crash can have torn a snapshot.
    pub(super) fn is_whole(&self, id: &SnapshotId) -> bool {
        let meta = self.meta(id);
        meta.is_some_and(|meta| meta.unsynced.is_none_or(|boot| boot == self.boot))
    }

    /// The file that a snapshot's users lock.
    pub(super) fn lease(&self, id: &SnapshotId) -> PathBuf {
        self.directory(id).join("lease")
    }

    /// The directories of the snapshot that is named, and of those it lies on, bottom first.
    ///
    /// # Errors
    ///
    /// When one of them is missing.
    pub fn stack(&self, name: &str) -> Result<Vec<PathBuf>, StoreError> {
        let id = SnapshotId(name.to_owned());
        let top = self.snapshot_fs(&id)?;
        let parents = self.meta(&id).map(|meta| meta.parents).unwrap_or_default();
        let mut stack = Vec::new();
        for parent in &parents {
            stack.push(self.snapshot_fs(parent)?);
        }
        stack.push(top);
        Ok(stack)
    }

    /// Whether the owners of a snapshot's files are written in this id map.
    pub fn has_id_map(&self, id: &SnapshotId, id_map: &str) -> bool {
        self.meta(id).is_some_and(|meta| meta.id_map == id_map)
    }

    /// What made a snapshot, for people; nothing when it is not there.
    pub fn snapshot_name(&self, id: &SnapshotId) -> Option<String> {
        self.meta(id).map(|meta| meta.name)
    }

    pub(super) fn meta(&self, id: &SnapshotId) -> Option<SnapshotMeta> {
        let text = fs_err::read(self.directory(id).join("meta.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Forces all snapshots to disk and marks them so: they survive the next crash.
    ///
    /// # Errors
    ///
    /// When syncfs(2) or a record fails.
    pub fn sync(&self) -> Result<(), StoreError> {
        let directory = self.root().join("snapshots");
        let all = self.snapshots()?;
        let pending: Vec<_> = all.into_iter().filter(|(_, meta)| meta.unsynced.is_some()).collect();
        if pending.is_empty() {
            return Ok(());
        }
        let fd = fs_err::File::open(&directory)?;
        rustix::fs::syncfs(&fd).map_err(std::io::Error::from)?;
        for (id, meta) in pending {
            if meta.unsynced.as_deref() != Some(self.boot.as_str()) {
                continue;
            }
            let meta = SnapshotMeta { unsynced: None, ..meta };
            write_whole(
                &self.directory(&id).join("meta.json"),
                &serde_json::to_vec_pretty(&meta)?,
            )?;
        }
        Ok(())
    }

    pub(super) fn snapshots(&self) -> Result<Vec<(SnapshotId, SnapshotMeta)>, StoreError> {
        let mut found = Vec::new();
        for entry in fs_err::read_dir(self.root().join("snapshots"))? {
            let id = SnapshotId(entry?.file_name().to_string_lossy().into_owned());
            if let Some(meta) = self.meta(&id) {
                found.push((id, meta));
            }
        }
        found.sort();
        Ok(found)
    }
}

impl PartialOrd for SnapshotMeta {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SnapshotMeta {
    /// The oldest first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.created.cmp(&other.created)
    }
}
