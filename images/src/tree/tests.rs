use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;

use super::*;

fn file(path: &str, bytes: &[u8]) -> Entry {
    let size = bytes.len() as u64;
    Entry::new(path, Kind::File { size, source: Source::Bytes(Arc::from(bytes)) }, 0o644, 1_000)
}

fn sample() -> Tree {
    let mut tree = Tree::default();
    for entry in [
        Entry::directory("", 0o755, 1_000),
        Entry::directory("etc", 0o755, 1_000),
        file("etc/motd", b"hello\n"),
        Entry::new("etc/motd.link", Kind::Hardlink(b"etc/motd".to_vec()), 0o644, 1_000),
        Entry::new("etc/sym", Kind::Symlink(b"motd".to_vec()), 0o777, 1_000),
        Entry::new("null", Kind::Char { major: 1, minor: 3 }, 0o666, 1_000),
        file(&format!("{}/x", "long".repeat(40)), b"x"),
        Entry::directory("long".repeat(40), 0o755, 1_000),
    ] {
        tree.insert(entry);
    }
    tree
}

#[test]
fn equal_trees_give_the_same_archive_that_gnu_tar_reads() {
    let mut one = Vec::new();
    sample().write_tar(&mut one).unwrap();
    let mut two = Vec::new();
    sample().write_tar(&mut two).unwrap();
    assert_eq!(one, two);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.tar");
    fs_err::write(&path, &one).unwrap();
    let output = Command::new("tar").arg("-tvf").arg(&path).output().unwrap();
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for line in ["./etc/motd.link link to ./etc/motd", "./etc/sym -> motd", "1,3", "longlong"] {
        assert!(list.contains(line), "{line} in {list}");
    }
}

#[test]
fn a_removed_file_leaves_its_bytes_to_another_name() {
    let mut tree = sample();
    tree.remove_where(|entry| entry.path == b"etc/motd");
    let heir = tree.get(b"etc/motd.link").unwrap().clone();
    let mut text = String::new();
    tree.open(&heir).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello\n");
}

#[test]
fn rules_drop_empty_and_clamp() {
    let mut tree = sample();
    tree.insert(Entry::directory("dev", 0o755, 5_000));
    tree.insert(file("dev/leftover", b""));
    tree.insert(Entry::directory("dev/empty", 0o755, 1_000));
    tree.insert(Entry::directory("dev/net", 0o755, 1_000));
    tree.insert(file("dev/net/leftover", b""));
    tree.insert(Entry::new("dev/net/tun", Kind::Char { major: 10, minor: 200 }, 0o666, 1_000));
    tree.insert(Entry::new("dev/tty", Kind::Block { major: 8, minor: 0 }, 0o666, 1_000));
    tree.insert(file("etc/ssh_host_rsa_key", b"secret"));
    tree.insert(Entry::directory("tmp", 0o1777, 5_000));
    tree.insert(file("tmp/a", b""));
    let rules = Normalise {
        epoch: 2_000,
        drop: vec!["etc/ssh_host_*_key".into(), "tmp/*".into()],
        empty: vec!["etc/motd".into()],
        devices: true,
    };
    tree.normalise(&rules);
    assert!(tree.get(b"etc/ssh_host_rsa_key").is_none() && tree.get(b"tmp/a").is_none());
    for gone in ["dev/leftover", "dev/empty", "dev/net/leftover"] {
        assert!(tree.get(gone.as_bytes()).is_none(), "{gone}");
    }
    let own = Kind::Char { major: 10, minor: 200 };
    assert_eq!(tree.get(b"dev/net/tun").unwrap().kind, own, "the image's own stay");
    assert_eq!(tree.get(b"dev/tty").unwrap().kind, Kind::Char { major: 5, minor: 0 });
    assert_eq!(tree.get(b"dev/null").unwrap().kind, Kind::Char { major: 1, minor: 3 });
    assert_eq!(tree.get(b"tmp").unwrap().mtime, 2_000);
    assert_eq!(tree.get(b"etc").unwrap().mtime, 1_000);
    assert!(matches!(tree.get(b"etc/motd").unwrap().kind, Kind::File { size: 0, .. }));
}

#[test]
fn layers_merge_as_an_overlay_shows_them() {
    let directory = tempfile::tempdir().unwrap();
    let (low, high) = (directory.path().join("low"), directory.path().join("high"));
    for (path, text) in [
        ("low/keep/a", "low"),
        ("low/gone/x", "low"),
        ("low/opaque/old", "low"),
        ("low/flip", "file"),
        ("low/over", "low"),
        ("high/over", "high!"),
        ("high/opaque/new", "high"),
        ("high/flip/now-a-directory", "high"),
    ] {
        let path = directory.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    fs_err::hard_link(low.join("keep/a"), low.join("keep/b")).unwrap();
    let opaque = high.join("opaque");
    rustix::fs::setxattr(&opaque, "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
        .unwrap();
    let whiteout = rustix::fs::mknodat(
        rustix::fs::CWD,
        high.join("gone"),
        rustix::fs::FileType::CharacterDevice,
        Mode::from_raw_mode(0o600),
        0,
    );
    whiteout.unwrap();
    let tree = Tree::merge(&[low, high]).unwrap();
    let paths: BTreeMap<_, _> = tree
        .entries
        .iter()
        .map(|entry| (String::from_utf8_lossy(&entry.path).into_owned(), &entry.kind))
        .collect();
    assert!(!paths.contains_key("gone") && !paths.contains_key("gone/x"));
    assert!(!paths.contains_key("opaque/old") && paths.contains_key("opaque/new"));
    assert_eq!(paths["flip"], &Kind::Dir);
    assert_eq!(paths["keep/b"], &Kind::Hardlink(b"keep/a".to_vec()));
    let mut text = String::new();
    tree.open(tree.get(b"over").unwrap()).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "high!");
    assert!(tree.entries.iter().all(|entry| entry.xattrs.is_empty()));
}

/// More directories side by side than a process usually may open, and as many in a chain.
#[test]
fn wide_and_deep_layers_are_merged() {
    let directory = tempfile::tempdir().unwrap();
    for at in 0..1500 {
        fs_err::create_dir_all(directory.path().join(format!("wide/{at}/below"))).unwrap();
    }
    fs_err::create_dir_all(directory.path().join("d/".repeat(1500))).unwrap();
    let tree = Tree::merge(&[directory.path().to_path_buf()]).unwrap();
    assert_eq!(tree.entries.len(), 1 + 1 + 3000 + 1500);
    assert!(tree.entries.is_sorted_by(|a, b| a.path < b.path));
    // The temporary directory itself would open all of the chain at once.
    crate::layer::remove_tree(&directory.path().join("d")).unwrap();
}
