//! What a file system will hold, before anything has its place: inodes in order, and the
//! names in directories.

use std::collections::HashMap;
use std::ops::Range;

use super::super::view::{Item, Node, View, display, kind};
use super::XfsError;
use super::inode::can_say;
use crate::tree::Entry;

/// The longest target of a link.
const LONGEST_LINK: usize = 1024;

/// Inodes in the order of their numbers.
pub(super) struct Draft<'a> {
    pub(super) inodes: Vec<Drafted<'a>>,
}

/// An inode without a place for what it holds.
pub(super) struct Drafted<'a> {
    /// Nothing for the file system's own.
    pub(super) item: Option<&'a Item<'a>>,
    /// Type and permissions.
    pub(super) mode: u64,
    pub(super) links: u64,
    pub(super) content: Content<'a>,
}

/// What an inode holds.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// A directory: the one above, and its names.
    Directory { parent: usize, children: Vec<Name<'a>> },
    /// A file, and which of its bytes are no holes.
    File { size: u64, runs: Vec<Range<u64>> },
    /// A link.
    Link(&'a [u8]),
    /// A device's numbers.
    Device(u64),
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
    /// Drafts the file system of a view; `big_times` are those of `bigtime`.
    pub(super) fn of(view: &'a View<'a>, big_times: bool) -> Result<Self, XfsError> {
        let file = || Drafted { item: None, mode: 0o100_000, links: 1, content: Content::Nothing };
        let mut draft = Self { inodes: vec![directory(None, 0o755), file(), file()] };
        let mut numbers: HashMap<&[u8], usize> = HashMap::from([(&b""[..], 0)]);
        for item in &view.items {
            let (time, nanoseconds) = (item.entry.mtime, item.entry.mtime_nsec);
            let link = matches!(item.node, Node::Link(_));
            if !link && !can_say(time, nanoseconds, big_times) {
                return Err(XfsError::Time { path: item.display(), time });
            }
            let number = draft.take(view, item, &numbers)?;
            numbers.insert(item.path, number);
        }
        Ok(draft)
    }

    /// Adds an item; returns its inode.
    fn take(
        &mut self,
        view: &View<'a>,
        item: &'a Item<'a>,
        numbers: &HashMap<&[u8], usize>,
    ) -> Result<usize, XfsError> {
        let orphan = || XfsError::Orphan { path: item.display() };
        let (parent, name) = item.split();
        let parent = numbers.get(parent).copied().ok_or_else(orphan)?;
        if name.len() > 255 {
            return Err(XfsError::Name { path: item.display() });
        }
        let number = if let Node::Link(first) = item.node {
            let first = numbers.get(first).copied().ok_or_else(orphan)?;
            if let Some(inode) = self.inodes.get_mut(first) {
                inode.links += 1;
            }
            first
        } else {
            let drafted = inode(view, item, parent)?;
            if item.path.is_empty() {
                if let Some(root) = self.inodes.first_mut() {
                    root.mode = drafted.mode;
                    root.item = drafted.item;
                }
                return Ok(0);
            }
            self.inodes.push(drafted);
            self.inodes.len() - 1
        };
        let kind = self.inodes.get(number).map_or(0, |inode| kind(inode.mode));
        let above = self.inodes.get_mut(parent).ok_or_else(orphan)?;
        let Content::Directory { children, .. } = &mut above.content else { return Err(orphan()) };
        children.push(Name { name, inode: number, kind });
        above.links += u64::from(kind == 2);
        Ok(number)
    }
}

impl Drafted<'_> {
    /// The tree's entry.
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.item.map(|item| item.entry)
    }
}

fn directory<'a>(item: Option<&'a Item<'a>>, permissions: u64) -> Drafted<'a> {
    let content = Content::Directory { parent: 0, children: Vec::new() };
    Drafted { item, mode: 0o40_000 | permissions, links: 2, content }
}

fn inode<'a>(view: &View<'a>, item: &'a Item<'a>, parent: usize) -> Result<Drafted<'a>, XfsError> {
    let entry = item.entry;
    let permissions = u64::from(entry.mode & 0o7777);
    let device = |major: u32, minor: u32| {
        let known = major < 1 << 12 && minor < 1 << 20;
        let numbers = u64::from(major) << 18 | u64::from(minor);
        // The format has 18 bits for what Linux has 20.
        let fits = known && minor < 1 << 18;
        fits.then_some(Content::Device(numbers))
            .ok_or_else(|| XfsError::Device { path: item.display() })
    };
    let (kind, content) = match item.node {
        Node::File { size } => {
            let read = |source| XfsError::Read { path: display(&entry.path), source };
            let runs = view.tree.runs(entry, size).map_err(read)?;
            (0o100_000, Content::File { size, runs })
        }
        Node::Dir => {
            let content = Content::Directory { parent, children: Vec::new() };
            return Ok(Drafted { content, ..directory(Some(item), permissions) });
        }
        Node::Symlink(target) => {
            if target.len() > LONGEST_LINK - 1 {
                return Err(XfsError::Name { path: item.display() });
            }
            // Linux shows no other permissions.
            let content = Content::Link(target);
            return Ok(Drafted { item: Some(item), mode: 0o120_777, links: 1, content });
        }
        Node::Char { major, minor } => (0o20_000, device(major, minor)?),
        Node::Block { major, minor } => (0o60_000, device(major, minor)?),
        Node::Fifo => (0o10_000, Content::Device(0)),
        Node::Socket => (0o140_000, Content::Device(0)),
        Node::Link(_) => return Err(XfsError::Orphan { path: item.display() }),
    };
    Ok(Drafted { item: Some(item), mode: kind | permissions, links: 1, content })
}

/// How many inodes are in use.
pub(super) fn count(draft: &Draft<'_>) -> u64 {
    super::super::sink::offset_of(draft.inodes.len())
}
