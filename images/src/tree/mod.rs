//! The merged tree that every output reads.

mod entry;

use std::io::{self, Read};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, ResolveFlags};

pub use entry::{Entry, Kind, Source};

/// Everything an image holds, sorted by path, parents before children.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The entries; the root directory, with an empty path, is the first.
    pub entries: Vec<Entry>,
    /// The directories that [`Source::Layer`] counts.
    layers: Vec<PathBuf>,
}

impl Tree {
    /// An empty tree whose files may come from these layers, the bottom first.
    pub fn over(layers: Vec<PathBuf>) -> Self {
        Self { entries: Vec::new(), layers }
    }

    /// The entry at `path`, which has no leading slash.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|e| e.path.as_slice().cmp(path)).ok()?;
        self.entries.get(found)
    }

    /// Adds an entry, in place of one with the same path.
    pub fn insert(&mut self, entry: Entry) {
        match self.entries.binary_search_by(|e| e.path.cmp(&entry.path)) {
            Ok(at) => {
                if let Some(old) = self.entries.get_mut(at) {
                    *old = entry;
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
    }

    /// Opens the content of a file of this tree.
    ///
    /// # Errors
    ///
    /// The entry is no file, or its layer does not have it.
    pub fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read>> {
        let Kind::File { source, .. } = &entry.kind else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let layer = match source {
            Source::Bytes(bytes) => return Ok(Box::new(io::Cursor::new(bytes.clone()))),
            Source::Layer { layer } => self.layers.get(*layer).ok_or(io::ErrorKind::NotFound)?,
        };
        let directory = fs_err::File::open(layer)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let path = entry.path.as_slice();
        let file = rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve)?;
        Ok(Box::new(std::fs::File::from(file)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn file(path: &str, source: Source) -> Entry {
        let kind = Kind::File { size: 2, source };
        let path = path.as_bytes().to_vec();
        let xattrs = Vec::new();
        Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, mtime_nsec: 0, xattrs }
    }

    fn content(tree: &Tree, path: &str) -> io::Result<String> {
        let entry = tree.get(path.as_bytes()).ok_or(io::ErrorKind::NotFound)?;
        io::read_to_string(tree.open(entry)?)
    }

    #[test]
    fn files_are_read_from_bytes_and_layers_but_not_through_links() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("b"), "bb").unwrap();
        fs_err::os::unix::fs::symlink("b", dir.path().join("c")).unwrap();
        let mut tree = Tree::over(vec![dir.path().to_owned()]);
        for path in ["c", "b"] {
            tree.insert(file(path, Source::Layer { layer: 0 }));
        }
        tree.insert(file("a", Source::Layer { layer: 7 }));
        assert!(content(&tree, "a").is_err());
        tree.insert(file("a", Source::Bytes(Arc::from(*b"aa"))));
        assert_eq!(content(&tree, "a").unwrap(), "aa");
        assert_eq!(content(&tree, "b").unwrap(), "bb");
        assert!(content(&tree, "c").is_err());
        assert_eq!(tree.entries.len(), 3);
    }
}
