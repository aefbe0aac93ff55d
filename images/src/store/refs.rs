//! References: names that people give to stacks of snapshots.
//!
//! A reference is a root for collection until [`Store::drop_ref`] removes it or another
//! build writes the same name. Its name may be any text without control characters; the
//! file's name is the text with everything but letters, digits, `.`, `_` and `-` escaped.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{SnapshotId, Store, StoreError, write_whole};
use crate::digest::Digest;

/// A name and the stack that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The name, for instance `server` or `debian:bookworm/amd64`.
    pub name: String,
    /// The stack, bottom first.
    pub snapshots: Vec<SnapshotId>,
    /// Seconds since the epoch.
    pub created: u64,
    /// What the caller wants to remember of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<serde_json::Value>,
}

/// The longest name, in bytes.
const NAME_LIMIT: usize = 512;
/// The longest name of a file, without its ending.
const FILE_LIMIT: usize = 200;

impl Store {
    /// Lets `name` stand for a stack of snapshots, bottom first, atomically and in place of
    /// what it stood for.
    ///
    /// # Errors
    ///
    /// [`StoreError::Name`] when the name is empty, longer than 512 bytes or has control
    /// characters; else when the file system refuses.
    pub fn put_ref(&self, name: &str, snapshots: &[SnapshotId]) -> Result<(), StoreError> {
        self.put_noted_ref(name, snapshots, None)
    }

    /// The same, with notes.
    ///
    /// # Errors
    ///
    /// As [`put_ref`](Self::put_ref).
    pub fn put_noted_ref(
        &self,
        name: &str,
        snapshots: &[SnapshotId],
        notes: Option<serde_json::Value>,
    ) -> Result<(), StoreError> {
        let path = self.ref_path(name)?;
        let reference = Reference {
            name: name.to_owned(),
            snapshots: snapshots.to_vec(),
            created: super::steps::now(),
            notes,
        };
        Ok(write_whole(&path, &serde_json::to_vec(&reference)?)?)
    }

    /// Lists the references by name; one that cannot be read counts as absent.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn refs(&self) -> Result<Vec<Reference>, StoreError> {
        let mut found = Vec::new();
        for entry in fs_err::read_dir(self.root().join("refs"))? {
            let Ok(text) = fs_err::read(entry?.path()) else { continue };
            if let Ok(reference) = serde_json::from_slice::<Reference>(&text) {
                found.push(reference);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Forgets a reference; its snapshots stay until the next collection.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoImage`] when there is none of that name.
    pub fn drop_ref(&self, name: &str) -> Result<(), StoreError> {
        let path = self.ref_path(name)?;
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(self.no_image(name, self.refs()?.into_iter().map(|r| r.name).collect()))
            }
            other => Ok(other?),
        }
    }

    /// The directories, bottom first, of what `wanted` names: a reference, a snapshot, or
    /// the only snapshot whose name begins so, with those that it lies on.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoImage`] or [`StoreError::ManyImages`], with the names that are near;
    /// [`StoreError::NoSnapshot`] when a part of the stack is gone.
    pub fn image(&self, wanted: &str) -> Result<Vec<PathBuf>, StoreError> {
        let refs = self.refs()?;
        if let Some(reference) = refs.iter().find(|reference| reference.name == wanted) {
            super::lease::touch(&self.ref_path(wanted)?);
            return reference.snapshots.iter().map(|id| self.snapshot_fs(id)).collect();
        }
        let snapshots: Vec<_> =
            self.snapshots()?.into_iter().map(|(id, _)| id.to_string()).collect();
        let begin = |name: &&String| !wanted.is_empty() && name.starts_with(wanted);
        let mut matching: Vec<_> = snapshots.iter().filter(begin).cloned().collect();
        if snapshots.iter().any(|id| id == wanted) {
            matching = vec![wanted.to_owned()];
        }
        match matching.as_slice() {
            [only] => self.stack(only),
            [] => {
                let names = refs.into_iter().map(|reference| reference.name);
                Err(self.no_image(wanted, names.chain(snapshots).collect()))
            }
            _ => Err(StoreError::ManyImages { wanted: wanted.to_owned(), matching }),
        }
    }

    fn no_image(&self, wanted: &str, names: Vec<String>) -> StoreError {
        StoreError::NoImage { wanted: wanted.to_owned(), near: near(wanted, names) }
    }

    pub(super) fn ref_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        if name.is_empty() || name.len() > NAME_LIMIT || name.chars().any(char::is_control) {
            return Err(StoreError::Name { name: name.to_owned() });
        }
        Ok(self.root().join("refs").join(format!("{}.json", escaped(name))))
    }
}

/// The name as a file's name: no separator, no two names alike.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            text.push(char::from(byte));
        } else if write!(text, "%{byte:02x}").is_err() {
            // Writing to a string does not fail.
            break;
        }
    }
    if text.len() > FILE_LIMIT {
        // `~` is always escaped: no other name has it.
        text.truncate(FILE_LIMIT - 80);
        text.push('~');
        text.push_str(&Digest::of(name).hex());
    }
    text
}

/// The names, at most five, that `wanted` may be a slip for, the nearest first.
fn near(wanted: &str, names: Vec<String>) -> Vec<String> {
    let limit = wanted.chars().count() / 3 + 1;
    let mut ranked: Vec<_> = names
        .into_iter()
        .filter_map(|name| {
            let part = wanted.len() > 2 && name.contains(wanted);
            let distance = if part { 0 } else { distance(wanted, &name) };
            (distance <= limit).then_some((distance, name))
        })
        .collect();
    ranked.sort();
    ranked.into_iter().take(5).map(|(_, name)| name).collect()
}

/// How many letters must be put in, left out or changed to come from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<_> = to.chars().collect();
    let mut row: Vec<_> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut next = vec![at + 1];
        for (index, other) in to.iter().enumerate() {
            let change = row[index] + usize::from(letter != *other);
            next.push(change.min(row[index + 1] + 1).min(next[index] + 1));
        }
        row = next;
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::SnapshotMeta;
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    fn snapshot(store: &Store, parents: Vec<SnapshotId>) -> SnapshotId {
        let pending = store.pending().unwrap();
        fs_err::create_dir(pending.upper()).unwrap();
        store.commit(pending, SnapshotMeta::new("x", "map".into(), parents, false)).unwrap()
    }

    #[test]
    fn images_are_found_by_name_snapshot_and_beginning() {
        let (_directory, store) = store();
        let bottom = snapshot(&store, Vec::new());
        let top = snapshot(&store, vec![bottom.clone()]);
        let stack = [bottom.clone(), top.clone()];
        store.put_ref("debian:bookworm/amd64", &stack).unwrap();
        let long = format!("r.io/{}@sha256:{}", "x".repeat(200), "0".repeat(64));
        store.put_ref(&long, &stack).unwrap();
        assert!(store.image(&long).is_ok() && store.drop_ref(&long).is_ok());
        store.put_ref("server", &stack[..1]).unwrap();
        let notes = serde_json::json!({ "arch": "amd64" });
        store.put_noted_ref("server", &stack, Some(notes.clone())).unwrap();
        let refs = store.refs().unwrap();
        assert_eq!(refs.len(), 2);
        assert_eq!((&refs[0].notes, &refs[1].notes), (&None, &Some(notes)));
        let expected: Vec<_> = stack.iter().map(|id| store.snapshot_fs(id).unwrap()).collect();
        for wanted in ["server", "debian:bookworm/amd64", &top.to_string()] {
            assert_eq!(store.image(wanted).unwrap(), expected, "{wanted}");
        }
        let text = top.to_string();
        let mut unique = (1..text.len()).map(|end| &text[..end]);
        let unique = unique.find(|begin| !bottom.to_string().starts_with(begin)).unwrap();
        assert_eq!(store.image(unique).unwrap(), expected);
        match store.image("sever") {
            Err(StoreError::NoImage { near, .. }) => assert_eq!(near, ["server"]),
            other => panic!("{other:?}"),
        }
        assert!(store.image("").is_err() && store.image("../server").is_err());
        assert!(store.put_ref("", &stack).is_err() && store.put_ref("a\nb", &stack).is_err());
    }

    #[test]
    fn what_has_a_name_is_kept_until_it_is_dropped() {
        let (_directory, store) = store();
        let id = snapshot(&store, Vec::new());
        store.put_ref("server", std::slice::from_ref(&id)).unwrap();
        let root = store.root().to_path_buf();
        drop(store);
        let store = Store::open(&root).unwrap();
        assert!(store.collect(Duration::ZERO).unwrap().paths.is_empty());
        store.drop_ref("server").unwrap();
        assert!(matches!(store.drop_ref("server"), Err(StoreError::NoImage { .. })));
        assert_eq!(store.collect(Duration::ZERO).unwrap().paths.len(), 1);
    }
}
