//! What a file system will hold, before anything has its place: inodes in order, and the
//! names in directories.

use std::collections::HashMap;

use super::super::view::{Item, Node, View, kind};
use super::ErofsError;
use super::attribute;
use crate::tree::Entry;

/// Inodes in the order of their places, the root first.
pub(super) struct Draft<'a> {
    pub(super) inodes: Vec<Drafted<'a>>,
}

/// An inode without a place.
pub(super) struct Drafted<'a> {
    /// Type and permissions.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: (i64, u32),
    pub(super) links: u32,
    /// Extended attributes as they are stored.
    pub(super) attributes: Vec<u8>,
    pub(super) content: Content<'a>,
}

/// What an inode holds.
pub(super) enum Content<'a> {
    /// The names of a directory, itself and the one above among them, sorted.
    Directory(Vec<Name<'a>>),
    /// A file.
    File { entry: &'a Entry, size: u64 },
    /// Where a symbolic link leads.
    Bytes(&'a [u8]),
    /// A device's numbers.
    Device(u32),
    /// Nothing.
    Nothing,
}

/// A name in a directory, and which inode it stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: usize,
    pub(super) kind: u8,
}

impl<'a> Draft<'a> {
    /// Drafts the file system of a view; one that is mounted nowhere is an empty directory
    /// of the time `epoch`.
    pub(super) fn of(view: &View<'a>, epoch: i64) -> Result<Self, ErofsError> {
        let mut draft = Self { inodes: vec![directory(0o755, 0)] };
        if let Some(root) = draft.inodes.first_mut() {
            root.mtime.0 = epoch;
        }
        let mut numbers: HashMap<&[u8], usize> = HashMap::from([(&b""[..], 0)]);
        for item in &view.items {
            let number = draft.take(item, &numbers)?;
            numbers.insert(item.path, number);
        }
        for inode in &mut draft.inodes {
            if let Content::Directory(names) = &mut inode.content {
                names.sort_unstable_by_key(|name| name.name);
            }
        }
        Ok(draft)
    }

    /// Adds an item; returns its inode.
    fn take(
        &mut self,
        item: &Item<'a>,
        numbers: &HashMap<&[u8], usize>,
    ) -> Result<usize, ErofsError> {
        let orphan = || ErofsError::Orphan { path: item.display() };
        let (parent, name) = item.split();
        let parent = numbers.get(parent).copied().ok_or_else(orphan)?;
        if name.len() > 255 {
            return Err(ErofsError::Name { path: item.display() });
        }
        let number = if let Node::Link(first) = item.node {
            let first = numbers.get(first).copied().ok_or_else(orphan)?;
            if let Some(inode) = self.inodes.get_mut(first) {
                inode.links += 1;
            }
            first
        } else {
            let number = if item.path.is_empty() { 0 } else { self.inodes.len() };
            let drafted = inode(item, number, parent)?;
            if number == 0 {
                if let Some(root) = self.inodes.first_mut() {
                    *root = drafted;
                }
                return Ok(0);
            }
            self.inodes.push(drafted);
            number
        };
        let kind = self.inodes.get(number).map_or(0, |inode| kind(u64::from(inode.mode)));
        let above = self.inodes.get_mut(parent).ok_or_else(orphan)?;
        let Content::Directory(names) = &mut above.content else { return Err(orphan()) };
        names.push(Name { name, inode: number, kind });
        above.links += u32::from(kind == 2);
        Ok(number)
    }
}

/// An empty directory that is inode `number`.
fn directory<'a>(permissions: u32, number: usize) -> Drafted<'a> {
    let name = |name, inode| Name { name, inode, kind: 2 };
    Drafted {
        mode: 0o40_000 | permissions,
        owner: (0, 0),
        mtime: (0, 0),
        links: 2,
        attributes: Vec::new(),
        content: Content::Directory(vec![name(b".", number), name(b"..", 0)]),
    }
}

fn inode<'a>(item: &Item<'a>, number: usize, parent: usize) -> Result<Drafted<'a>, ErofsError> {
    let entry = item.entry;
    let permissions = entry.mode & 0o7777;
    let device = |major: u32, minor: u32| {
        let fits = major < 1 << 12 && minor < 1 << 20;
        let numbers = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
        fits.then_some(Content::Device(numbers))
            .ok_or_else(|| ErofsError::Device { path: item.display() })
    };
    let (mode, content) = match item.node {
        Node::File { size } => (0o100_000 | permissions, Content::File { entry, size }),
        Node::Dir => {
            let mut drafted = directory(permissions, number);
            if let Content::Directory(names) = &mut drafted.content
                && let Some(above) = names.last_mut()
            {
                above.inode = parent;
            }
            (drafted.mode, drafted.content)
        }
        // Linux shows no other permissions.
        Node::Symlink(target) => (0o120_777, Content::Bytes(target)),
        Node::Char { major, minor } => (0o20_000 | permissions, device(major, minor)?),
        Node::Block { major, minor } => (0o60_000 | permissions, device(major, minor)?),
        Node::Fifo => (0o10_000 | permissions, Content::Nothing),
        Node::Socket => (0o140_000 | permissions, Content::Nothing),
        Node::Link(_) => return Err(ErofsError::Orphan { path: item.display() }),
    };
    Ok(Drafted {
        mode,
        owner: (entry.uid, entry.gid),
        mtime: (entry.mtime, entry.mtime_nsec),
        links: if matches!(content, Content::Directory(_)) { 2 } else { 1 },
        attributes: attribute::stored(item)?,
        content,
    })
}
