//! Pruning: down to a size, what was used longest ago first.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::lease::last_use;
use super::{Retired, SnapshotId, Store, StoreError};
use crate::digest::Digest;

/// What may stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// At most so many bytes of everything together.
    pub bytes: Option<u64>,
    /// Nothing that was not used for so long.
    pub age: Option<Duration>,
}

/// Something that can go, and with it what nothing else needs.
enum Item {
    /// A record of a step or a name of an image, and the snapshots that it needs.
    Record(PathBuf, Vec<SnapshotId>),
    /// An image that was pulled, and its blobs.
    Pulled(String, Vec<Digest>),
    /// A download or unpacked elements.
    Download(PathBuf),
}

impl Item {
    /// How many snapshots it stands on.
    fn height(&self) -> usize {
        if let Self::Record(_, snapshots) = self { snapshots.len() } else { 0 }
    }
}

impl Store {
    /// Takes out what nothing needs, then steps, names, pulled images and downloads, those that
    /// were used longest ago first, until what is left is within `keep`. What other processes use
    /// stays, so more may be left. All snapshots should be [measured](Store::measured) before.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or changed.
    pub fn prune(&self, keep: &Keep) -> Result<Retired, StoreError> {
        let (quiet, mut retired) = self.begin()?;
        self.collect_rest(quiet, &mut retired)?;
        let mut left: u64 = self.disk_usage()?.iter().map(|(_, usage)| usage.bytes).sum();
        let mut items = self.items()?;
        // Of those that were used together, the one that stands on the others goes first.
        items.sort_by_key(|(used, item)| (*used, std::cmp::Reverse(item.height())));
        // How many need each snapshot and blob.
        let mut snapshots: HashMap<SnapshotId, usize> = HashMap::new();
        let mut blobs: BTreeMap<Digest, usize> = BTreeMap::new();
        for (_, item) in &items {
            match item {
                Item::Record(_, needs) => {
                    needs.iter().for_each(|id| *snapshots.entry(id.clone()).or_default() += 1);
                }
                Item::Pulled(_, needs) => {
                    needs.iter().for_each(|digest| *blobs.entry(*digest).or_default() += 1);
                }
                Item::Download(_) => {}
            }
        }
        for (used, item) in items {
            let old = keep.age.is_some_and(|age| used.elapsed().unwrap_or_default() >= age);
            if !old && keep.bytes.is_none_or(|most| left <= most) {
                continue;
            }
            let before = retired.bytes;
            match item {
                Item::Record(path, needs) => {
                    self.forget(&path, &mut retired)?;
                    for id in needs {
                        if is_last(&mut snapshots, &id) {
                            self.retire_snapshot(&self.directory(&id), &mut retired)?;
                        }
                    }
                }
                Item::Pulled(name, needs) => {
                    retired.records += u64::from(self.drop_pulled(&name)?);
                    for digest in needs {
                        let count = blobs.entry(digest).or_default();
                        *count = count.saturating_sub(1);
                        if *count == 0 {
                            self.retire_blob(&self.blob(&digest), quiet, &mut retired)?;
                        }
                    }
                }
                Item::Download(path) => {
                    self.retire_download(&path, quiet, &mut retired)?;
                }
            }
            left = left.saturating_sub(retired.bytes - before);
        }
        self.end(quiet, &mut retired)?;
        retired.left = left;
        Ok(retired)
    }

    /// Everything that can go, with its last use.
    fn items(&self) -> Result<Vec<(SystemTime, Item)>, StoreError> {
        let mut items = Vec::new();
        let records = self.records()?.into_iter().map(|record| (record.path, record.snapshots));
        let mut stacks: Vec<_> = records.collect();
        for reference in self.refs()? {
            stacks.push((self.ref_path(&reference.name)?, reference.snapshots));
        }
        // Who uses a step uses what it stands on.
        let mut uses: HashMap<SnapshotId, SystemTime> = HashMap::new();
        for (path, snapshots) in &stacks {
            let used = last_use(path);
            for id in snapshots {
                uses.entry(id.clone()).and_modify(|time| *time = used.max(*time)).or_insert(used);
            }
        }
        for (path, snapshots) in stacks {
            let top = snapshots.iter().filter_map(|id| uses.get(id)).min();
            let used = last_use(&path);
            items.push((top.map_or(used, |top| used.max(*top)), Item::Record(path, snapshots)));
        }
        for (name, image) in self.all_pulled()? {
            let used = last_use(&self.blob(&image.digest));
            let needs = self.needs(&image).into_keys().filter(|digest| self.blob(digest).exists());
            items.push((used, Item::Pulled(name, needs.collect())));
        }
        for directory in ["downloads", "elements"] {
            for path in self.entries(directory, |name| !name.starts_with(super::pending::ASIDE))? {
                items.push((last_use(&path), Item::Download(path)));
            }
        }
        Ok(items)
    }
}

/// Takes one who needs it away; tells whether that was the last one.
fn is_last(counts: &mut HashMap<SnapshotId, usize>, id: &SnapshotId) -> bool {
    let count = counts.entry(id.clone()).or_default();
    *count = count.saturating_sub(1);
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::SnapshotMeta;
    use super::*;

    fn used(path: &std::path::Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        let times = std::fs::FileTimes::new().set_accessed(time).set_modified(time);
        fs_err::File::open(path).unwrap().file().set_times(times).unwrap();
    }

    /// Three steps, each on the one before, each of a megabyte, used longer and longer ago.
    fn chain(store: &Store) -> Vec<SnapshotId> {
        let mut stack: Vec<SnapshotId> = Vec::new();
        for (at, key) in ["aaaaaaaa", "bbbbbbbb", "cccccccc"].into_iter().enumerate() {
            let pending = store.pending().unwrap();
            fs_err::create_dir(pending.upper()).unwrap();
            let meta = SnapshotMeta::new(key, "map".into(), stack.clone(), false);
            stack.push(store.commit(pending, meta).unwrap());
            store.measured(stack.last().unwrap(), 1 << 20).unwrap();
            store.put_step(key, &json!({ "snapshots": stack })).unwrap();
            used(&store.root().join(format!("steps/{key}.json")), 3000 - 1000 * at as u64);
        }
        stack
    }

    fn reopened(store: Store) -> Store {
        let root = store.root().to_path_buf();
        drop(store);
        Store::open(&root).unwrap()
    }

    fn alive(store: &Store, stack: &[SnapshotId]) -> Vec<bool> {
        stack.iter().map(|id| store.directory(id).exists()).collect()
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let stack = chain(&store);
        let store = reopened(store);
        // Nothing to do.
        let most = Keep { bytes: Some(4 << 20), age: None };
        let retired = store.prune(&most).unwrap();
        assert_eq!((retired.snapshots, retired.records), (0, 0));
        assert!(retired.left >= 3 << 20 && retired.left < 4 << 20, "{}", retired.left);
        // Who used the last step used those that it stands on.
        let most = Keep { bytes: Some(5 << 19), age: None };
        let retired = store.prune(&most).unwrap();
        assert_eq!((retired.snapshots, retired.records, retired.bytes), (1, 1, 1 << 20));
        assert_eq!(alive(&store, &stack), [true, true, false]);
        for path in &retired.paths {
            assert!(path.starts_with(store.root().join("tmp")) && path.join("fs").is_dir());
            crate::layer::remove_tree(path).unwrap();
        }
        assert!(store.sweep().unwrap().is_empty());
    }

    #[test]
    fn what_a_name_or_a_young_step_needs_stays_and_the_old_goes_by_age() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let stack = chain(&store);
        store.put_ref("server", &stack[..1]).unwrap();
        let download = store.downloads().join("old");
        fs_err::write(&download, vec![1; 4096]).unwrap();
        used(&download, 2500);
        let store = reopened(store);
        let old = Keep { bytes: None, age: Some(Duration::from_secs(500)) };
        let retired = store.prune(&old).unwrap();
        // The first step is as young as the name that stands on it.
        assert_eq!((retired.records, retired.downloads, retired.snapshots), (2, 1, 2));
        assert_eq!(alive(&store, &stack), [true, false, false]);
        assert!(!download.exists() && store.image("server").is_ok());
    }

    #[test]
    fn what_another_process_uses_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let stack = chain(&store);
        let store = reopened(store);
        let other = Store::open(store.root()).unwrap();
        assert!(other.has_snapshot(&stack[1]));
        std::thread::sleep(Duration::from_millis(50));
        let download = store.downloads().join("just-fetched");
        fs_err::write(&download, vec![1; 4096]).unwrap();
        let all = Keep { bytes: Some(0), age: None };
        let retired = store.prune(&all).unwrap();
        assert_eq!(retired.records, 3);
        assert_eq!(alive(&store, &stack), [false, true, false]);
        assert!(download.exists() && retired.left >= 1 << 20);
        // It records what it made of it, and ends.
        other.put_step("dddddddd", &json!({ "snapshots": [stack[1]] })).unwrap();
        assert!(other.snapshot_fs(&stack[1]).unwrap().is_dir());
        drop(other);
        store.prune(&all).unwrap();
        assert_eq!(alive(&store, &stack), [false, false, false]);
        assert!(!download.exists());
        assert!(store.step("dddddddd").unwrap().is_none());
    }
}
