//! Images as other programs and our own writers make them, read back; and damaged ones.

mod btrfs;
pub(super) mod damage;
mod disks;
mod erofs;
mod erofs_hostile;
mod ext;
mod hostile;
mod lvm;
mod lvm_hostile;
mod qcow2;
mod squashfs;
mod xfs;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::{Medium, RawFile, System};
use crate::tree::{Entry, Kind, Tree};

/// The system on a raw disk.
pub(super) fn system(path: &Path) -> System {
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(path).unwrap());
    System::find(&disk).unwrap()
}

/// The whole content of a file.
pub(super) fn content(tree: &Tree, entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    tree.open(entry).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Two trees with the same paths, metadata and bytes; `skip` names what only one of them has.
pub(super) fn same(ours: &Tree, theirs: &Tree, skip: &[&str]) {
    let list = |tree: &Tree| -> Vec<Entry> {
        let kept = tree
            .entries
            .iter()
            .filter(|entry| skip.iter().all(|skip| !entry.is_below(skip.as_bytes())));
        kept.cloned().collect()
    };
    let (left, right) = (list(ours), list(theirs));
    let paths = |list: &[Entry]| -> Vec<String> {
        list.iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).collect()
    };
    assert_eq!(paths(&left), paths(&right));
    for (left, right) in left.iter().zip(&right) {
        let path = String::from_utf8_lossy(&left.path);
        // Linux shows no permissions of links but all, and so do writers of our own.
        let mode = |entry: &Entry| match entry.kind {
            Kind::Symlink(_) => 0o777,
            _ => entry.mode,
        };
        let meta = |entry: &Entry| (mode(entry), entry.uid, entry.gid, entry.mtime);
        if !left.path.is_empty() {
            assert_eq!(meta(left), meta(right), "{path}");
            assert_eq!(left.xattrs, right.xattrs, "{path}");
        }
        match (&left.kind, &right.kind) {
            (Kind::File { size: a, .. }, Kind::File { size: b, .. }) => {
                assert_eq!(a, b, "{path}");
                assert!(content(ours, left) == content(theirs, right), "{path}");
            }
            (a, b) => assert_eq!(a, b, "{path}"),
        }
    }
}
