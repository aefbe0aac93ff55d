//! The bytes of a file: whole blocks, and a fragment of a block that files share.

use std::io;
use std::sync::{Arc, Mutex};

use super::super::fields::{index, le32, le64};
use super::super::medium::{Medium, bytes, within};
use super::super::volume::{Content, From, Piece};
use super::inode::File;
use super::{Result, Squashfs, VolumeError};

/// A block that is stored as it is.
const PLAIN: u32 = 1 << 24;

/// An unpacked block, and where it lies.
type Unpacked = Option<(u64, Arc<[u8]>)>;

/// What unpacks blocks, and keeps the last one of fragments.
#[derive(Debug)]
pub(super) struct Blocks {
    medium: Arc<dyn Medium>,
    method: super::compression::Method,
    size: usize,
    fragment: Mutex<Unpacked>,
}

/// A file's bytes at their offsets in the file.
#[derive(Debug)]
struct View {
    blocks: Arc<Blocks>,
    size: u64,
    /// Place and stored length of each block; none for a hole.
    places: Vec<Option<(u64, u32)>>,
    /// Place, stored length and offset of the last part.
    rest: Option<(u64, u32, usize)>,
    last: Mutex<Unpacked>,
}

impl Blocks {
    pub(super) fn new(squashfs: &super::Superblock, medium: Arc<dyn Medium>) -> Self {
        let (method, size) = (squashfs.method, squashfs.block_size);
        Self { medium, method, size, fragment: Mutex::default() }
    }

    fn unpack(&self, place: u64, stored: u32, kept: &Mutex<Unpacked>) -> io::Result<Arc<[u8]>> {
        if let Ok(kept) = kept.lock()
            && let Some((at, block)) = kept.as_ref()
            && *at == place
        {
            return Ok(Arc::clone(block));
        }
        let len = index(stored & !PLAIN);
        if len > self.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a block is too long"));
        }
        let packed = bytes(self.medium.as_ref(), place, len)?;
        let block =
            if stored & PLAIN != 0 { packed } else { self.method.unpack(&packed, self.size)? };
        let block: Arc<[u8]> = Arc::from(block);
        if let Ok(mut kept) = kept.lock() {
            *kept = Some((place, Arc::clone(&block)));
        }
        Ok(block)
    }
}

impl Medium for View {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.size, offset, buffer.len())?;
        let size = self.blocks.size as u64;
        let (mut offset, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (number, inside) = (index(offset / size), index(offset % size));
            let room = rest.len().min(self.blocks.size - inside);
            let (now, later) = rest.split_at_mut(room);
            let (block, from) = match self.places.get(number) {
                Some(Some((place, stored))) => {
                    (self.blocks.unpack(*place, *stored, &self.last)?, inside)
                }
                Some(None) => {
                    now.fill(0);
                    offset += room as u64;
                    rest = later;
                    continue;
                }
                None => {
                    let (place, stored, at) = self.rest.ok_or(io::ErrorKind::UnexpectedEof)?;
                    (self.blocks.unpack(place, stored, &self.blocks.fragment)?, at + inside)
                }
            };
            let found = block.get(from..from.saturating_add(room));
            now.copy_from_slice(found.ok_or_else(|| {
                io::Error::new(io::ErrorKind::UnexpectedEof, "a block is too short")
            })?);
            offset += room as u64;
            rest = later;
        }
        Ok(())
    }
}

/// The content of a file.
pub(super) fn content(squashfs: &Squashfs, file: File) -> Result<Content> {
    let size = squashfs.superblock.block_size as u64;
    let rest = match file.fragment {
        Some((number, offset)) => Some(fragment(squashfs, number, offset)?),
        None => None,
    };
    let (mut place, mut taken) = (file.start, 0u64);
    let mut places = Vec::with_capacity(file.blocks.len());
    let mut pieces: Vec<Piece> = Vec::new();
    for (number, stored) in file.blocks.iter().enumerate() {
        let at = number as u64 * size;
        let len = size.min(file.size - at);
        if *stored == 0 {
            places.push(None);
            continue;
        }
        places.push(Some((place, *stored)));
        place = place.saturating_add((stored & !PLAIN).into());
        add(&mut pieces, at, len);
        taken += len;
    }
    let whole = file.blocks.len() as u64 * size;
    if rest.is_some() && whole < file.size {
        add(&mut pieces, whole, file.size - whole);
        taken += file.size - whole;
    }
    let view = View {
        blocks: Arc::clone(&squashfs.blocks),
        size: file.size,
        places,
        rest,
        last: Mutex::default(),
    };
    Ok(Content { medium: Arc::new(view), size: file.size, pieces, taken })
}

fn add(pieces: &mut Vec<Piece>, at: u64, len: u64) {
    match pieces.last_mut() {
        Some(last) if last.at + last.len == at => last.len += len,
        _ => pieces.push(Piece { at, len, from: From::Disk(at) }),
    }
}

fn fragment(squashfs: &Squashfs, number: u32, offset: u32) -> Result<(u64, u32, usize)> {
    let broken = || VolumeError::damaged("the table of fragments", "it has no such entry");
    let table = squashfs.superblock.fragment_table.ok_or_else(broken)?;
    if number >= squashfs.superblock.fragments || index(offset) >= squashfs.superblock.block_size {
        return Err(broken());
    }
    let entry = squashfs.metadata.entry(table, number.into(), 16)?;
    Ok((le64(&entry, 0), le32(&entry, 8), index(offset)))
}
