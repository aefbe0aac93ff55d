//! Extended attributes: in the rest of the inode, or in a block of their own.

use std::borrow::Cow;

use super::super::sink::{len_of, offset_of};
use super::super::view::Item;
use super::Fields;
use super::checksum::Sealer;
use super::{Ext4Error, acl};

const MAGIC: u64 = 0xea02_0000;
/// Bytes of an entry without its name.
const ENTRY: usize = 16;
/// Bytes in front of a block's entries.
const HEADER: usize = 32;
/// Bytes that end a list of entries.
const END: usize = 4;

/// Names are kept without these.
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];

/// One attribute as it is stored. The order of the fields is that of a block's entries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute<'a> {
    index: u8,
    length: usize,
    name: &'a [u8],
    value: Cow<'a, [u8]>,
    /// The name as it is shown.
    whole: &'a [u8],
}

impl Attribute<'_> {
    fn bytes(&self) -> usize {
        ENTRY + self.length.next_multiple_of(4) + self.value.len().next_multiple_of(4)
    }

    fn hash(&self) -> u32 {
        let name = self.name.iter();
        let hash = name.fold(0_u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
        self.value.chunks(4).fold(hash, |hash, chunk| {
            let mut word = [0; 4];
            for (to, byte) in word.iter_mut().zip(chunk) {
                *to = *byte;
            }
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }
}

/// The attributes of one inode.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// What follows the inode's fields; empty when there is nothing.
    pub(super) inside: Vec<u8>,
    /// A block, without its checksum.
    pub(super) block: Option<Vec<u8>>,
}

/// Lays out what the item has. The inode has `room` bytes for it, a block has `block`.
pub(super) fn store(item: &Item<'_>, room: usize, block: u64) -> Result<Stored, Ext4Error> {
    let mut all = item
        .entry
        .xattrs
        .iter()
        .map(|(name, value)| attribute(item, name, value))
        .collect::<Result<Vec<_>, _>>()?;
    all.sort();
    let mut left = room.saturating_sub(4 + END);
    let (inside, outside): (Vec<_>, Vec<_>) = all.into_iter().partition(|attribute| {
        let fits = attribute.bytes() <= left;
        left -= if fits { attribute.bytes() } else { 0 };
        fits
    });
    let mut stored = Stored::default();
    if !inside.is_empty() {
        let mut area = Fields::new(offset_of(room));
        area.u32(0, MAGIC);
        lay(&mut area, &inside, 4, 4, room);
        stored.inside = area.done();
    }
    if let Some(last) = outside.last() {
        let needed = HEADER + END + outside.iter().map(Attribute::bytes).sum::<usize>();
        if needed > len_of(block) {
            let largest = outside.iter().max_by_key(|a| a.bytes()).unwrap_or(last);
            return Err(refused(item, largest.whole));
        }
        let mut area = Fields::new(block);
        area.u32(0, MAGIC);
        area.u32(4, 1); // references
        area.u32(8, 1); // blocks
        let hash = outside.iter().fold(0_u32, |hash, a| hash.rotate_left(16) ^ a.hash());
        area.u32(12, u64::from(hash));
        lay(&mut area, &outside, HEADER, 0, len_of(block));
        stored.block = Some(area.done());
    }
    Ok(stored)
}

/// Puts entries from `at` on and values from `end` down; offsets of values count from `base`.
fn lay(area: &mut Fields, list: &[Attribute<'_>], mut at: usize, base: usize, mut end: usize) {
    for attribute in list {
        let value = attribute.value.as_ref();
        area.u8(at, offset_of(attribute.length));
        area.u8(at + 1, u64::from(attribute.index));
        if !value.is_empty() {
            end -= value.len().next_multiple_of(4);
            area.u16(at + 2, offset_of(end - base));
            area.bytes(end, value);
        }
        area.u32(at + 8, offset_of(value.len()));
        area.u32(at + 12, u64::from(attribute.hash()));
        area.bytes(at + ENTRY, attribute.name);
        at += ENTRY + attribute.length.next_multiple_of(4);
    }
}

/// Gives a block at its place its checksum.
pub(super) fn seal(block: &mut [u8], place: u64, sealer: Sealer) {
    if sealer.is_on() {
        let checksum = sealer.of(&[&place.to_le_bytes(), block]);
        for (to, byte) in block.iter_mut().skip(16).zip(checksum.to_le_bytes().iter().take(4)) {
            *to = *byte;
        }
    }
}

fn attribute<'a>(
    item: &Item<'_>,
    name: &'a [u8],
    value: &'a [u8],
) -> Result<Attribute<'a>, Ext4Error> {
    let list = match name {
        b"system.posix_acl_access" => Some(2),
        b"system.posix_acl_default" => Some(3),
        _ => None,
    };
    if let Some(index) = list {
        let value = acl::stored(value).ok_or_else(|| refused(item, name))?;
        return Ok(Attribute {
            index,
            length: 0,
            name: &[],
            value: Cow::Owned(value),
            whole: name,
        });
    }
    let known = PREFIXES
        .iter()
        .find_map(|(prefix, index)| name.strip_prefix(*prefix).map(|rest| (*index, rest)))
        .filter(|(_, rest)| (1..=255).contains(&rest.len()));
    let (index, rest) = known.ok_or_else(|| refused(item, name))?;
    let value = Cow::Borrowed(value);
    Ok(Attribute { index, length: rest.len(), name: rest, value, whole: name })
}

fn refused(item: &Item<'_>, name: &[u8]) -> Ext4Error {
    let attribute = String::from_utf8_lossy(name).into_owned();
    Ext4Error::Attribute { path: item.display(), attribute }
}
