//! Rules that make a tree the same whoever built it and when.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Entry, Kind, Source, Tree};

/// What to settle before a tree is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normalise {
    /// Later modification times become this one (seconds since the epoch).
    pub epoch: i64,
    /// Paths that go, with all below; a trailing `/*` keeps the directory itself, a `*`
    /// inside a last component stands for any text.
    pub drop: Vec<String>,
    /// Files that stay but lose their content.
    pub empty: Vec<String>,
    /// Whether `dev` is replaced by its own device nodes and the few that a system needs before
    /// devtmpfs.
    pub devices: bool,
}

/// Nodes of a minimal /dev: name, major, minor, mode.
const NODES: [(&str, u32, u32, u32); 8] = [
    ("console", 5, 1, 0o600),
    ("full", 1, 7, 0o666),
    ("null", 1, 3, 0o666),
    ("ptmx", 5, 2, 0o666),
    ("random", 1, 8, 0o666),
    ("tty", 5, 0, 0o666),
    ("urandom", 1, 9, 0o666),
    ("zero", 1, 5, 0o666),
];

/// What rules do to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affected {
    /// It goes, with all below.
    Dropped,
    /// It loses its content.
    Emptied,
}

impl Tree {
    /// What the rules drop and empty of this tree, for somebody who changes it in place; of
    /// what lies below a dropped directory only that is named.
    pub fn affected<'a>(&'a self, rules: &Normalise) -> Vec<(&'a Entry, Affected)> {
        let drop: Vec<Pattern<'_>> = rules.drop.iter().map(|text| Pattern::new(text)).collect();
        let empty: Vec<Pattern<'_>> = rules.empty.iter().map(|text| Pattern::new(text)).collect();
        let mut found: Vec<(&Entry, Affected)> = Vec::new();
        for entry in &self.entries {
            if let Some((last, Affected::Dropped)) = found.last()
                && entry.is_below(&last.path)
            {
                continue;
            }
            if entry.kind == Kind::Socket || drop.iter().any(|rule| rule.matches(&entry.path)) {
                found.push((entry, Affected::Dropped));
            } else if matches!(entry.kind, Kind::File { size: 1.., .. })
                && empty.iter().any(|rule| rule.matches(&entry.path))
            {
                found.push((entry, Affected::Emptied));
            }
        }
        found
    }

    /// Applies the rules. Sockets go in any case: nobody listens on them.
    pub fn normalise(&mut self, rules: &Normalise) {
        let drop: Vec<Pattern<'_>> = rules.drop.iter().map(|text| Pattern::new(text)).collect();
        self.remove_where(|entry| {
            entry.kind == Kind::Socket || drop.iter().any(|pattern| pattern.matches(&entry.path))
        });
        let empty: Vec<Pattern<'_>> = rules.empty.iter().map(|text| Pattern::new(text)).collect();
        for entry in &mut self.entries {
            if let Kind::File { size, source } = &mut entry.kind
                && empty.iter().any(|pattern| pattern.matches(&entry.path))
            {
                *size = 0;
                *source = Source::Bytes(Arc::from([]));
            }
        }
        if rules.devices && self.get(b"dev").is_some() {
            let nodes: Vec<Vec<u8>> = self
                .entries
                .iter()
                .filter(|entry| matches!(entry.kind, Kind::Char { .. } | Kind::Block { .. }))
                .map(|entry| entry.path.clone())
                .collect();
            // Sorted: what is below a directory comes right behind it.
            let holds = |path: &[u8]| {
                let first = nodes.partition_point(|node| node.as_slice() < path);
                let below = |node: &Vec<u8>| {
                    node.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
                };
                nodes[first..].iter().take_while(|node| node.starts_with(path)).any(below)
            };
            self.remove_where(|entry| entry.path.starts_with(b"dev/") && !holds(&entry.path));
            for (name, major, minor, mode) in NODES {
                let path = format!("dev/{name}");
                self.insert(Entry::new(path, Kind::Char { major, minor }, mode, rules.epoch));
            }
            for (name, mode) in [("dev/pts", 0o755), ("dev/shm", 0o1777)] {
                self.insert(Entry::directory(name, mode, rules.epoch));
            }
        }
        for entry in &mut self.entries {
            if entry.mtime >= rules.epoch {
                entry.mtime = rules.epoch;
                entry.mtime_nsec = 0;
            }
        }
    }
}

/// A path with at most one `*` in its last component.
struct Pattern<'a> {
    before: &'a [u8],
    after: Option<&'a [u8]>,
}

impl<'a> Pattern<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.trim_start_matches('/');
        match text.split_once('*') {
            Some((before, after)) => {
                Self { before: before.as_bytes(), after: Some(after.as_bytes()) }
            }
            None => Self { before: text.as_bytes(), after: None },
        }
    }

    /// Whether the pattern names the path or a directory above it.
    fn matches(&self, path: &[u8]) -> bool {
        let Some(rest) = path.strip_prefix(self.before) else { return false };
        let Some(after) = self.after else { return rest.is_empty() || rest[0] == b'/' };
        let component = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
        !rest.is_empty() && component.len() >= after.len() && component.ends_with(after)
    }
}
