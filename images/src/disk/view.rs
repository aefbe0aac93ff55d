//! The part of a tree that one file system holds.

use std::collections::HashMap;

use super::layout::DiskLayout;
use crate::tree::{Entry, Kind, Tree};

/// Why a tree cannot be divided among the file systems.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Nothing is mounted at `/`.
    #[error("no file system of the layout is mounted at /")]
    NoRoot,
    /// The tree has something else than a directory where a file system is mounted.
    #[error("{mount_point} is a mount point but not a directory in the tree")]
    NotADirectory {
        /// The mount point.
        mount_point: String,
    },
    /// A hard link's first name is not in the tree.
    #[error("hard link {path} leads to {target}, which the tree does not hold as a file")]
    LooseLink {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
}

/// What one file system holds, parents before children.
pub(super) struct View<'a> {
    /// Where contents are read.
    pub(super) tree: &'a Tree,
    /// The first is the root directory, with an empty path.
    pub(super) items: Vec<Item<'a>>,
}

/// One name within a file system.
pub(super) struct Item<'a> {
    /// Relative to the file system's root.
    pub(super) path: &'a [u8],
    /// Its metadata.
    pub(super) entry: &'a Entry,
    /// What it is.
    pub(super) node: Node<'a>,
}

/// What a name stands for.
pub(super) enum Node<'a> {
    /// A file; [`Item::entry`] opens its content.
    File { size: u64 },
    /// A directory.
    Dir,
    /// A symbolic link and its target.
    Symlink(&'a [u8]),
    /// Another name of an earlier item, given by its path in this view.
    Link(&'a [u8]),
    /// A character device.
    Char { major: u32, minor: u32 },
    /// A block device.
    Block { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl<'a> Item<'a> {
    /// The parent's path and the own name.
    pub(super) fn split(&self) -> (&'a [u8], &'a [u8]) {
        match self.path.iter().rposition(|&b| b == b'/') {
            Some(i) => {
                let (parent, name) = self.path.split_at(i);
                (parent, name.get(1..).unwrap_or_default())
            }
            None => (&[], self.path),
        }
    }

    /// The whole path, for messages.
    pub(super) fn display(&self) -> String {
        display(&self.entry.path)
    }
}

/// The type of a mode as entries of directories count it: the same number in every format.
pub(super) fn kind(mode: u64) -> u8 {
    match mode >> 12 {
        0o10 => 1,
        0o4 => 2,
        0o2 => 3,
        0o6 => 4,
        0o1 => 5,
        0o14 => 6,
        0o12 => 7,
        _ => 0,
    }
}

/// A path of the tree for messages.
pub(super) fn display(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) => format!("/{text}"),
        Err(_) => format!("/{}", path.escape_ascii()),
    }
}

/// The root directory of a file system that holds nothing else.
pub(super) fn root(epoch: i64) -> Entry {
    directory(&[], epoch)
}

impl<'a> View<'a> {
    /// Of a file system that holds nothing but its root directory.
    pub(super) fn empty(tree: &'a Tree, root: &'a Entry) -> Self {
        Self { tree, items: vec![Item { path: &[], entry: root, node: Node::Dir }] }
    }
}

/// Directories that the layout's mount points need and the tree lacks.
pub(super) fn missing_directories(layout: &DiskLayout, tree: &Tree) -> Vec<Entry> {
    let mut missing: Vec<Entry> = Vec::new();
    let own = layout.filesystems.iter().filter_map(|f| f.mount_point.as_ref());
    for mount_point in own.chain(&layout.elsewhere) {
        let path = relative(mount_point);
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i);
        for end in std::iter::once(0).chain(ends).chain([path.len()]) {
            let prefix = path.get(..end).unwrap_or_default();
            if tree.get(prefix).is_none() && missing.iter().all(|e| e.path != prefix) {
                missing.push(directory(prefix, layout.epoch));
            }
        }
    }
    missing
}

fn directory(path: &[u8], mtime: i64) -> Entry {
    Entry {
        path: path.to_vec(),
        kind: Kind::Dir,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime,
        mtime_nsec: 0,
        xattrs: Vec::new(),
    }
}

/// The path of a mount point as the tree writes it.
fn relative(mount_point: &str) -> &[u8] {
    mount_point.trim_start_matches('/').as_bytes()
}

/// Divides the tree: one view for each file system of the layout, in its order;
/// empty for those that are not mounted. `missing` comes from
/// [`missing_directories`].
///
/// A directory on which a file system is mounted is in both: as the root of the
/// one and as an empty directory of the other. A hard link between two file
/// systems becomes a file of its own.
pub(super) fn split<'a>(
    layout: &'a DiskLayout,
    tree: &'a Tree,
    missing: &'a [Entry],
) -> Result<Vec<View<'a>>, SplitError> {
    // What lies elsewhere belongs to an index that no view has.
    let elsewhere = layout.elsewhere.iter().map(|m| (usize::MAX, relative(m)));
    let mounts: Vec<(usize, &[u8])> = layout
        .filesystems
        .iter()
        .enumerate()
        .filter_map(|(i, f)| f.mount_point.as_deref().map(|m| (i, relative(m))))
        .chain(elsewhere)
        .collect();
    if mounts.iter().all(|(_, path)| !path.is_empty()) {
        return Err(SplitError::NoRoot);
    }
    let mut entries: Vec<&Entry> = tree.entries.iter().chain(missing).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut views: Vec<View<'a>> =
        layout.filesystems.iter().map(|_| View { tree, items: Vec::new() }).collect();
    let mut links = Links { mounts: &mounts, tree, copies: HashMap::new() };
    for entry in entries {
        if let Some(&(mounted, path)) = mounts.iter().find(|(_, path)| *path == entry.path) {
            if !matches!(entry.kind, Kind::Dir) {
                return Err(SplitError::NotADirectory { mount_point: display(path) });
            }
            push(&mut views, mounted, Item { path: &[], entry, node: Node::Dir });
            if path.is_empty() {
                continue;
            }
        }
        if let Some((owner, path)) = owner(&mounts, &entry.path) {
            let (entry, node) = links.resolve(owner, path, entry)?;
            push(&mut views, owner, Item { path, entry, node });
        }
    }
    Ok(views)
}

fn push<'a>(views: &mut [View<'a>], owner: usize, item: Item<'a>) {
    if let Some(view) = views.get_mut(owner) {
        view.items.push(item);
    }
}

/// The file system that holds the name `path`, and the path within it.
fn owner<'p>(mounts: &[(usize, &[u8])], path: &'p [u8]) -> Option<(usize, &'p [u8])> {
    mounts
        .iter()
        .filter_map(|&(index, mount)| below(mount, path).map(|rest| (mount.len(), index, rest)))
        .max_by_key(|(len, ..)| *len)
        .map(|(_, index, rest)| (index, rest))
}

/// The rest of `path` below `mount`, not empty.
fn below<'p>(mount: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    if mount.is_empty() {
        return (!path.is_empty()).then_some(path);
    }
    path.strip_prefix(mount)?.strip_prefix(b"/")
}

/// Follows hard links.
struct Links<'a, 'm> {
    mounts: &'m [(usize, &'a [u8])],
    tree: &'a Tree,
    /// Files whose first name lies in another file system: their first name in this one.
    copies: HashMap<(usize, &'a [u8]), &'a [u8]>,
}

impl<'a> Links<'a, '_> {
    /// What an entry is within file system `owner`, where it is called `path`.
    fn resolve(
        &mut self,
        owner_index: usize,
        path: &'a [u8],
        entry: &'a Entry,
    ) -> Result<(&'a Entry, Node<'a>), SplitError> {
        let Kind::Hardlink(target) = &entry.kind else {
            return plain(entry).map(|node| (entry, node)).ok_or_else(|| loose(entry, &[]));
        };
        let first = self.tree.get(target).ok_or_else(|| loose(entry, target))?;
        let node = plain(first)
            .filter(|node| !matches!(node, Node::Dir))
            .ok_or_else(|| loose(entry, target))?;
        match owner(self.mounts, &first.path) {
            Some((index, first_path)) if index == owner_index => {
                Ok((entry, Node::Link(first_path)))
            }
            _ => match self.copies.get(&(owner_index, target.as_slice())) {
                Some(copy) => Ok((entry, Node::Link(copy))),
                None => {
                    self.copies.insert((owner_index, target), path);
                    Ok((first, node))
                }
            },
        }
    }
}

fn loose(entry: &Entry, target: &[u8]) -> SplitError {
    SplitError::LooseLink { path: display(&entry.path), target: display(target) }
}

/// An entry that is no hard link.
fn plain(entry: &Entry) -> Option<Node<'_>> {
    Some(match &entry.kind {
        Kind::File { size, .. } => Node::File { size: *size },
        Kind::Dir => Node::Dir,
        Kind::Symlink(target) => Node::Symlink(target),
        Kind::Hardlink(_) => return None,
        &Kind::Char { major, minor } => Node::Char { major, minor },
        &Kind::Block { major, minor } => Node::Block { major, minor },
        Kind::Fifo => Node::Fifo,
        Kind::Socket => Node::Socket,
    })
}
