//! File systems that a program made from a part of the tree, copied to where they belong.

use std::collections::BTreeMap;
use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt as _;

use super::layout::{DiskLayout, Extent};
use super::sink::{DiskSink, len_of, offset_of};
use super::view::{self, Node, SplitError};
use super::write::FilesystemUse;
use crate::tree::{Kind, Tree};

/// How much is copied at a time.
const CHUNK: u64 = 1 << 20;

/// Why a finished file system cannot be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MadeError {
    /// Nobody made it.
    #[error("it is made from the files of an image, and there are none here")]
    Missing,
    /// Its place is too small.
    #[error(
        "it has {} KiB, and its place {} KiB: raise the image's size, or its own",
        .size.div_ceil(1024), .room / 1024
    )]
    TooLarge {
        /// Bytes that it has.
        size: u64,
        /// Bytes of its place.
        room: u64,
    },
    /// The file cannot be read, or the disk image not be written.
    #[error("it cannot be copied")]
    Copy(#[from] io::Error),
}

/// Finished file systems, by their names in the layout.
#[derive(Debug, Default)]
pub struct Made(BTreeMap<String, File>);

impl Made {
    /// Adds one, whose file holds nothing else.
    pub fn insert(&mut self, name: &str, file: File) {
        self.0.insert(name.to_owned(), file);
    }
}

/// The part of the tree that the file system `name` of the layout holds, as a tree of its own.
///
/// # Errors
///
/// When the tree cannot be divided among the layout's file systems.
pub fn part(layout: &DiskLayout, tree: &Tree, name: &str) -> Result<Tree, SplitError> {
    let missing = view::missing_directories(layout, tree);
    let views = view::split(layout, tree, &missing)?;
    let named = layout.filesystems.iter().zip(views);
    let view = { named }.find(|(filesystem, _)| filesystem.name == name).map(|(_, view)| view);
    let entries = view.into_iter().flat_map(|view| view.items).map(|item| {
        let mut entry = item.entry.clone();
        if let Node::Link(first) = item.node {
            entry.kind = Kind::Hardlink(first.to_vec());
        }
        entry.path = item.path.to_vec();
        (entry, item.entry.path.clone())
    });
    Ok(tree.part(entries.collect()))
}

/// Copies the file system `name` into the extent.
pub(super) fn write(
    made: &Made,
    name: &str,
    extent: Extent,
    sink: &mut dyn DiskSink,
) -> Result<FilesystemUse, MadeError> {
    let file = made.0.get(name).ok_or(MadeError::Missing)?;
    let (size, room) = (file.metadata()?.len(), extent.len);
    if size > room {
        return Err(MadeError::TooLarge { size, room });
    }
    let mut buffer = vec![0; len_of(CHUNK)];
    let mut at = 0;
    while at < size {
        let part = buffer.get_mut(..len_of(CHUNK.min(size - at))).unwrap_or_default();
        file.read_exact_at(part, at)?;
        sink.data(extent.offset + at, part)?;
        at += offset_of(part.len());
    }
    if room > size {
        sink.zeros(extent.offset + size, room - size)?;
    }
    Ok(FilesystemUse { used_bytes: size, size_bytes: room, ..FilesystemUse::default() })
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Filesystem, FsKind, MIB, On, derived_uuid};
    use super::super::sink::RawSink;
    use super::super::test_support::{create, dir, entry, file, noise, tree};
    use super::super::{BootFiles, WriteError, write_with};
    use super::*;

    fn layout() -> DiskLayout {
        let root = Filesystem {
            name: "root".into(),
            on: On::Whole,
            kind: FsKind::Squashfs,
            label: String::new(),
            uuid: derived_uuid("test", "root"),
            mount_point: Some("/usr".into()),
        };
        DiskLayout { elsewhere: vec!["/".into()], ..DiskLayout::bare(MIB, 1_700_000_000, root) }
    }

    #[test]
    fn a_part_is_a_tree_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        fs_err::create_dir_all(at("usr/bin")).unwrap();
        fs_err::write(at("usr/bin/first"), "content").unwrap();
        fs_err::hard_link(at("usr/bin/first"), at("usr/bin/second")).unwrap();
        fs_err::write(at("bin"), "elsewhere").unwrap();
        fs_err::hard_link(at("bin"), at("usr/third")).unwrap();
        let tree = Tree::merge(&[place.path().to_path_buf()]).unwrap();
        let part = part(&layout(), &tree, "root").unwrap();
        let paths: Vec<_> = part.entries.iter().map(|e| String::from_utf8_lossy(&e.path)).collect();
        assert_eq!(paths, ["", "bin", "bin/first", "bin/second", "third"]);
        let second = part.get(b"bin/second").unwrap();
        assert_eq!(second.kind, Kind::Hardlink(b"bin/first".to_vec()));
        let text = |path: &str| {
            let entry = part.get(path.as_bytes()).unwrap();
            io::read_to_string(part.open(entry).unwrap()).unwrap()
        };
        // A file that has another name in another file system is a file of its own here.
        assert_eq!([text("bin/second"), text("third")], ["content", "elsewhere"]);
        let mut archive = Vec::new();
        part.write_tar(&mut archive).unwrap();
        assert!(archive.windows(9).any(|window| window == b"elsewhere"));
    }

    #[test]
    fn it_is_copied_where_it_fits() {
        let place = tempfile::tempdir().unwrap();
        let disk = place.path().join("disk");
        let tree = tree(vec![dir(""), dir("usr"), entry("usr/x", Kind::Fifo), file("y", b"")]);
        let written = |bytes: Option<&[u8]>| {
            let mut made = Made::default();
            if let Some(bytes) = bytes {
                let file = place.path().join("made");
                fs_err::write(&file, bytes).unwrap();
                made.insert("root", File::open(file).unwrap());
            }
            let mut sink = RawSink::new(create(&disk), MIB).unwrap();
            let done = write_with(&layout(), &tree, &made, &mut sink, &BootFiles::default());
            done.map_err(|error| match error {
                WriteError::Made { name, source } => format!("{name}: {source}"),
                other => other.to_string(),
            })
        };
        let bytes = noise(700_001);
        let usage = written(Some(&bytes)).unwrap().filesystems[0].usage;
        assert_eq!((usage.used_bytes, usage.size_bytes), (700_001, MIB));
        let found = fs_err::read(&disk).unwrap();
        assert!(found[..700_001] == bytes && found[700_001..].iter().all(|&byte| byte == 0));
        assert_eq!(found.len() as u64, MIB);
        assert!(written(None).unwrap_err().contains("root: it is made from the files of an image"));
        let large = written(Some(&noise((1 << 20) + 1))).unwrap_err();
        assert!(large.contains("root: it has 1025 KiB, and its place 1024 KiB"), "{large}");
    }
}
