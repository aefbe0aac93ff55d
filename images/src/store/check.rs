//! Checking: whether everything in the store is what it says.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::lease::seize;
use super::{Retired, SnapshotId, Store, StoreError};
use crate::digest::{Digest, Digesting};
use crate::oci::Index;
use crate::sums::Sum;

/// Something that is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing, and which.
    pub place: Place,
    /// What is wrong with it.
    pub problem: String,
}

/// Where something is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "name")]
pub enum Place {
    /// The list of images that were pulled.
    Index(PathBuf),
    /// An image that was pulled.
    Image(String),
    /// A blob.
    Blob(PathBuf),
    /// A snapshot.
    Snapshot(SnapshotId),
    /// What lies among snapshots and is none.
    Stray(PathBuf),
    /// A record of a step, or a name.
    Record(PathBuf),
    /// A download.
    Download(PathBuf),
    /// What a process that is no more left unfinished.
    Remains(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image(name) => write!(f, "image {name}"),
            Self::Snapshot(id) => write!(f, "snapshot {id}"),
            Self::Index(path)
            | Self::Blob(path)
            | Self::Stray(path)
            | Self::Record(path)
            | Self::Download(path)
            | Self::Remains(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Store {
    /// Looks at everything that a process outside of the namespace can read: digests of blobs and
    /// downloads, images and their blobs, records and their snapshots, descriptions of snapshots,
    /// remains of the dead. `sizes` are the snapshots' sizes as they were just counted: one that
    /// has another size than once is broken, and one that cannot be counted.
    ///
    /// # Errors
    ///
    /// When the store's own directories cannot be read.
    pub fn check(&self, sizes: &[(SnapshotId, Option<u64>)]) -> Result<Vec<Finding>, StoreError> {
        let mut found = Vec::new();
        let mut tell = |place, problem: &str| {
            found.push(Finding { place, problem: problem.to_owned() });
        };
        self.check_blobs(&mut tell)?;
        self.check_snapshots(sizes, &mut tell)?;
        for directory in ["steps", "refs"] {
            for path in self.entries(directory, |name| !name.starts_with(super::pending::ASIDE))? {
                self.check_record(&path, &mut tell);
            }
        }
        for path in self.entries("downloads", |name| !name.starts_with(super::pending::ASIDE))? {
            if download_is_damaged(&path) {
                tell(Place::Download(path), "it has not the digest that it is named after");
            }
        }
        for path in self.sweep()? {
            tell(Place::Remains(path), "whoever made it is gone");
        }
        Ok(found)
    }

    fn check_blobs(&self, tell: &mut dyn FnMut(Place, &str)) -> Result<(), StoreError> {
        for path in self.entries("blobs/sha256", |_| true)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match (Digest::from_hex(&name), digest_of(&path)) {
                (Err(_), _) => tell(Place::Blob(path), "its name is no digest"),
                (Ok(named), Ok(digest)) if digest == named => {}
                (Ok(_), Ok(_)) => tell(Place::Blob(path), "it has another digest than its name"),
                (Ok(_), Err(error)) => tell(Place::Blob(path), &error.to_string()),
            }
        }
        let index = self.root().join("index.json");
        match fs_err::read(&index) {
            Ok(bytes) if Index::read(&bytes).is_err() => {
                tell(Place::Index(index), "it is no index of images");
            }
            _ => {}
        }
        for (name, image) in self.all_pulled()? {
            let lacks = |(digest, size): (Digest, u64)| {
                let data = fs_err::symlink_metadata(self.blob(&digest));
                (!data.is_ok_and(|data| data.is_file() && data.len() == size)).then_some(digest)
            };
            // Of an index of several platforms only one needs to be here.
            let own = self.blob(&image.digest).exists();
            let several = image.media_type.contains("index") || image.media_type.contains("list");
            let missing = self.needs(&image).into_iter().find_map(lacks);
            match missing {
                Some(digest) if !own || !several => {
                    tell(Place::Image(name), &format!("blob {digest} is missing or not whole"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_snapshots(
        &self,
        sizes: &[(SnapshotId, Option<u64>)],
        tell: &mut dyn FnMut(Place, &str),
    ) -> Result<(), StoreError> {
        let all = self.snapshots()?;
        for path in self.entries("snapshots", |_| true)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !all.iter().any(|(id, _)| id.to_string() == name) {
                tell(Place::Stray(path), "it has no description");
            }
        }
        for (id, meta) in all {
            let mut wrong = |problem: &str| tell(Place::Snapshot(id.clone()), problem);
            if !self.directory(&id).join("fs").is_dir() {
                wrong("its tree is missing");
            } else if !self.is_whole(&id) {
                wrong("the machine went down before it was on disk");
            } else if let Some(parent) =
                meta.parents.iter().find(|parent| self.meta(parent).is_none())
            {
                wrong(&format!("snapshot {parent}, on which it lies, is gone"));
            } else if let Some((_, size)) = sizes.iter().find(|(counted, _)| *counted == id) {
                match (size, self.size(&id)) {
                    (None, _) => wrong("its tree cannot be read"),
                    (Some(now), Some(once)) if *now != once => {
                        wrong(&format!("its tree has {now} bytes where it had {once}"));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn check_record(&self, path: &Path, tell: &mut dyn FnMut(Place, &str)) {
        #[derive(serde::Deserialize)]
        struct Kept {
            #[serde(default)]
            snapshots: Vec<SnapshotId>,
        }
        let place = Place::Record(path.to_path_buf());
        let Ok(text) = fs_err::read(path) else { return };
        match serde_json::from_slice::<Kept>(&text) {
            Err(_) => tell(place, "it is torn"),
            Ok(kept) => {
                if let Some(id) = kept.snapshots.iter().find(|id| !self.is_whole(id)) {
                    tell(place, &format!("snapshot {id}, which it needs, is gone or torn"));
                }
            }
        }
    }

    /// Takes out what was found to be broken; what another process uses stays, and is returned.
    ///
    /// # Errors
    ///
    /// When the store cannot be changed.
    pub fn repair(&self, findings: &[Finding]) -> Result<(Retired, Vec<Finding>), StoreError> {
        let (mut retired, mut kept) = (Retired::default(), Vec::new());
        for finding in findings {
            let done = match &finding.place {
                Place::Index(path) | Place::Record(path) => {
                    self.forget(path, &mut retired)?;
                    true
                }
                Place::Image(name) => self.drop_pulled(name)?,
                Place::Blob(path) => self.take_out(path, &mut retired)?,
                Place::Download(path) => {
                    fs_err::remove_file(path)?;
                    retired.downloads += 1;
                    true
                }
                Place::Snapshot(id) => self.retire_snapshot(&self.directory(id), &mut retired)?,
                Place::Stray(path) => self.retire_snapshot(path, &mut retired)?,
                Place::Remains(path) => {
                    retired.paths.push(path.clone());
                    true
                }
            };
            if !done {
                kept.push(finding.clone());
            }
        }
        Ok((retired, kept))
    }

    fn take_out(&self, path: &Path, retired: &mut Retired) -> Result<bool, StoreError> {
        let Some(_lock) = seize(path) else { return Ok(false) };
        fs_err::remove_file(path)?;
        retired.blobs += 1;
        Ok(true)
    }
}

fn digest_of(path: &Path) -> std::io::Result<Digest> {
    let mut reader = Digesting::new(fs_err::File::open(path)?);
    std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok(reader.finish().1)
}

/// Whether a file that is named after its checksum has another one. Packages have other names:
/// they are compared with what they must be whenever they are used.
fn download_is_damaged(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().replacen('-', ":", 1);
    let Ok(named) = name.parse::<Sum>() else { return false };
    crate::fetch::sum_of(path, named.algorithm()).is_ok_and(|found| found != named)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::SnapshotMeta;
    use super::*;
    use crate::oci::{Descriptor, media_type};

    fn snapshot(store: &Store, parents: Vec<SnapshotId>) -> SnapshotId {
        let pending = store.pending().unwrap();
        fs_err::create_dir(pending.upper()).unwrap();
        let id = store.commit(pending, SnapshotMeta::new("x", "map".into(), parents, false));
        let id = id.unwrap();
        store.measured(&id, 4096).unwrap();
        id
    }

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    /// An image of that configuration; and a blob that no image needs.
    fn pulled(store: &Store, config: &[u8]) -> Digest {
        let layer = store.put_blob(b"layer").unwrap();
        let manifest = crate::oci::Manifest::new(
            Descriptor::of(media_type::CONFIG, config),
            vec![Descriptor::new("application/vnd.oci.image.layer.v1.tar", layer, 5)],
        );
        let manifest = serde_json::to_vec(&manifest).unwrap();
        store.put_blob(config).unwrap();
        store.put_blob(&manifest).unwrap();
        let image = Descriptor::of(media_type::MANIFEST, &manifest);
        let named = image.digest;
        store.put_pulled("r.io/x:1", image, &named).unwrap();
        store.put_blob(b"rotten").unwrap()
    }

    #[test]
    fn a_whole_store_has_no_findings_and_a_broken_one_is_whole_after_repair_i30() {
        let (directory, store) = store();
        let (good, bad) = (snapshot(&store, Vec::new()), snapshot(&store, Vec::new()));
        let top = snapshot(&store, vec![good.clone()]);
        let orphan = snapshot(&store, vec![bad.clone()]);
        let changed = snapshot(&store, Vec::new());
        store.put_step("aaaaaaaa", &json!({ "snapshots": [good, top] })).unwrap();
        store.put_step("bbbbbbbb", &json!({ "snapshots": [bad, orphan] })).unwrap();
        store.put_ref("name", std::slice::from_ref(&bad)).unwrap();
        let config = br#"{"architecture":"amd64","os":"linux"}"#;
        let rotten = pulled(&store, config);
        let named = Digest::of("image").to_string().replace(':', "-");
        let download = store.downloads().join(named);
        fs_err::write(&download, "image").unwrap();
        fs_err::write(store.downloads().join("pool_main_x_1.deb"), "any").unwrap();
        let sizes = |ids: &[&SnapshotId], bytes| -> Vec<_> {
            ids.iter().map(|id| ((*id).clone(), Some(bytes))).collect()
        };
        let all = sizes(&[&good, &bad, &top, &orphan, &changed], 4096);
        assert_eq!(store.check(&all).unwrap(), []);

        fs_err::write(store.blob(&rotten), "rotter").unwrap();
        fs_err::remove_file(store.blob(&Digest::of(config))).unwrap();
        fs_err::write(&download, "image!").unwrap();
        fs_err::remove_dir(store.directory(&bad).join("fs")).unwrap();
        fs_err::remove_file(store.directory(&bad).join("meta.json")).unwrap();
        fs_err::write(store.root().join("steps/cccccccc.json"), "{").unwrap();
        fs_err::create_dir(store.root().join("run/run-x")).unwrap();
        let mut sized = all.clone();
        sized.retain(|(id, _)| *id != changed);
        sized.push((changed.clone(), Some(8192)));
        let root = store.root().to_path_buf();
        drop(store);
        let store = Store::open(&root).unwrap();
        let findings = store.check(&sized).unwrap();
        let text: Vec<_> =
            findings.iter().map(|one| format!("{}: {}", one.place, one.problem)).collect();
        for words in [
            "another digest than its name",
            "image r.io/x:1: blob sha256:",
            "not the digest that it is named after",
            "it has no description",
            "on which it lies, is gone",
            "8192 bytes where it had 4096",
            "bbbbbbbb.json: snapshot",
            "name.json: snapshot",
            "cccccccc.json: it is torn",
            "run-x: whoever made it is gone",
        ] {
            assert_eq!(
                text.iter().filter(|line| line.contains(words)).count(),
                1,
                "{words}: {text:#?}"
            );
        }
        assert_eq!(findings.len(), 10, "{text:#?}");
        let (retired, kept) = store.repair(&findings).unwrap();
        assert!(kept.is_empty());
        for path in &retired.paths {
            crate::layer::remove_tree(path).unwrap();
        }
        drop(retired);
        assert_eq!(store.check(&all).unwrap(), []);
        assert!(store.has_snapshot(&top) && store.step("aaaaaaaa").unwrap().is_some());
        drop(directory);
    }

    #[test]
    fn what_is_broken_and_in_use_is_left_for_later() {
        let (_directory, store) = store();
        let used = snapshot(&store, Vec::new());
        let other = Store::open(store.root()).unwrap();
        let findings = other.check(&[(used.clone(), None)]).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        let (retired, kept) = other.repair(&findings).unwrap();
        assert_eq!((retired.snapshots, kept.len()), (0, 1));
        drop(store);
        let (retired, kept) = other.repair(&findings).unwrap();
        assert_eq!((retired.snapshots, kept.len()), (1, 0));
    }
}
