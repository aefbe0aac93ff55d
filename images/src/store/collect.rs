//! Usage and collection.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::snapshot::SnapshotId;
use super::{Store, StoreError};

/// What one snapshot is, for a listing.
#[derive(Debug, Clone, Serialize)]
pub struct Usage {
    /// Its name.
    pub id: SnapshotId,
    /// What made it.
    pub name: String,
    /// How many step records need it.
    pub records: usize,
}

impl Store {
    /// Lists the snapshots, the oldest first.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn usage(&self) -> Result<Vec<Usage>, StoreError> {
        let records = self.records()?;
        let mut all = self.snapshots()?;
        all.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(all
            .into_iter()
            .map(|(id, meta)| {
                let records =
                    records.iter().filter(|record| record.snapshots.contains(&id)).count();
                Usage { id, name: meta.name, records }
            })
            .collect())
    }

    /// Forgets step records older than `age` and lists what neither they nor references need: the
    /// caller removes it by a namespace job.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] while builds run.
    pub fn collect(&self, age: Duration) -> Result<Vec<PathBuf>, StoreError> {
        if self.lock.try_lock().is_err() {
            self.lock.lock_shared()?;
            return Err(StoreError::Busy { path: self.root().to_path_buf() });
        }
        let oldest = super::steps::now().saturating_sub(age.as_secs());
        let mut needed = BTreeSet::new();
        for record in self.records()? {
            if record.created < oldest {
                fs_err::remove_file(&record.path)?;
            } else {
                needed.extend(record.snapshots);
            }
        }
        for reference in self.refs()? {
            needed.extend(reference.snapshots);
        }
        // Listed while nobody else is in: sweeping may let builds in again, and a snapshot that
        // one of them has just made has no record yet.
        let mut garbage = Vec::new();
        for entry in fs_err::read_dir(self.root().join("snapshots"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !needed.iter().any(|id| id.to_string() == name) {
                garbage.push(entry.path());
            }
        }
        garbage.extend(self.unneeded_blobs()?);
        for entry in fs_err::read_dir(self.root().join("locked"))? {
            let entry = entry?;
            let used = entry.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            if used.as_secs() < oldest {
                garbage.push(entry.path());
            }
        }
        garbage.extend(self.old_parts(oldest)?);
        garbage.extend(self.sweep()?);
        Ok(garbage)
    }

    /// Downloads that broke off, and that nobody has gone on with since.
    fn old_parts(&self, oldest: u64) -> Result<Vec<PathBuf>, StoreError> {
        use std::os::unix::fs::MetadataExt as _;
        let mut old = self
            .entries("downloads", |name| name.ends_with(".part") || name.ends_with(".part.json"))?;
        old.retain(|path| {
            let data = fs_err::symlink_metadata(path);
            data.is_ok_and(|data| u64::try_from(data.mtime()).unwrap_or_default() < oldest)
        });
        Ok(old)
    }

    fn records(&self) -> Result<Vec<Found>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Record {
            #[serde(default)]
            created: u64,
            #[serde(default)]
            snapshots: Vec<SnapshotId>,
        }
        let mut found = Vec::new();
        for path in self.entries("steps", |name| !name.starts_with(super::pending::ASIDE))? {
            let Ok(text) = fs_err::read(&path) else { continue };
            let record = serde_json::from_slice(&text)
                .unwrap_or(Record { created: 0, snapshots: Vec::new() });
            found.push(Found { path, created: record.created, snapshots: record.snapshots });
        }
        Ok(found)
    }
}

struct Found {
    path: PathBuf,
    created: u64,
    snapshots: Vec<SnapshotId>,
}
