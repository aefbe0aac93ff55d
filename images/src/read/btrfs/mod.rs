//! Btrfs on one disk, read from the documentation of its on-disk format. Checksums of
//! metadata are verified, those of data are not. A log that holds changes is refused.
//!
//! `btrfs restore` was measured first: it makes two files of a hard link, leaves out pipes,
//! device nodes and attributes of directories, and fills holes.

mod extent;
mod inode;
mod superblock;
mod tree;

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use super::medium::Medium;
use super::volume::{Content, Name, Node, NodeKind, Volume, VolumeError, Xattrs, look_up};
use superblock::{Root, Superblock};
use tree::{Key, Trees};

/// Kinds of items.
const DIR_ITEM: u8 = 84;
const ROOT_ITEM: u8 = 132;
const CHUNK: u8 = 228;
/// The tree that all others hang from, and the directory that names the default one.
const FIRST: u64 = 5;
const NAMES: u64 = 6;
/// The root directory of every tree.
const TOP: u64 = 256;
/// Directories of the first tree that distributions keep their root in.
const USUAL: [&[u8]; 3] = [b"root", b"@", b"@rootfs"];
/// The longest text of a symbolic link (PATH_MAX).
const LINK: u64 = 4096;
/// How much more files may hold than the disk: an extent of 128 KiB packed into 4 KiB.
const RATIO: u64 = 32;

type Result<T> = std::result::Result<T, VolumeError>;

/// An inode of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    tree: u64,
    inode: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {} of tree {}", self.inode, self.tree)
    }
}

impl Place {
    /// One number of both.
    fn id(self) -> Result<u64> {
        if self.tree >= 1 << 20 || self.inode >= 1 << 44 {
            return Err(VolumeError::Unsupported { what: format!("{self}: a number so large") });
        }
        Ok(self.tree << 44 | self.inode)
    }

    fn of(id: u64) -> Self {
        Self { tree: id >> 44, inode: id & ((1 << 44) - 1) }
    }
}

/// A subvolume of a file system, with those that lie below it.
#[derive(Debug, Clone)]
pub(super) struct Btrfs {
    trees: Arc<Trees>,
    roots: Root,
    /// Roots of trees that were looked up.
    known: Arc<Mutex<HashMap<u64, Root>>>,
    root: Place,
    /// The tree of the system's root, which shows nowhere else.
    system: u64,
}

impl Btrfs {
    /// Opens it: the default subvolume, or the one that has the system.
    pub(super) fn open(medium: Arc<dyn Medium>) -> Result<Self> {
        let superblock = Superblock::read(medium.as_ref())?;
        let mut trees = Trees::new(medium, &superblock);
        let mut map = trees.map.clone();
        let low = Key { object: 0, kind: 0, offset: 0 };
        let high = Key { object: u64::MAX, kind: u8::MAX, offset: u64::MAX };
        trees.range(superblock.chunks, low, high, &mut |key, item| {
            if key.kind == CHUNK { map.add(key.offset, item) } else { Ok(()) }
        })?;
        trees.map = map;
        let root = Place { tree: FIRST, inode: TOP };
        let mut btrfs = Self {
            trees: Arc::new(trees),
            roots: superblock.roots,
            known: Arc::default(),
            root,
            system: FIRST,
        };
        let first = btrfs.clone();
        btrfs.root.tree = btrfs.default_tree()?;
        let candidates =
            std::iter::once(Ok(Some(btrfs.root))).chain(USUAL.iter().map(|path| first.at(path)));
        for candidate in candidates {
            let Some(root) = candidate? else { continue };
            let view = Self { root, ..btrfs.clone() };
            if look_up(&view, b"etc")?.is_some() {
                btrfs.root = root;
                break;
            }
        }
        btrfs.system = btrfs.root.tree;
        Ok(btrfs)
    }

    /// The tree that is mounted when nobody names one.
    fn default_tree(&self) -> Result<u64> {
        let mut found = FIRST;
        let place = Place { tree: 1, inode: NAMES };
        self.trees.items(self.roots, NAMES, DIR_ITEM, &mut |_, item| {
            inode::entries(place, item, &mut |location, name, _| {
                if name == b"default" && location.kind == ROOT_ITEM {
                    found = location.object;
                }
                Ok(())
            })
        })?;
        Ok(found)
    }

    /// A directory by its path from the root of this subvolume.
    fn at(&self, path: &[u8]) -> Result<Option<Place>> {
        let Some(id) = look_up(self, path)? else { return Ok(None) };
        let directory = self.node(id)?.kind == NodeKind::Dir;
        Ok(directory.then(|| Place::of(id)))
    }

    /// The root of a tree.
    fn tree(&self, tree: u64) -> Result<Root> {
        if let Ok(known) = self.known.lock()
            && let Some(root) = known.get(&tree)
        {
            return Ok(*root);
        }
        let mut found = None;
        self.trees.items(self.roots, tree, ROOT_ITEM, &mut |_, item| {
            let level = item.get(238).copied().unwrap_or(0);
            found = Some((super::fields::le64(item, 176), level));
            Ok(())
        })?;
        let root = found
            .ok_or_else(|| VolumeError::damaged(format!("tree {tree}"), "it does not exist"))?;
        if let Ok(mut known) = self.known.lock() {
            known.insert(tree, root);
        }
        Ok(root)
    }

    /// Whether a subvolume shows as nothing.
    fn hides(&self, tree: u64) -> bool {
        tree == self.root.tree || (tree == self.system && tree != FIRST)
    }
}

impl Volume for Btrfs {
    fn root(&self) -> u64 {
        self.root.id().unwrap_or(TOP)
    }

    fn capacity(&self, disk: u64) -> u64 {
        disk.saturating_mul(RATIO)
    }

    fn subvolume(&self, path: &[u8]) -> Result<Option<Arc<dyn Volume>>> {
        // While the path is followed, nothing is hidden.
        let first = Self { root: Place { tree: FIRST, inode: TOP }, system: FIRST, ..self.clone() };
        let Some(root) = first.at(path)? else { return Ok(None) };
        let volume: Arc<dyn Volume> = Arc::new(Self { root, ..self.clone() });
        Ok(Some(volume))
    }

    fn node(&self, id: u64) -> Result<Node> {
        inode::node(self, Place::of(id))
    }

    fn list(&self, id: u64) -> Result<Vec<Name>> {
        let place = Place::of(id);
        if self.node(id)?.kind != NodeKind::Dir {
            return Err(VolumeError::damaged(place, "it is no directory"));
        }
        inode::list(self, place)
    }

    fn content(&self, id: u64) -> Result<Content> {
        let (place, node) = (Place::of(id), self.node(id)?);
        if node.kind != NodeKind::File {
            return Err(VolumeError::damaged(place, "it is no file"));
        }
        extent::content(self, place, node.size)
    }

    fn link(&self, id: u64) -> Result<Vec<u8>> {
        let (place, node) = (Place::of(id), self.node(id)?);
        if node.kind != NodeKind::Symlink || node.size > LINK {
            return Err(VolumeError::damaged(place, "it is no link, or too long a one"));
        }
        let mut text = Vec::new();
        extent::content(self, place, node.size)?.reader().read_to_end(&mut text)?;
        if text.is_empty() || text.contains(&0) {
            return Err(VolumeError::damaged(place, "the link has no text, or a NUL in it"));
        }
        Ok(text)
    }

    fn xattrs(&self, id: u64) -> Result<Xattrs> {
        inode::xattrs(self, Place::of(id))
    }
}
