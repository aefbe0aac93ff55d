//! What a file system will hold, before anything has its place: inodes in order, and their
//! names.

use std::collections::HashMap;

use super::super::view::{Item, Node, View, kind};
use super::BtrfsError;

/// The inode of the root; others follow.
pub(super) const FIRST: u64 = 256;
/// The longest target of a link.
const LONGEST_LINK: usize = 4095;

/// Inodes in the order of their numbers, the root first.
pub(super) struct Draft<'a> {
    pub(super) inodes: Vec<Drafted<'a>>,
}

/// An inode.
pub(super) struct Drafted<'a> {
    /// Nothing for a root that no tree has.
    pub(super) item: Option<&'a Item<'a>>,
    /// Type and permissions.
    pub(super) mode: u32,
    pub(super) mtime: (i64, u32),
    pub(super) device: u64,
    pub(super) names: Vec<Name<'a>>,
    /// Bytes of a directory's names, or of a link's target.
    pub(super) size: u64,
    /// How many names a directory holds, `.` and `..` counted.
    pub(super) next: u64,
}

/// A name of an inode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) parent: u64,
    pub(super) name: &'a [u8],
    /// Its number in the directory.
    pub(super) index: u64,
}

impl<'a> Draft<'a> {
    /// Drafts the file system of a view; one that is mounted nowhere is an empty directory of
    /// the time `epoch`.
    pub(super) fn of(view: &'a View<'a>, epoch: i64) -> Result<Self, BtrfsError> {
        let root = Drafted {
            item: None,
            mode: 0o40_755,
            mtime: (epoch, 0),
            device: 0,
            names: Vec::new(),
            size: 0,
            next: 2,
        };
        let mut draft = Self { inodes: vec![root] };
        let mut numbers: HashMap<&[u8], usize> = HashMap::from([(&b""[..], 0)]);
        for item in &view.items {
            let number = draft.take(item, &numbers)?;
            numbers.insert(item.path, number);
        }
        Ok(draft)
    }

    /// Adds an item; returns its index.
    fn take(
        &mut self,
        item: &'a Item<'a>,
        numbers: &HashMap<&[u8], usize>,
    ) -> Result<usize, BtrfsError> {
        let orphan = || BtrfsError::Orphan { path: item.display() };
        let (parent, name) = item.split();
        let parent = numbers.get(parent).copied().ok_or_else(orphan)?;
        if name.len() > 255 {
            return Err(BtrfsError::Name { path: item.display() });
        }
        let number = if let Node::Link(first) = item.node {
            numbers.get(first).copied().ok_or_else(orphan)?
        } else {
            let drafted = inode(item)?;
            if item.path.is_empty() {
                if let Some(root) = self.inodes.first_mut() {
                    *root = drafted;
                }
                return Ok(0);
            }
            self.inodes.push(drafted);
            self.inodes.len() - 1
        };
        let above = self.inodes.get_mut(parent).filter(|above| above.mode >> 12 == 0o4);
        let above = above.ok_or_else(orphan)?;
        let index = above.next;
        above.next += 1;
        above.size += 2 * super::offset_of(name.len());
        let name = Name { parent: FIRST + super::offset_of(parent), name, index };
        self.inodes.get_mut(number).ok_or_else(orphan)?.names.push(name);
        Ok(number)
    }
}

impl Drafted<'_> {
    /// What messages call it.
    pub(super) fn display(&self) -> String {
        self.item.map_or_else(|| "/".to_owned(), Item::display)
    }

    /// Its type as directories count it.
    pub(super) fn kind(&self) -> u8 {
        kind(u64::from(self.mode))
    }
}

fn inode<'a>(item: &'a Item<'a>) -> Result<Drafted<'a>, BtrfsError> {
    let entry = item.entry;
    let numbers = |major: u32, minor: u32| {
        let fits = major < 1 << 12 && minor < 1 << 20;
        let numbers = u64::from(major) << 20 | u64::from(minor);
        fits.then_some(numbers).ok_or_else(|| BtrfsError::Device { path: item.display() })
    };
    let permissions = entry.mode & 0o7777;
    let (mode, device, size) = match item.node {
        Node::File { size } => (0o100_000 | permissions, 0, size),
        Node::Dir => (0o40_000 | permissions, 0, 0),
        Node::Symlink(target) if target.len() > LONGEST_LINK => {
            return Err(BtrfsError::Name { path: item.display() });
        }
        // Linux shows no other permissions.
        Node::Symlink(target) => (0o120_777, 0, super::offset_of(target.len())),
        Node::Char { major, minor } => (0o20_000 | permissions, numbers(major, minor)?, 0),
        Node::Block { major, minor } => (0o60_000 | permissions, numbers(major, minor)?, 0),
        Node::Fifo => (0o10_000 | permissions, 0, 0),
        Node::Socket => (0o140_000 | permissions, 0, 0),
        Node::Link(_) => return Err(BtrfsError::Orphan { path: item.display() }),
    };
    let mtime = (entry.mtime, entry.mtime_nsec);
    Ok(Drafted { item: Some(item), mode, mtime, device, names: Vec::new(), size, next: 2 })
}
