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
    for entry in entries {
        tree.insert(entry);
    }
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
