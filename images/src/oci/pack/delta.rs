//! What a layer must hold to make one tree of another.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::tree::{Entry, Kind, Source, Tree};

/// Leaves of `full` what differs from `base`, with whiteouts for what is gone (OCI image
/// specification, layer.md). Both are merged from one stack of layers, of which `base` is
/// the beginning: equal entries then have equal sources.
pub(super) fn delta(base: &Tree, mut full: Tree) -> Tree {
    let mut kept: BTreeSet<Vec<u8>> = BTreeSet::new();
    keep_with_parents(&mut kept, b"");
    for entry in &full.entries {
        if base.get(&entry.path) != Some(entry) {
            keep_with_parents(&mut kept, &entry.path);
            // A link reaches no file of another layer.
            if let Kind::Hardlink(to) = &entry.kind {
                keep_with_parents(&mut kept, to);
            }
        }
    }
    let mut whiteouts = Vec::new();
    for entry in base.entries.iter().filter(|entry| full.get(&entry.path).is_none()) {
        let parent = parent(&entry.path);
        // Else the whole directory went, or something took its place.
        if full.get(parent).is_some_and(|there| there.kind == Kind::Dir) {
            keep_with_parents(&mut kept, parent);
            whiteouts.push(whiteout(entry));
        }
    }
    full.entries.retain(|entry| kept.contains(&entry.path));
    full.entries.extend(whiteouts);
    full.entries.sort_by(|a, b| a.path.cmp(&b.path));
    full
}

fn keep_with_parents(kept: &mut BTreeSet<Vec<u8>>, path: &[u8]) {
    let mut path = path;
    while kept.insert(path.to_vec()) && !path.is_empty() {
        path = parent(path);
    }
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(&[], |at| &path[..at])
}

fn whiteout(entry: &Entry) -> Entry {
    let above = parent(&entry.path);
    let name = if above.is_empty() { &entry.path[..] } else { &entry.path[above.len() + 1..] };
    let mut path = above.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(b".wh.");
    path.extend_from_slice(name);
    let kind = Kind::File { size: 0, source: Source::Bytes(Arc::from(&b""[..])) };
    Entry { path, kind, mode: 0o600, uid: 0, gid: 0, xattrs: Vec::new(), ..entry.clone() }
}
