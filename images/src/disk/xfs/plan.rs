//! Gives everything its place.

use super::super::alloc::{Allocator, Extent};
use super::super::layout::Filesystem;
use super::super::sink::{len_of, offset_of};
use super::XfsError;
use super::attribute::{self, attributes};
use super::directory::{Child, Directory};
use super::draft::{Content, Draft, Drafted, Name, count};
use super::extents::{self, LONGEST};
use super::fields::{Fields, sealed};
use super::geometry::{BLOCK, CHUNK, Geometry};
use super::groups::Groups;
use super::inode::{Form, Inode, LITERAL, NEW_BITMAP};
use super::{log, superblock};
use crate::tree::Entry;

/// The least bytes of a data fork, and those behind which an attribute fork begins at the latest.
const LEAST_FORK: u64 = 56;
const MOST_FORK: u64 = 312;
/// Bytes of the data fork of a device, as the kernel wants it.
const DEVICE_FORK: u64 = 8;
/// Bytes in front of a link's target in a block of its own.
const LINK_HEADER: usize = 56;

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
    /// Bytes of a file.
    File { entry: &'a Entry, size: u64, from: u64, len: u64 },
    /// Chunks of inodes, from the `first`th inode on.
    Inodes { first: u64, count: u64 },
}

/// A file system that only has to be written down.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) geometry: Geometry,
    /// What is to be written, ascending.
    pub(super) pieces: Vec<Piece<'a>>,
    /// Inodes in the order of their numbers.
    pub(super) inodes: Vec<Inode>,
    pub(super) free_blocks: u64,
    pub(super) uuid: uuid::Uuid,
}

impl<'a> Plan<'a> {
    /// Plans the drafted file system.
    pub(super) fn new(
        geometry: Geometry,
        draft: &'a Draft<'a>,
        filesystem: &Filesystem,
        epoch: i64,
    ) -> Result<Self, XfsError> {
        let mut allocator = Allocator::new(0..geometry.blocks, geometry.reserved(), LONGEST);
        let mut plan = Self {
            geometry,
            pieces: Vec::new(),
            inodes: Vec::new(),
            free_blocks: 0,
            uuid: filesystem.uuid,
        };
        for (n, drafted) in draft.inodes.iter().enumerate() {
            let inode = plan.place(n, drafted, &mut allocator, epoch)?;
            plan.inodes.push(inode);
        }
        plan.own(filesystem, &allocator, count(draft));
        plan.pieces.sort_by_key(|piece| piece.at);
        Ok(plan)
    }

    fn write(&mut self, block: u64, bytes: Vec<u8>) {
        self.pieces.push(Piece { at: block * BLOCK, what: What::Bytes(bytes) });
    }

    fn place(
        &mut self,
        n: usize,
        drafted: &'a Drafted<'a>,
        allocator: &mut Allocator,
        epoch: i64,
    ) -> Result<Inode, XfsError> {
        let ino = self.geometry.ino(offset_of(n));
        let mut inode = Inode::own(drafted.mode, epoch);
        inode.links = drafted.links;
        if let Some(entry) = drafted.entry() {
            (inode.uid, inode.gid) = (entry.uid, entry.gid);
            inode.mtime = (entry.mtime, entry.mtime_nsec);
        }
        if n == 1 {
            inode.flags = NEW_BITMAP;
        }
        self.attributes(drafted, ino, &mut inode, allocator)?;
        let room = inode.fork.unwrap_or(LITERAL);
        let mut list = Vec::new();
        match &drafted.content {
            Content::Nothing => return Ok(inode),
            Content::Device(numbers) => {
                let mut data = Fields::new(4);
                data.u32(0, *numbers);
                (inode.form, inode.data) = (Form::Device, data.done());
                return Ok(inode);
            }
            Content::Link(target) => {
                inode.size = offset_of(target.len());
                if inode.size <= room {
                    (inode.form, inode.data) = (Form::Local, target.to_vec());
                    return Ok(inode);
                }
                let place = allocator.one()?;
                list.push(Extent { logical: 0, start: place, count: 1 });
                self.write(place, self.link(ino, place, target));
            }
            Content::Directory { parent, children } => {
                let number = |inode: usize| self.geometry.ino(offset_of(inode));
                let child = |child: &Name<'a>| Child {
                    name: child.name,
                    ino: number(child.inode),
                    kind: child.kind,
                };
                let children = children.iter().map(child).collect();
                let directory = Directory { ino, parent: number(*parent), children };
                if let Some(data) = directory.short(room) {
                    inode.size = offset_of(data.len());
                    (inode.form, inode.data) = (Form::Local, data);
                    return Ok(inode);
                }
                list = self.directory(&directory, &mut inode, allocator)?;
            }
            Content::File { size, runs } => {
                inode.size = *size;
                for run in runs {
                    let count = (run.end - run.start).div_ceil(BLOCK);
                    allocator.extend(&mut list, run.start / BLOCK, count)?;
                }
                self.content(drafted, *size, &list);
            }
        }
        let fork = extents::fork(&self.geometry, self.uuid, ino, &list, room, allocator)?;
        inode.form = if fork.is_tree { Form::Tree } else { Form::Extents };
        inode.data = fork.bytes;
        inode.extents = offset_of(list.len());
        inode.blocks += list.iter().map(|extent| extent.count).sum::<u64>();
        inode.blocks += offset_of(fork.nodes.len());
        for (block, node) in fork.nodes {
            self.write(block, node);
        }
        Ok(inode)
    }

    /// A file's bytes go where its extents are.
    fn content(&mut self, drafted: &'a Drafted<'a>, size: u64, extents: &[Extent]) {
        let Some(entry) = drafted.entry() else { return };
        for extent in extents {
            let from = extent.logical * BLOCK;
            let len = (extent.count * BLOCK).min(size - from);
            let what = What::File { entry, size, from, len };
            self.pieces.push(Piece { at: extent.start * BLOCK, what });
        }
    }

    /// The blocks of a directory that does not fit into its inode; returns their extents.
    fn directory(
        &mut self,
        directory: &Directory<'_>,
        inode: &mut Inode,
        allocator: &mut Allocator,
    ) -> Result<Vec<Extent>, XfsError> {
        let (blocks, size) = directory.blocks(self.uuid);
        inode.size = size;
        let mut list = Vec::new();
        for block in blocks {
            let logical = block.logical;
            let mut one = Vec::new();
            allocator.extend(&mut one, logical, 1)?;
            let start = one.first().map_or(0, |extent| extent.start);
            self.write(start, block.bytes(start));
            join(&mut list, Extent { logical, start, count: 1 });
        }
        Ok(list)
    }

    /// Extended attributes, and with them how much of the inode is left for the data.
    fn attributes(
        &mut self,
        drafted: &Drafted<'_>,
        ino: u64,
        inode: &mut Inode,
        allocator: &mut Allocator,
    ) -> Result<(), XfsError> {
        let Some(item) = drafted.item else { return Ok(()) };
        let all = attributes(item)?;
        if all.is_empty() {
            return Ok(());
        }
        let device = matches!(drafted.content, Content::Device(_));
        let least = if device { DEVICE_FORK } else { LEAST_FORK };
        if let Some(bytes) = attribute::short(&all, LITERAL - least) {
            let length = offset_of(bytes.len()).next_multiple_of(8);
            inode.fork = Some(if device { DEVICE_FORK } else { (LITERAL - length).min(MOST_FORK) });
            inode.attribute_form = Form::Local;
            inode.attributes = bytes;
            return Ok(());
        }
        let place = allocator.one()?;
        let block = attribute::block(&all, ino, place, self.uuid)
            .ok_or_else(|| XfsError::Attributes { path: item.display() })?;
        self.write(place, block);
        let extent = Extent { logical: 0, start: place, count: 1 };
        inode.fork = Some(if device { DEVICE_FORK } else { MOST_FORK });
        inode.attribute_extents = 1;
        inode.attributes = extents::record(&self.geometry, &extent).to_vec();
        inode.blocks = 1;
        Ok(())
    }

    fn link(&self, ino: u64, place: u64, target: &[u8]) -> Vec<u8> {
        let mut block = Fields::new(BLOCK);
        block.bytes(0, b"XSLM");
        block.u32(8, offset_of(target.len()));
        block.bytes(16, self.uuid.as_bytes());
        block.u64(32, ino);
        block.u64(40, place * 8);
        block.bytes(LINK_HEADER, target);
        sealed(block, 12)
    }

    /// Adds the file system's own blocks.
    fn own(&mut self, filesystem: &Filesystem, allocator: &Allocator, inodes: u64) {
        let geometry = self.geometry.clone();
        let groups = Groups { geometry: &geometry, allocator, inodes, uuid: self.uuid };
        let made: Vec<_> = (0..geometry.groups).map(|number| groups.group(number)).collect();
        self.free_blocks = made.iter().map(|group| group.free).sum();
        let superblock = superblock::bytes(&geometry, filesystem, inodes, self.free_blocks);
        let mut first = 0;
        for (number, (group, chunks)) in (0..).zip(made.into_iter().zip(&geometry.chunks)) {
            let start = geometry.start(number);
            let head = [superblock.clone(), group.head].concat();
            self.write(start, head);
            for (block, bytes) in group.leaves {
                self.write(block, bytes);
            }
            if *chunks > 0 {
                let count = chunks * CHUNK;
                let at = (start + geometry.first_chunk()) * BLOCK;
                self.pieces.push(Piece { at, what: What::Inodes { first, count } });
                first += count;
            }
        }
        self.write(geometry.log_start(), log::head(self.uuid, geometry.sector));
    }

    /// The bytes of inodes, which lie one after the other.
    pub(super) fn table(&self, first: u64, count: u64, epoch: i64) -> Vec<u8> {
        let bytes = |n: u64| {
            let ino = self.geometry.ino(n);
            match self.inodes.get(len_of(n)) {
                Some(inode) => inode.bytes(ino, epoch, self.uuid, self.geometry.features),
                None => super::inode::unused(ino, self.uuid),
            }
        };
        (first..first + count).flat_map(bytes).collect()
    }
}

/// Adds a block to an inode's extents.
fn join(list: &mut Vec<Extent>, next: Extent) {
    let joins = |last: &&mut Extent| {
        last.start + last.count == next.start && last.logical + last.count == next.logical
    };
    match list.last_mut().filter(joins) {
        Some(last) => last.count += next.count,
        None => list.push(next),
    }
}
