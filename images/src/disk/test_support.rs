//! Tools of the host that tests of this room consult when they are there.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::tree::{Entry, Kind, Source, Tree};

/// Says that a test goes without what the host lacks. Where `GOLDSMITH_REQUIRE` names
/// anything, as CI does, a test that could not look is a failure.
pub(crate) fn lacks(reason: &str) {
    let required = std::env::var("GOLDSMITH_REQUIRE").unwrap_or_default();
    assert!(required.is_empty(), "GOLDSMITH_REQUIRE={required}, but {reason}");
    eprintln!("skipped: {reason}");
}

/// Whether the host has a tool; says so when a test goes without.
pub(crate) fn have(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
        .chain(["/sbin".into(), "/usr/sbin".into()])
        .any(|dir| dir.join(tool).exists());
    if !found {
        lacks(&format!("{tool} is not installed"));
    }
    found
}

/// Whether a test may mount: root, loop devices, a mount name space of its own.
pub(crate) fn can_mount() -> bool {
    let can = rustix::process::geteuid().is_root() && Path::new("/dev/loop-control").exists();
    if !can {
        lacks("mounting needs root and loop devices");
    }
    can && have("unshare") && have("mount")
}

/// Runs a tool and returns what it printed, or fails the test with it.
pub(crate) fn run(tool: &str, args: &[&str]) -> String {
    let path = format!("{}:/sbin:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let out = Command::new(tool).args(args).env("PATH", path).env("LC_ALL", "C").output().unwrap();
    let text =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{tool} {args:?}: {text}");
    text
}

/// A tree of these entries.
pub(crate) fn tree(entries: Vec<Entry>) -> Tree {
    let mut tree = Tree::default();
    tree.entries.extend(entries);
    tree.entries.sort_by(|a, b| a.path.cmp(&b.path));
    tree
}

/// An entry of root's with mode 0755 or 0644.
pub(crate) fn entry(path: &str, kind: Kind) -> Entry {
    Entry {
        path: path.as_bytes().to_vec(),
        mode: if matches!(kind, Kind::Dir) { 0o755 } else { 0o644 },
        kind,
        uid: 0,
        gid: 0,
        mtime: 1_700_000_000,
        mtime_nsec: 0,
        xattrs: Vec::new(),
    }
}

/// A directory.
pub(crate) fn dir(path: &str) -> Entry {
    entry(path, Kind::Dir)
}

/// A file with content.
pub(crate) fn file(path: &str, content: &[u8]) -> Entry {
    let size = content.len().try_into().unwrap();
    entry(path, Kind::File { size, source: Source::Bytes(Arc::from(content)) })
}

/// A new file for a sink.
pub(crate) fn create(path: &Path) -> fs_err::File {
    fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap()
}

/// Bytes that do not compress, the same every time.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// A list that names a user, as getxattr(2) shows it.
pub(crate) fn acl() -> Vec<u8> {
    let entry = |tag: u16, perm: u16, id: u32| {
        [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    [
        2_u32.to_le_bytes().to_vec(),
        entry(0x01, 6, none),
        entry(0x02, 4, 1234),
        entry(0x04, 4, none),
        entry(0x10, 4, none),
        entry(0x20, 0, none),
    ]
    .concat()
}

/// A capability as getxattr(2) shows it.
pub(crate) fn capability() -> Vec<u8> {
    // cap_net_raw=ep, version 2
    [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// A file whose name is any bytes.
pub(crate) fn raw(path: &[u8], content: &[u8]) -> Entry {
    with(file("x", content), |e| e.path = path.to_vec())
}

/// An entry with a change.
pub(crate) fn with(mut entry: Entry, change: impl FnOnce(&mut Entry)) -> Entry {
    change(&mut entry);
    entry
}

/// One of everything.
pub(crate) fn rich() -> Tree {
    let mut entries = vec![
        with(dir(""), |e| e.mode = 0o755),
        dir("bin"),
        with(file("bin/ping", &noise(50_000)), |e| {
            e.xattrs = vec![(b"security.capability".to_vec(), capability())];
        }),
        with(file("bin/su", b"su"), |e| e.mode = 0o4755),
        entry("bin/su2", Kind::Hardlink(b"bin/su".to_vec())),
        dir("dev"),
        with(entry("dev/null", Kind::Char { major: 1, minor: 3 }), |e| {
            e.xattrs = vec![(b"security.selinux".to_vec(), b"system_u:object_r:x:s0\0".to_vec())];
        }),
        entry("dev/vda", Kind::Block { major: 254, minor: 300 }),
        with(entry("dev/pipe", Kind::Fifo), |e| {
            e.xattrs = vec![(b"trusted.large".to_vec(), noise(900))];
        }),
        entry("dev/sock", Kind::Socket),
        with(file("acl", b"acl"), |e| {
            e.mode = 0o640;
            e.xattrs = vec![(b"system.posix_acl_access".to_vec(), acl())];
        }),
        with(file("attrs", b"a"), |e| {
            e.xattrs = vec![
                (b"trusted.t".to_vec(), b"t".to_vec()),
                (b"user.big".to_vec(), noise(2000)),
                (b"user.small".to_vec(), b"v".to_vec()),
            ];
        }),
        with(file("owned", b"x"), |e| (e.uid, e.gid, e.mtime_nsec) = (100_000, 65_534, 42)),
        file("empty", b""),
        file("zeros", &vec![0; 3 << 20]),
        file("ünïcode", b"u"),
        raw(b"caf\xe9", b"no UTF-8"),
        entry("raw-link", Kind::Symlink(b"\xff".to_vec())),
        entry("short", Kind::Symlink(b"bin/su".to_vec())),
        entry("long", Kind::Symlink(vec![b'l'; 200])),
        with(dir("tmp"), |e| e.mode = 0o1777),
        dir("many"),
        dir("lost+found"),
    ];
    entries.extend((0..3000).map(|i| file(&format!("many/file-{i:05}"), &[b'a'; 7])));
    tree(entries)
}

/// Two trees with the same paths, metadata and bytes.
pub(crate) fn same(expected: &Tree, found: &Tree) {
    let paths = |tree: &Tree| -> Vec<String> {
        tree.entries.iter().map(|entry| super::view::display(&entry.path)).collect()
    };
    assert_eq!(paths(expected), paths(found));
    for (left, right) in expected.entries.iter().zip(&found.entries) {
        let name = super::view::display(&left.path);
        let mut left = left.clone();
        if matches!(left.kind, Kind::Symlink(_)) {
            left.mode = 0o777;
        }
        if let (Kind::File { size: a, .. }, Kind::File { size: b, .. }) = (&left.kind, &right.kind)
        {
            assert_eq!(a, b, "{name}");
            let bytes = |tree: &Tree, entry: &Entry| {
                let mut bytes = Vec::new();
                std::io::copy(&mut tree.open(entry).unwrap(), &mut bytes).unwrap();
                bytes
            };
            assert!(bytes(expected, &left) == bytes(found, right), "{name}");
            left.kind = right.kind.clone();
        }
        if matches!(left.kind, Kind::Hardlink(_)) {
            assert_eq!(left.kind, right.kind, "{name}");
        } else {
            assert_eq!(left, *right, "{name}");
        }
    }
}
