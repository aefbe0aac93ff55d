//! Collection: what nothing needs any more.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::lease::{idle, last_use, seize};
use super::snapshot::SnapshotId;
use super::usage::file_size;
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

/// What was taken out of the store. Snapshots have lost their names and wait below `tmp/` for a
/// namespace job to remove them, as do remains; until then nobody else touches them. When this
/// process is killed first, the next collection finds them there.
#[derive(Debug, Default)]
pub struct Retired {
    /// What is to be removed.
    pub paths: Vec<PathBuf>,
    /// How many snapshots are among them.
    pub snapshots: u64,
    /// How many records of steps and names of images are gone.
    pub records: u64,
    /// How many blobs are gone.
    pub blobs: u64,
    /// How many downloads and unpacked elements are gone.
    pub downloads: u64,
    /// What that frees, in bytes, as far as it is known.
    pub bytes: u64,
    /// What remains, in bytes; only [`Store::prune`] counts it.
    pub left: u64,
    /// What was used since then is somebody's, though he may have gone meanwhile: he has left
    /// a record that was not read. Nothing when nobody else was there.
    pub(super) since: Option<SystemTime>,
    locks: Vec<File>,
}

/// How far the time of a file may lag behind the clock.
const TICK: Duration = Duration::from_millis(10);

/// For how long what nobody has a lease on may still be somebody's: who finishes a blob has no
/// lease for a moment, and downloads have none.
const GRACE: Duration = Duration::from_secs(60);
const DOWNLOAD_GRACE: Duration = Duration::from_secs(24 * 3600);

/// A record of a step and what it keeps.
pub(super) struct Record {
    pub(super) path: PathBuf,
    pub(super) snapshots: Vec<SnapshotId>,
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

    /// Takes out what was not used for `age`, step records and downloads, and what no record, name
    /// or pulled image needs. What other processes use stays, whatever its age.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or changed.
    pub fn collect(&self, age: Duration) -> Result<Retired, StoreError> {
        let (quiet, mut retired) = self.begin()?;
        for record in self.records()? {
            if idle(&record.path) >= age {
                self.forget(&record.path, &mut retired)?;
            }
        }
        for path in self.entries("downloads", |name| !name.starts_with(super::pending::ASIDE))? {
            if idle(&path) >= age {
                self.retire_download(&path, quiet, &mut retired)?;
            }
        }
        for path in self.entries("locked", |_| true)? {
            // What hooks cached there belongs to other ids: it is removed by a job.
            if (quiet || idle(&path) >= DOWNLOAD_GRACE) && idle(&path) >= age {
                retired.paths.push(path);
            }
        }
        self.collect_rest(quiet, &mut retired)?;
        self.end(quiet, &mut retired)?;
        Ok(retired)
    }

    /// Lets others in again and adds what the dead left.
    pub(super) fn end(&self, quiet: bool, retired: &mut Retired) -> Result<(), StoreError> {
        if quiet {
            self.lock.lock_shared()?;
        }
        retired.paths.extend(self.sweep()?);
        Ok(())
    }

    /// Takes out what nothing needs: snapshots and blobs.
    pub(super) fn collect_rest(
        &self,
        quiet: bool,
        retired: &mut Retired,
    ) -> Result<(), StoreError> {
        let mut needed = BTreeSet::new();
        needed.extend(self.records()?.into_iter().flat_map(|record| record.snapshots));
        needed.extend(self.refs()?.into_iter().flat_map(|reference| reference.snapshots));
        for path in self.entries("snapshots", |_| true)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !needed.iter().any(|id| id.to_string() == name) {
                self.retire_snapshot(&path, retired)?;
            }
        }
        let mut needed = BTreeSet::new();
        for (_, image) in self.all_pulled()? {
            needed.extend(self.needs(&image).into_keys().map(|digest| digest.hex()));
        }
        for path in self.entries("blobs/sha256", |name| !needed.contains(name))? {
            self.retire_blob(&path, quiet, retired)?;
        }
        for path in self.entries("blobs/incoming", |_| true)? {
            self.retire_blob(&path, quiet, retired)?;
        }
        Ok(())
    }

    /// Begins to take out; tells whether no other process uses the store.
    pub(super) fn begin(&self) -> Result<(bool, Retired), StoreError> {
        let quiet = self.quiet()?;
        let since = (!quiet).then(|| SystemTime::now() - TICK);
        Ok((quiet, Retired { since, ..Retired::default() }))
    }

    /// Whether no other process uses the store; then none comes in before the shared lock is
    /// taken again.
    fn quiet(&self) -> Result<bool, StoreError> {
        if self.lock.try_lock().is_ok() {
            return Ok(true);
        }
        // The attempt may have cost the lock that was held.
        self.lock.lock_shared()?;
        Ok(false)
    }

    /// Forgets a record of a step or a name.
    pub(super) fn forget(&self, path: &Path, retired: &mut Retired) -> Result<(), StoreError> {
        match fs_err::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => {
                retired.records += 1;
                Ok(())
            }
        }
    }

    /// Takes a snapshot out unless somebody uses it; tells whether it is out.
    pub(super) fn retire_snapshot(
        &self,
        path: &Path,
        retired: &mut Retired,
    ) -> Result<bool, StoreError> {
        let lease = path.join("lease");
        // Held until the name is gone: who waits for it then finds nothing there.
        let mut held = None;
        if lease.exists() {
            let Some(lock) = seize(&lease) else { return Ok(false) };
            if retired.since.is_some_and(|since| last_use(&lease) >= since) {
                return Ok(false);
            }
            held = Some(lock);
        }
        // Whoever sweeps looks at the lock that its maker held.
        if let Some(lock) = seize(&path.join("lock")) {
            retired.locks.push(lock);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let size = fs_err::read_to_string(path.join("size")).ok();
        let to = self.root().join("tmp").join(format!("gone-{name}"));
        match fs_err::rename(path, &to) {
            // Somebody else collects, too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        }
        drop(held);
        retired.bytes += size.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        retired.snapshots += 1;
        retired.paths.push(to);
        Ok(true)
    }

    /// Removes a blob unless somebody uses it or may; tells whether it is gone.
    pub(super) fn retire_blob(
        &self,
        path: &Path,
        quiet: bool,
        retired: &mut Retired,
    ) -> Result<bool, StoreError> {
        if !quiet && idle(path) < GRACE {
            return Ok(false);
        }
        let Some(_lock) = seize(path) else { return Ok(false) };
        let bytes = file_size(path);
        fs_err::remove_file(path)?;
        retired.bytes += bytes;
        retired.blobs += 1;
        Ok(true)
    }

    /// Removes a download unless somebody may use it; tells whether it is gone.
    pub(super) fn retire_download(
        &self,
        path: &Path,
        quiet: bool,
        retired: &mut Retired,
    ) -> Result<bool, StoreError> {
        if !quiet && idle(path) < DOWNLOAD_GRACE {
            return Ok(false);
        }
        let bytes = super::usage::tree_size(path);
        if path.is_dir() {
            retired.paths.push(path.to_path_buf());
        } else if let Err(error) = fs_err::remove_file(path) {
            // A download that is complete has another name since.
            if error.kind() == std::io::ErrorKind::NotFound {
                return Ok(false);
            }
            return Err(error.into());
        }
        retired.bytes += bytes;
        retired.downloads += 1;
        Ok(true)
    }

    /// The records of steps, the one that was used longest ago first; a torn one keeps nothing.
    pub(super) fn records(&self) -> Result<Vec<Record>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Kept {
            #[serde(default)]
            snapshots: Vec<SnapshotId>,
        }
        let mut found = Vec::new();
        for path in self.entries("steps", |name| !name.starts_with(super::pending::ASIDE))? {
            let Ok(text) = fs_err::read(&path) else { continue };
            let kept = serde_json::from_slice(&text).unwrap_or(Kept { snapshots: Vec::new() });
            found.push(Record { path, snapshots: kept.snapshots });
        }
        found.sort_by_cached_key(|record| last_use(&record.path));
        Ok(found)
    }
}
