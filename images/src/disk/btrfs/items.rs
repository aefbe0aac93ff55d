//! What the tree of files and that of checksums hold.

use super::super::sink::offset_of;
use super::data::Files;
use super::draft::{Draft, Drafted, FIRST};
use super::node::{Item, Key, LARGEST, push_key};
use super::{BtrfsError, GENERATION};

pub(super) const INODE: u8 = 1;
pub(super) const NAME_OF: u8 = 12;
const ATTRIBUTE: u8 = 24;
pub(super) const ENTRY: u8 = 84;
const INDEX: u8 = 96;
const EXTENT: u8 = 108;
/// The type of a regular file in entries.
const FILE: u8 = 1;
/// The type of attributes where types of inodes stand in entries.
const OF_ATTRIBUTE: u8 = 8;
/// Checksums that one item has at the most.
const SUMS: usize = 3000;

/// The items of the tree of files, sorted.
pub(super) fn of_files(draft: &Draft<'_>, files: &Files<'_>) -> Result<Vec<Item>, BtrfsError> {
    let mut items: Vec<Item> = Vec::new();
    let mut small = files.small.iter().peekable();
    let mut extents = files.extents.iter().peekable();
    for (number, drafted) in (FIRST..).zip(&draft.inodes) {
        let (mut bytes, mut at) = (0, 0);
        if let Some((_, content)) = small.next_if(|(inode, _)| *inode == number) {
            let mut data = extent_head(offset_of(content.len()), 0);
            data.extend(content);
            items.push(((number, EXTENT, 0), data));
            bytes = offset_of(content.len());
            at = u64::MAX;
        }
        while let Some(extent) = extents.next_if(|extent| extent.inode == number) {
            items.extend(hole(number, at, extent.from));
            at = extent.from + extent.len;
            let mut data = extent_head(extent.len, 1);
            for field in [extent.at, extent.len, 0, extent.len] {
                data.extend(field.to_le_bytes());
            }
            items.push(((number, EXTENT, extent.from), data));
            bytes += extent.len;
        }
        if drafted.kind() == FILE {
            items.extend(hole(number, at, drafted.size.next_multiple_of(super::SECTOR)));
        }
        items.push(((number, INODE, 0), inode(drafted, bytes)));
        if number == FIRST {
            items.push(((number, NAME_OF, number), name_of(0, b"..")));
        }
        for name in &drafted.names {
            let place = (number, INODE, 0);
            let kind = drafted.kind();
            items.push(((number, NAME_OF, name.parent), name_of(name.index, name.name)));
            let entry = entry(place, name.name, &[], kind);
            items.push(((name.parent, ENTRY, hash(name.name)), entry.clone()));
            items.push(((name.parent, INDEX, name.index), entry));
        }
        let attributes = drafted.item.iter().flat_map(|item| &item.entry.xattrs);
        for (name, value) in attributes {
            if name.len() > 255 || value.len() > LARGEST {
                return Err(BtrfsError::TooLarge { path: drafted.display() });
            }
            let entry = entry((0, 0, 0), name, value, OF_ATTRIBUTE);
            items.push(((number, ATTRIBUTE, hash(name)), entry));
        }
    }
    items.sort_by_key(|(key, _)| *key);
    // Names with one hash, and names of one file in one directory, share an item.
    let mut merged: Vec<Item> = Vec::with_capacity(items.len());
    for (key, data) in items {
        match merged.last_mut() {
            Some((last, all)) if *last == key => all.extend(data),
            _ => merged.push((key, data)),
        }
    }
    match merged.iter().find(|(_, data)| data.len() > LARGEST) {
        Some(((number, _, _), _)) => {
            let at = usize::try_from(number - FIRST).unwrap_or(usize::MAX);
            let path = draft.inodes.get(at).map_or_else(String::new, Drafted::display);
            Err(BtrfsError::TooLarge { path })
        }
        None => Ok(merged),
    }
}

/// The items of the tree of checksums.
pub(super) fn of_sums(files: &Files<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for extent in &files.extents {
        let mut at = extent.at;
        for sums in extent.sums.chunks(SUMS) {
            let data = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
            items.push(((10_u64.wrapping_neg(), 128, at), data));
            at += offset_of(sums.len()) * super::SECTOR;
        }
    }
    items
}

/// The inode of a directory that is no file's.
pub(super) fn directory(epoch: i64) -> Vec<u8> {
    let names = Vec::new();
    let mtime = (epoch, 0);
    let empty = Drafted { item: None, mode: 0o40_755, mtime, device: 0, names, size: 0, next: 2 };
    inode(&empty, super::NODE)
}

fn inode(drafted: &Drafted<'_>, bytes: u64) -> Vec<u8> {
    let owner = drafted.item.map_or((0, 0), |item| (item.entry.uid, item.entry.gid));
    let links = u32::try_from(drafted.names.len()).unwrap_or(u32::MAX).max(1);
    let mut data = Vec::with_capacity(160);
    for field in [GENERATION, GENERATION, drafted.size, bytes, 0] {
        data.extend(field.to_le_bytes());
    }
    for field in [links, owner.0, owner.1, drafted.mode] {
        data.extend(field.to_le_bytes());
    }
    data.extend(drafted.device.to_le_bytes());
    data.resize(112, 0);
    // Times of access, of change, of content and of birth.
    for _ in 0..4 {
        data.extend(drafted.mtime.0.to_le_bytes());
        data.extend(drafted.mtime.1.to_le_bytes());
    }
    data
}

/// What every extent of a file begins with; the kind is 0 for content in the item.
fn extent_head(len: u64, kind: u8) -> Vec<u8> {
    let mut data = GENERATION.to_le_bytes().to_vec();
    data.extend(len.to_le_bytes());
    data.extend([0, 0, 0, 0, kind]);
    data
}

/// A hole of a file. `no-holes` lets it be left out, and then GRUB reads what it finds in memory.
fn hole(inode: u64, from: u64, end: u64) -> Option<Item> {
    let len = end.checked_sub(from).filter(|len| *len > 0)?;
    let mut data = extent_head(len, 1);
    for field in [0, 0, 0, len] {
        data.extend(field.to_le_bytes());
    }
    Some(((inode, EXTENT, from), data))
}

/// A name that an inode knows of itself.
pub(super) fn name_of(index: u64, name: &[u8]) -> Vec<u8> {
    let mut data = index.to_le_bytes().to_vec();
    data.extend(u16::try_from(name.len()).unwrap_or_default().to_le_bytes());
    data.extend(name);
    data
}

/// An entry of a directory, or an attribute.
pub(super) fn entry(to: Key, name: &[u8], value: &[u8], kind: u8) -> Vec<u8> {
    let mut data = Vec::new();
    push_key(&mut data, to);
    data.extend(GENERATION.to_le_bytes());
    data.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    data.extend(u16::try_from(name.len()).unwrap_or_default().to_le_bytes());
    data.push(kind);
    data.extend(name);
    data.extend(value);
    data
}

/// The hash of a name: CRC-32C, begun by the format's own number and never inverted.
pub(super) fn hash(name: &[u8]) -> u64 {
    u64::from(!crc32c::crc32c_append(1, name))
}
