//! Two trees, path by path.

use std::cmp::Ordering;

use super::{Attribute, CompareError, Difference, first_difference};
use crate::tree::{Entry, Kind, Tree};

/// Collects what differs between files of one place.
#[derive(Debug)]
pub(super) struct Differences<'a> {
    place: &'a str,
    /// Stands before every path, as a mount point does.
    prefix: &'a [u8],
    pub(super) list: Vec<Difference>,
}

impl<'a> Differences<'a> {
    pub(super) fn new(place: &'a str, prefix: &'a [u8]) -> Self {
        Self { place, prefix, list: Vec::new() }
    }

    pub(super) fn push(&mut self, path: &[u8], attribute: Attribute, values: (String, String)) {
        let between: &[u8] = if self.prefix.is_empty() || path.is_empty() { b"" } else { b"/" };
        let path = [self.prefix, between, path].concat();
        let place = self.place.to_owned();
        self.list.push(Difference { place, path: Some(path), attribute, values });
    }

    pub(super) fn alone(&mut self, entry: &Entry, in_first: bool) {
        let (here, away) = (kind(&entry.kind).to_owned(), "absent".to_owned());
        let values = if in_first { (here, away) } else { (away, here) };
        self.push(&entry.path, Attribute::Presence, values);
    }

    /// Everything but a file's bytes; tells whether these are still to be compared.
    pub(super) fn attributes(&mut self, a: &Entry, b: &Entry) -> bool {
        let path = a.path.clone();
        if kind(&a.kind) != kind(&b.kind) {
            self.push(&path, Attribute::Kind, (kind(&a.kind).into(), kind(&b.kind).into()));
            return false;
        }
        let mut unless = |attribute, same: bool, values: (String, String)| {
            if !same {
                self.push(&path, attribute, values);
            }
        };
        let mode = |entry: &Entry| format!("{:04o}", entry.mode);
        unless(Attribute::Mode, a.mode == b.mode, (mode(a), mode(b)));
        let owner = |entry: &Entry| format!("{}:{}", entry.uid, entry.gid);
        unless(Attribute::Owner, (a.uid, a.gid) == (b.uid, b.gid), (owner(a), owner(b)));
        let time = |entry: &Entry| match entry.mtime_nsec {
            0 => entry.mtime.to_string(),
            fraction => format!("{}.{fraction:09}", entry.mtime),
        };
        unless(Attribute::Mtime, time(a) == time(b), (time(a), time(b)));
        let (target, other) = (target(&a.kind), target(&b.kind));
        unless(Attribute::Target, target == other, (target.clone(), other.clone()));
        let names = a.xattrs.iter().chain(&b.xattrs).map(|(name, _)| name);
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let value = |entry: &Entry| {
                let found = entry.xattrs.iter().find(|(n, _)| n == name);
                found.map_or_else(|| "absent".to_owned(), |(_, value)| hex::encode(value))
            };
            let shown = String::from_utf8_lossy(name).into_owned();
            unless(Attribute::Xattr(shown), value(a) == value(b), (value(a), value(b)));
        }
        match (&a.kind, &b.kind) {
            (Kind::File { size: one, .. }, Kind::File { size: other, .. }) => {
                unless(Attribute::Size, one == other, (one.to_string(), other.to_string()));
                true
            }
            _ => false,
        }
    }
}

/// What two trees do not have in common, sorted by path; `place` names where they lie and
/// `prefix`, relative and without a slash at its end, where they are mounted.
///
/// # Errors
///
/// When a file's bytes cannot be read.
pub fn trees(
    a: &Tree,
    b: &Tree,
    place: &str,
    prefix: &[u8],
) -> Result<Vec<Difference>, CompareError> {
    let mut found = Differences::new(place, prefix);
    let (mut left, mut right) = (a.entries.iter().peekable(), b.entries.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return Ok(found.list),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.path.cmp(&other.path),
        };
        if order == Ordering::Equal
            && let (Some(one), Some(other)) = (left.next(), right.next())
        {
            if found.attributes(one, other)
                && let Some(at) = first_difference(a.open(one)?, b.open(other)?)?
            {
                found.push(&one.path, Attribute::Content(at), Default::default());
            }
        } else if order == Ordering::Less
            && let Some(one) = left.next()
        {
            found.alone(one, true);
        } else if let Some(other) = right.next() {
            found.alone(other, false);
        }
    }
}

/// The word for a kind.
fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::File { .. } => "file",
        Kind::Dir => "directory",
        Kind::Symlink(_) => "symbolic link",
        Kind::Hardlink(_) => "hard link",
        Kind::Char { .. } => "character device",
        Kind::Block { .. } => "block device",
        Kind::Fifo => "pipe",
        Kind::Socket => "socket",
    }
}

/// What a link leads to, or a device's numbers.
fn target(kind: &Kind) -> String {
    match kind {
        Kind::Symlink(to) | Kind::Hardlink(to) => String::from_utf8_lossy(to).into_owned(),
        Kind::Char { major, minor } | Kind::Block { major, minor } => format!("{major}:{minor}"),
        _ => String::new(),
    }
}
