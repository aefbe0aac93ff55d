use std::sync::Arc;

use crate::layer::{Limits, RootWriter, extract};
use crate::oci::{
    Archive, ArchiveError, Compression, Config, Document, Packing, Platform, media_type, pack,
};
use crate::tree::{Entry, Kind, Source, Tree};

fn file(path: &str, bytes: &[u8]) -> Entry {
    let kind = Kind::File { size: bytes.len() as u64, source: Source::Bytes(Arc::from(bytes)) };
    Entry::new(path, kind, 0o644, 1_000)
}

fn tree(entries: &[Entry]) -> Tree {
    let mut tree = Tree::default();
    tree.insert(Entry::directory("", 0o755, 1_000));
    for entry in entries {
        tree.insert(entry.clone());
    }
    tree
}

fn packing(compression: Compression) -> Packing {
    Packing {
        platform: Platform::of_debian("armhf"),
        epoch: 1_700_000_000,
        created_by: vec!["base".to_owned(), "elements".to_owned()],
        compression,
        tag: "latest".to_owned(),
        docker_name: Some("example/app:1".to_owned()),
    }
}

fn packed(base: Option<&Tree>, full: Tree, how: &Packing) -> (Vec<u8>, std::fs::File) {
    let file = tempfile::tempfile().unwrap();
    pack(base, full, how, file.try_clone().unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut &file).unwrap();
    std::io::Read::read_to_end(&mut &file, &mut bytes).unwrap();
    (bytes, file)
}

#[test]
fn equal_trees_give_equal_archives_that_can_be_read_back() {
    let entries = [Entry::directory("etc", 0o755, 1_000), file("etc/motd", b"hello")];
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let how = packing(compression);
        let (bytes, read) = packed(None, tree(&entries), &how);
        assert_eq!(bytes, packed(None, tree(&entries), &how).0);
        let archive = Archive::open(read).unwrap();
        let top = &archive.index().manifests[0];
        assert_eq!(top.platform, Some(how.platform.clone()));
        let document = archive.document(top).unwrap();
        let Ok(Document::Manifest(image)) = Document::read(&document, media_type::MANIFEST) else {
            panic!("{top:?}")
        };
        let config = Config::read(&archive.document(&image.config).unwrap()).unwrap();
        assert_eq!(config.created.as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!((config.architecture.as_str(), config.variant.as_deref()), ("arm", Some("v7")));
        let layers = image.layers(&config).unwrap();
        let mut plain = Vec::new();
        tree(&entries).write_tar(&mut plain).unwrap();
        assert_eq!(layers[0].1, crate::digest::Digest::of(&plain));
        // What lies there under another digest is not given out.
        let mut other = image.config.clone();
        other.size += 1;
        assert!(matches!(archive.document(&other), Err(ArchiveError::Mismatch { .. })));
    }
}

#[test]
fn a_second_layer_holds_what_differs_and_whiteouts() {
    let base = tree(&[
        Entry::directory("a", 0o755, 1_000),
        file("a/gone", b"x"),
        file("a/same", b"same"),
        Entry::directory("b", 0o755, 1_000),
        Entry::directory("b/deep", 0o755, 1_000),
        file("b/deep/x", b"x"),
        file("flip", b"x"),
        file("old", b"old"),
    ]);
    let full = [
        Entry::directory("a", 0o755, 1_000),
        file("a/same", b"same"),
        Entry::directory("flip", 0o755, 1_000),
        file("flip/inside", b"new"),
        Entry::new("link", Kind::Hardlink(b"a/same".to_vec()), 0o644, 1_000),
        file("old", b"changed"),
    ];
    let (_, read) = packed(Some(&base), tree(&full), &packing(Compression::None));
    let archive = Archive::open(read).unwrap();
    let document = archive.document(&archive.index().manifests[0]).unwrap();
    let Ok(Document::Manifest(image)) = Document::read(&document, media_type::MANIFEST) else {
        panic!()
    };
    assert_eq!(image.layers.len(), 2);
    let mut second = tar::Archive::new(archive.blob(&image.layers[1]).unwrap());
    let mut names: Vec<_> = second
        .entries()
        .unwrap()
        .map(|entry| String::from_utf8_lossy(&entry.unwrap().path_bytes()).into_owned())
        .collect();
    names.sort();
    let expected = [
        "./",
        "./.wh.b",
        "./a/",
        "./a/.wh.gone",
        "./a/same",
        "./flip/",
        "./flip/inside",
        "./link",
        "./old",
    ];
    assert_eq!(names, expected);

    // Both extracted one over the other, as overlayfs stacks them, are the whole again.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut roots = Vec::new();
    for (at, layer) in image.layers.iter().enumerate() {
        let root = place.path().join(at.to_string());
        fs_err::create_dir(&root).unwrap();
        let mut writer = RootWriter::open(&root).unwrap();
        extract(archive.blob(layer).unwrap(), &mut writer, &Limits::default()).unwrap();
        writer.finish().unwrap();
        roots.push(root);
    }
    let merged = Tree::merge(&roots).unwrap();
    let paths = |tree: &Tree| tree.entries.iter().map(|one| one.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&merged), paths(&tree(&full)));
}

#[test]
fn i17_names_that_mean_whiteouts_are_not_packed() {
    let file = tempfile::tempfile().unwrap();
    let bad = tree(&[file_named("usr.wh.x"), file_named(".wh.passwd")]);
    let error = pack(None, bad, &packing(Compression::None), file).unwrap_err();
    assert!(error.to_string().starts_with(".wh.passwd"), "{error}");
    let good = tree(&[file_named("usr.wh.x")]);
    packed(None, good, &packing(Compression::None));
}

fn file_named(path: &str) -> Entry {
    file(path, b"x")
}
