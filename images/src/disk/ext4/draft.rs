//! What a file system will hold, before anything has its place: inodes by number, and what
//! each of them needs.

use std::collections::HashMap;
use std::ops::Range;
use std::slice;

use super::super::layout::{Ext4Options, Filesystem};
use super::super::sink::{len_of, offset_of};
use super::super::view::{Item, Node, View, display, kind};
use super::Fields;
use super::block_map::Mapping;
use super::directory::{Child, DIRECTORY, Directory, Format};
use super::inode::{FIRST, ROOT, can_say, room};
use super::xattr::{Stored, store};
use super::{Ext4Error, Ext4Usage, checksum, superblock};
use crate::tree::Entry;

const LOST_AND_FOUND: &[u8] = b"lost+found";
/// Bytes that `lost+found` has room for, so that a check can put names there on a full disk.
const LOST_AND_FOUND_BYTES: u64 = 16 << 10;
/// Longer targets of links get a block.
const SHORT_LINK: usize = 59;
/// Sectors of a file's blocks without `huge_file`, those of its extents' tree left off.
const MOST_SECTORS: u64 = (1 << 32) - (1 << 24);
/// Names that a file can have, and directories that one can hold without `dir_nlink`.
const MOST_LINKS: u64 = 65_000;

/// Inodes in the order of their numbers: the root's, then from [`FIRST`] on.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) inodes: Vec<Drafted<'a>>,
    pub(super) format: Format,
    pub(super) usage: Ext4Usage,
}

/// An inode without a place for what it holds.
#[derive(Debug)]
pub(super) struct Drafted<'a> {
    pub(super) ino: u64,
    /// Nothing for what is there without the tree.
    pub(super) entry: Option<&'a Entry>,
    /// Type and permissions.
    pub(super) mode: u64,
    pub(super) links: u64,
    pub(super) content: Content<'a>,
    pub(super) attributes: Stored,
}

/// What an inode holds.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// A directory.
    Directory(Directory<'a>),
    /// A file, and which of its bytes are no holes.
    File { size: u64, runs: Vec<Range<u64>> },
    /// A link.
    Link(&'a [u8]),
    /// Nothing but what the inode itself says: a device's numbers.
    Inode([u8; 60]),
}

impl<'a> Draft<'a> {
    /// Drafts the file system of a view.
    pub(super) fn of(
        view: &View<'a>,
        filesystem: &Filesystem,
        options: &Ext4Options,
    ) -> Result<Self, Ext4Error> {
        let block = u64::from(options.block_size);
        let sealed = options.features.has("metadata_csum");
        let format = Format {
            block,
            index: options.features.has("dir_index"),
            seed: superblock::hash_words(filesystem, options),
            sealer: checksum::Sealer::new(filesystem.uuid, sealed),
        };
        let usage = Ext4Usage { blocks: 0, inodes: FIRST };
        let lost = len_of((LOST_AND_FOUND_BYTES / block).max(2));
        let own = vec![directory(ROOT, 0o755, 0), directory(FIRST, 0o700, lost)];
        let mut draft = Self { inodes: own, format, usage };
        let mut numbers: HashMap<&[u8], u64> = HashMap::from([(&b""[..], ROOT)]);
        for item in &view.items {
            let ino = draft.take(view, item, options, &numbers)?;
            numbers.insert(item.path, ino);
        }
        if !numbers.contains_key(LOST_AND_FOUND) {
            draft.name(ROOT, Child { name: LOST_AND_FOUND, ino: FIRST, kind: DIRECTORY });
        }
        draft.settle(options)?;
        Ok(draft)
    }

    /// Adds an item; returns its inode.
    fn take(
        &mut self,
        view: &View<'a>,
        item: &Item<'a>,
        options: &Ext4Options,
        numbers: &HashMap<&[u8], u64>,
    ) -> Result<u64, Ext4Error> {
        let orphan = || Ext4Error::Orphan { path: item.display() };
        let (parent, name) = item.split();
        let parent = numbers.get(parent).copied().ok_or_else(orphan)?;
        if name.len() > 255 {
            return Err(Ext4Error::Name { path: item.display() });
        }
        let ino = match (&item.node, item.path) {
            (_, b"") => ROOT,
            (Node::Dir, LOST_AND_FOUND) => FIRST,
            (_, LOST_AND_FOUND) => {
                return Err(Ext4Error::LostAndFound { path: item.display() });
            }
            (Node::Link(first), _) => numbers.get(first).copied().ok_or_else(orphan)?,
            _ => 10 + offset_of(self.inodes.len()),
        };
        if let Node::Link(_) = item.node {
            let kind = self.get(ino).map_or(0, |inode| kind(inode.mode));
            if let Some(inode) = self.get(ino) {
                inode.links += 1;
            }
            return self.name(parent, Child { name, ino, kind }).then_some(ino).ok_or_else(orphan);
        }
        let drafted = self.inode(view, item, options, ino)?;
        let child = Child { name, ino, kind: kind(drafted.mode) };
        match self.get(ino) {
            Some(there) => {
                // The root and lost+found: what is drafted already, with the tree's metadata.
                there.entry = drafted.entry;
                there.mode = drafted.mode;
                there.attributes = drafted.attributes;
            }
            None => self.inodes.push(drafted),
        }
        if ino != ROOT && !self.name(parent, child) {
            return Err(orphan());
        }
        if let Some(Drafted { content: Content::Directory(own), .. }) = self.get(ino) {
            own.parent = parent;
        }
        Ok(ino)
    }

    fn inode(
        &self,
        view: &View<'a>,
        item: &Item<'a>,
        options: &Ext4Options,
        ino: u64,
    ) -> Result<Drafted<'a>, Ext4Error> {
        let entry = item.entry;
        let inode_size = u64::from(options.inode_size);
        if !can_say(entry.mtime, entry.mtime_nsec, inode_size) {
            return Err(Ext4Error::Time { path: item.display(), time: entry.mtime });
        }
        let permissions = u64::from(entry.mode & 0o7777);
        let device = |major: u32, minor: u32| {
            device(major, minor).ok_or_else(|| Ext4Error::Device { path: item.display() })
        };
        let (mode, content) = match item.node {
            Node::File { size } => {
                let read = |source| Ext4Error::Read { path: display(&entry.path), source };
                let large = || Ext4Error::FileSize { path: item.display(), size };
                let mapping = Mapping::of(&options.features);
                if size.div_ceil(self.format.block) > mapping.most(self.format.block) {
                    return Err(large());
                }
                let runs = view.tree.runs(entry, size).map_err(read)?;
                // Without extents holes count, too.
                let counted: u64 = match mapping {
                    Mapping::Extents => runs.iter().map(|run| run.end - run.start).sum(),
                    Mapping::Indirect => size,
                };
                if counted / 512 > MOST_SECTORS && !options.features.has("huge_file") {
                    return Err(large());
                }
                (0o100_000 | permissions, Content::File { size, runs })
            }
            Node::Dir => {
                return Ok(Drafted {
                    entry: Some(entry),
                    attributes: store(item, room(inode_size), self.format.block)?,
                    ..directory(ino, permissions, 1)
                });
            }
            Node::Symlink(target) => {
                if offset_of(target.len()) >= self.format.block {
                    return Err(Ext4Error::Name { path: item.display() });
                }
                // Linux shows no other permissions.
                (0o120_777, Content::Link(target))
            }
            Node::Char { major, minor } => {
                (0o20_000 | permissions, Content::Inode(device(major, minor)?))
            }
            Node::Block { major, minor } => {
                (0o60_000 | permissions, Content::Inode(device(major, minor)?))
            }
            Node::Fifo => (0o10_000 | permissions, Content::Inode([0; 60])),
            Node::Socket => (0o140_000 | permissions, Content::Inode([0; 60])),
            Node::Link(_) => return Err(Ext4Error::Orphan { path: item.display() }),
        };
        let attributes = store(item, room(inode_size), self.format.block)?;
        Ok(Drafted { ino, entry: Some(entry), mode, links: 1, content, attributes })
    }

    fn get(&mut self, ino: u64) -> Option<&mut Drafted<'a>> {
        let at = if ino == ROOT { 0 } else { len_of(ino.checked_sub(10)?) };
        self.inodes.get_mut(at)
    }

    /// Adds a name to a directory; false when it is none.
    fn name(&mut self, parent: u64, child: Child<'a>) -> bool {
        let Some(inode) = self.get(parent) else { return false };
        let Content::Directory(directory) = &mut inode.content else { return false };
        directory.children.push(child);
        inode.links += u64::from(child.kind == DIRECTORY);
        true
    }

    /// Checks numbers of links, and sums up what everything needs.
    fn settle(&mut self, options: &Ext4Options) -> Result<(), Ext4Error> {
        let many = options.features.has("dir_nlink") && self.format.index;
        let (mapping, block) = (Mapping::of(&options.features), self.format.block);
        let mut blocks = 0;
        for inode in &mut self.inodes {
            let path = || inode.entry.map_or_else(String::new, |entry| display(&entry.path));
            if inode.links > MOST_LINKS {
                if !many || !matches!(inode.content, Content::Directory(_)) {
                    return Err(Ext4Error::Links { path: path(), links: inode.links });
                }
                // Too many to be counted.
                inode.links = 1;
            }
            blocks += u64::from(inode.attributes.block.is_some());
            blocks += match &inode.content {
                Content::Directory(directory) => {
                    let own = self.format.count(directory);
                    let own = own.ok_or_else(|| Ext4Error::DirectorySize { path: path() })?;
                    own + mapping.nodes(slice::from_ref(&(0..own)), block)
                }
                Content::File { runs, .. } => {
                    let whole = |run: &Range<u64>| run.start / block..run.end.div_ceil(block);
                    let runs: Vec<_> = runs.iter().map(whole).collect();
                    let own: u64 = runs.iter().map(|run| run.end - run.start).sum();
                    own + mapping.nodes(&runs, block)
                }
                Content::Link(target) => u64::from(target.len() > SHORT_LINK),
                Content::Inode(_) => 0,
            };
        }
        self.usage = Ext4Usage { blocks, inodes: 9 + offset_of(self.inodes.len()) };
        Ok(())
    }
}

/// A directory that is its own parent.
fn directory<'a>(ino: u64, permissions: u64, least: usize) -> Drafted<'a> {
    Drafted {
        ino,
        entry: None,
        mode: 0o40_000 | permissions,
        links: 2,
        content: Content::Directory(Directory { ino, parent: ROOT, children: Vec::new(), least }),
        attributes: Stored::default(),
    }
}

/// Where an inode keeps a device's numbers, old or new.
fn device(major: u32, minor: u32) -> Option<[u8; 60]> {
    let (major, minor) = (u64::from(major), u64::from(minor));
    if major >= 1 << 12 || minor >= 1 << 20 {
        return None;
    }
    let mut fields = Fields::new(60);
    if major < 256 && minor < 256 {
        fields.u32(0, major << 8 | minor);
    } else {
        fields.u32(4, minor & 0xff | major << 8 | (minor & !0xff) << 12);
    }
    let mut bytes = [0; 60];
    bytes.copy_from_slice(fields.get());
    Some(bytes)
}
