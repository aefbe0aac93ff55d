//! Gives everything its place.

use super::super::alloc::{Allocator, Extent};
use super::super::layout::{Ext4Options, Filesystem};
use super::super::sink::{len_of, offset_of};
use super::block_map::Mapping;
use super::draft::{Content, Draft, Drafted};
use super::extents;
use super::geometry::Geometry;
use super::groups::Groups;
use super::inode::{EXTENTS, FIRST, INDEX, Inode, JOURNAL, RESIZE, ROOT};
use super::superblock::{SUPERBLOCK, Superblock};
use super::{Ext4Error, growth, journal, xattr};
use crate::tree::Entry;

/// Something that is written, and where its first byte goes.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) at: u64,
    pub(super) what: What<'a>,
}

/// What is written.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// Bytes.
    Bytes(Vec<u8>),
    /// The descriptors of all groups.
    Descriptors,
    /// Bytes of a directory that is made again: which inode of the draft, from and length.
    Directory { drafted: usize, from: u64, len: u64 },
    /// Bytes of a file.
    File { entry: &'a Entry, size: u64, from: u64, len: u64 },
    /// The used inodes of a group, from this one on.
    Inodes { first: u64, count: u64 },
}

/// A file system that only has to be written down.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) geometry: Geometry,
    pub(super) draft: Draft<'a>,
    /// What is to be written, ascending.
    pub(super) pieces: Vec<Piece<'a>>,
    /// Inodes by number; the first is number 1, and unused ones are nothing.
    inodes: Vec<Option<Inode>>,
    /// The descriptors of all groups, one after the other.
    pub(super) descriptors: Vec<u8>,
    pub(super) free_blocks: u64,
}

impl<'a> Plan<'a> {
    /// Plans the drafted file system.
    pub(super) fn new(
        geometry: Geometry,
        draft: Draft<'a>,
        filesystem: &Filesystem,
        options: &Ext4Options,
        epoch: i64,
    ) -> Result<Self, Ext4Error> {
        let blocks = geometry.first..geometry.blocks;
        let mut allocator = Allocator::new(blocks, geometry.reserved.clone(), extents::LONGEST);
        let mut plan = Self {
            geometry,
            draft,
            pieces: Vec::new(),
            inodes: vec![None; len_of(FIRST - 1)],
            descriptors: Vec::new(),
            free_blocks: 0,
        };
        plan.reserve(&mut allocator, epoch)?;
        plan.journal(&mut allocator, epoch)?;
        let drafted = std::mem::take(&mut plan.draft.inodes);
        for (n, inode) in drafted.iter().enumerate() {
            let placed = plan.place(n, inode, &mut allocator, epoch)?;
            if inode.ino == ROOT {
                plan.put(ROOT, placed);
            } else {
                plan.inodes.push(Some(placed));
            }
        }
        plan.draft.inodes = drafted;
        plan.own(filesystem, options, epoch, &allocator);
        plan.pieces.sort_by_key(|piece| piece.at);
        Ok(plan)
    }

    /// The inode with that number.
    pub(super) fn inode(&self, ino: u64) -> Option<&Inode> {
        self.inodes.get(len_of(ino.checked_sub(1)?))?.as_ref()
    }

    fn put(&mut self, ino: u64, inode: Inode) {
        if let Some(there) = self.inodes.get_mut(len_of(ino - 1)) {
            *there = Some(inode);
        }
    }

    fn write(&mut self, block: u64, bytes: Vec<u8>) {
        self.pieces.push(Piece { at: block * self.geometry.block, what: What::Bytes(bytes) });
    }

    fn reserve(&mut self, allocator: &mut Allocator, epoch: i64) -> Result<(), Ext4Error> {
        if self.geometry.reserve > 0 {
            let index = allocator.one()?;
            self.write(index, growth::index(&self.geometry));
            let first = self.geometry.first + 1 + self.geometry.descriptors;
            self.write(first, growth::reserve(&self.geometry));
            self.put(RESIZE, growth::inode(&self.geometry, index, epoch));
        }
        Ok(())
    }

    fn journal(&mut self, allocator: &mut Allocator, epoch: i64) -> Result<(), Ext4Error> {
        let (count, block) = (self.geometry.journal, self.geometry.block);
        if count == 0 {
            return Ok(());
        }
        let mut list = Vec::new();
        allocator.extend(&mut list, 0, count)?;
        if let Some(first) = list.first() {
            self.write(first.start, journal::superblock(count, block));
        }
        let mut inode = Inode { size: count * block, ..Inode::own(0o100_600, epoch) };
        self.lie(&mut inode, JOURNAL, count, &list, allocator)?;
        self.put(JOURNAL, inode);
        Ok(())
    }

    /// Gives an inode its blocks and writes down where they lie.
    fn lie(
        &mut self,
        inode: &mut Inode,
        ino: u64,
        blocks: u64,
        list: &[Extent],
        allocator: &mut Allocator,
    ) -> Result<(), Ext4Error> {
        let sealer = self.draft.format.sealer;
        let mapping = self.geometry.mapping;
        let tree = mapping.build(list, ino, self.geometry.block, sealer, allocator)?;
        inode.block = tree.root;
        inode.flags |= if mapping == Mapping::Extents { EXTENTS } else { 0 };
        inode.blocks += blocks + offset_of(tree.nodes.len());
        for (block, node) in tree.nodes {
            self.write(block, node);
        }
        Ok(())
    }

    fn place(
        &mut self,
        n: usize,
        drafted: &Drafted<'a>,
        allocator: &mut Allocator,
        epoch: i64,
    ) -> Result<Inode, Ext4Error> {
        let block = self.geometry.block;
        let mut inode = Inode::own(drafted.mode, epoch);
        inode.links = drafted.links;
        inode.inside.clone_from(&drafted.attributes.inside);
        if let Some(entry) = drafted.entry {
            (inode.uid, inode.gid) = (entry.uid, entry.gid);
            inode.mtime = (entry.mtime, entry.mtime_nsec);
        }
        if let Some(attributes) = &drafted.attributes.block {
            inode.attributes = allocator.one()?;
            inode.blocks = 1;
            let mut bytes = attributes.clone();
            xattr::seal(&mut bytes, inode.attributes, self.draft.format.sealer);
            self.write(inode.attributes, bytes);
        }
        let mut list = Vec::new();
        let mut blocks = 0;
        match &drafted.content {
            Content::Inode(numbers) => {
                inode.block = *numbers;
                return Ok(inode);
            }
            Content::Link(target) => {
                inode.size = offset_of(target.len());
                if target.len() < inode.block.len() {
                    for (to, byte) in inode.block.iter_mut().zip(*target) {
                        *to = *byte;
                    }
                    return Ok(inode);
                }
                allocator.extend(&mut list, 0, 1)?;
                blocks = 1;
                if let Some(first) = list.first() {
                    self.write(first.start, target.to_vec());
                }
            }
            Content::Directory(directory) => {
                let made = self.draft.format.build(directory);
                let made = made.ok_or_else(|| Ext4Error::DirectorySize { path: String::new() })?;
                inode.size = offset_of(made.bytes.len());
                inode.flags |= if made.indexed { INDEX } else { 0 };
                blocks = inode.size / block;
                allocator.extend(&mut list, 0, blocks)?;
                for extent in &list {
                    let (from, len) = (extent.logical * block, extent.count * block);
                    let what = What::Directory { drafted: n, from, len };
                    self.pieces.push(Piece { at: extent.start * block, what });
                }
            }
            Content::File { size, runs } => {
                inode.size = *size;
                for run in runs {
                    let count = (run.end - run.start).div_ceil(block);
                    allocator.extend(&mut list, run.start / block, count)?;
                    blocks += count;
                }
                for extent in &list {
                    let Some(entry) = drafted.entry else { continue };
                    let from = extent.logical * block;
                    let len = (extent.count * block).min(size - from);
                    let what = What::File { entry, size: *size, from, len };
                    self.pieces.push(Piece { at: extent.start * block, what });
                }
            }
        }
        self.lie(&mut inode, drafted.ino, blocks, &list, allocator)?;
        Ok(inode)
    }

    /// Adds the file system's own blocks.
    fn own(
        &mut self,
        filesystem: &Filesystem,
        options: &Ext4Options,
        epoch: i64,
        allocator: &Allocator,
    ) {
        let sealer = self.draft.format.sealer;
        let geometry = self.geometry.clone();
        let last_inode = offset_of(self.inodes.len());
        let mut directories = vec![0; len_of(geometry.groups)];
        for inode in &self.draft.inodes {
            let group = len_of((inode.ino - 1) / geometry.inodes_per_group);
            if let (Content::Directory(_), Some(count)) =
                (&inode.content, directories.get_mut(group))
            {
                *count += 1;
            }
        }
        let directories = &directories;
        let groups = Groups { geometry: &geometry, allocator, last_inode, directories, sealer };
        for (number, place) in (0..).zip(&geometry.places) {
            let Some(group) = groups.group(number) else { continue };
            self.free_blocks += group.free_blocks;
            self.descriptors.extend(group.descriptor);
            for (block, bitmap) in
                [(place.block_bitmap, group.block_bitmap), (place.inode_bitmap, group.inode_bitmap)]
            {
                if let Some(bitmap) = bitmap {
                    self.write(block, bitmap);
                }
            }
            let count = groups.used_inodes(number);
            if count > 0 {
                let what = What::Inodes { first: number * geometry.inodes_per_group + 1, count };
                self.pieces.push(Piece { at: place.inode_table * geometry.block, what });
            }
        }
        let journal = self.inode(JOURNAL).cloned();
        let superblock = Superblock {
            geometry: &geometry,
            filesystem,
            options,
            epoch,
            sealer,
            free_blocks: self.free_blocks,
            free_inodes: geometry.inodes() - last_inode,
            journal: journal.as_ref(),
        };
        for group in std::iter::once(0).chain(geometry.backups()) {
            let start = geometry.start(group);
            // The first superblock leaves room for a boot sector.
            let at = if group == 0 { SUPERBLOCK } else { start * geometry.block };
            self.pieces.push(Piece { at, what: What::Bytes(superblock.copy(group)) });
            let at = (start + 1) * geometry.block;
            self.pieces.push(Piece { at, what: What::Descriptors });
        }
    }
}
