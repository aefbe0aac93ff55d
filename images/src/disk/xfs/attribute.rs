//! Extended attributes: within the inode, or in a block of their own.

use std::borrow::Cow;

use super::super::sink::{len_of, offset_of};
use super::super::view::Item;
use super::XfsError;
use super::fields::{Fields, sealed};
use super::geometry::BLOCK;
use super::hash::hash;

/// Bytes of an attribute block in front of its entries.
const HEADER: usize = 80;
/// Names are kept without these; the number is that of the name space.
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 0), (b"trusted.", 2), (b"security.", 4)];

/// One attribute as it is stored.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    space: u8,
    name: &'a [u8],
    value: Cow<'a, [u8]>,
}

/// What an item has.
pub(super) fn attributes<'a>(item: &Item<'a>) -> Result<Vec<Attribute<'a>>, XfsError> {
    let one = |(name, value): &'a (Vec<u8>, Vec<u8>)| attribute(item, name, value);
    item.entry.xattrs.iter().map(one).collect()
}

/// What the inode itself holds, if `room` bytes suffice.
pub(super) fn short(all: &[Attribute<'_>], room: u64) -> Option<Vec<u8>> {
    let one = |a: &Attribute<'_>| 3 + offset_of(a.name.len() + a.value.len());
    let bytes: u64 = 4 + all.iter().map(one).sum::<u64>();
    if bytes > room || all.len() > 255 || all.iter().any(|a| a.value.len() > 255) {
        return None;
    }
    let mut fields = Fields::new(bytes);
    fields.u16(0, bytes);
    fields.u8(2, offset_of(all.len()));
    let mut at = 4;
    for attribute in all {
        fields.u8(at, offset_of(attribute.name.len()));
        fields.u8(at + 1, offset_of(attribute.value.len()));
        fields.u8(at + 2, u64::from(attribute.space));
        fields.bytes(at + 3, attribute.name);
        fields.bytes(at + 3 + attribute.name.len(), &attribute.value);
        at += 3 + attribute.name.len() + attribute.value.len();
    }
    Some(fields.done())
}

/// The block for what is too large for inode `ino`, which gets the disk's block `place`;
/// nothing when one does not suffice.
pub(super) fn block(
    all: &[Attribute<'_>],
    ino: u64,
    place: u64,
    uuid: uuid::Uuid,
) -> Option<Vec<u8>> {
    let mut sorted: Vec<&Attribute<'_>> = all.iter().collect();
    sorted.sort_by_key(|a| (hash(a.name), a.space, a.name));
    let mut fields = Fields::new(BLOCK);
    fields.u16(8, 0x3bee);
    fields.u64(16, place * 8);
    fields.bytes(32, uuid.as_bytes());
    fields.u64(48, ino);
    let mut end = len_of(BLOCK);
    let entries = HEADER + 8 * all.len();
    for (n, attribute) in sorted.iter().enumerate() {
        let length = (3 + attribute.name.len() + attribute.value.len()).next_multiple_of(4);
        // What is longer would be kept elsewhere.
        if length > len_of(BLOCK) * 3 / 4 {
            return None;
        }
        end = end.checked_sub(length).filter(|end| *end >= entries)?;
        let at = HEADER + 8 * n;
        fields.u32(at, u64::from(hash(attribute.name)));
        fields.u16(at + 4, offset_of(end));
        fields.u8(at + 6, u64::from(attribute.space | 1));
        fields.u16(end, offset_of(attribute.value.len()));
        fields.u8(end + 2, offset_of(attribute.name.len()));
        fields.bytes(end + 3, attribute.name);
        fields.bytes(end + 3 + attribute.name.len(), &attribute.value);
    }
    fields.u16(56, offset_of(all.len()));
    fields.u16(58, BLOCK - offset_of(end));
    fields.u16(60, offset_of(end));
    if end > entries {
        fields.u16(64, offset_of(entries));
        fields.u16(66, offset_of(end - entries));
    }
    Some(sealed(fields, 12))
}

fn attribute<'a>(
    item: &Item<'_>,
    name: &'a [u8],
    value: &'a [u8],
) -> Result<Attribute<'a>, XfsError> {
    let refused = || XfsError::Attribute {
        path: item.display(),
        attribute: String::from_utf8_lossy(name).into_owned(),
    };
    let list: Option<&[u8]> = match name {
        b"system.posix_acl_access" => Some(b"SGI_ACL_FILE"),
        b"system.posix_acl_default" => Some(b"SGI_ACL_DEFAULT"),
        _ => None,
    };
    if let Some(name) = list {
        let value = Cow::Owned(acl(value).ok_or_else(refused)?);
        return Ok(Attribute { space: 2, name, value });
    }
    let (space, name) = PREFIXES
        .iter()
        .find_map(|(prefix, space)| name.strip_prefix(*prefix).map(|rest| (*space, rest)))
        .filter(|(_, rest)| (1..=255).contains(&rest.len()))
        .ok_or_else(refused)?;
    Ok(Attribute { space, name, value: Cow::Borrowed(value) })
}

/// The stored form of an access control list as getxattr(2) shows it.
fn acl(shown: &[u8]) -> Option<Vec<u8>> {
    let (version, entries) = shown.split_first_chunk::<4>()?;
    let (entries, rest) = entries.as_chunks::<8>();
    if u32::from_le_bytes(*version) != 2 || !rest.is_empty() {
        return None;
    }
    let mut fields = Fields::new(4 + 12 * offset_of(entries.len()));
    fields.u32(0, offset_of(entries.len()));
    for (n, [tag, tag_high, permissions, high, id @ ..]) in entries.iter().enumerate() {
        let at = 4 + 12 * n;
        fields.u32(at, u64::from(u16::from_le_bytes([*tag, *tag_high])));
        fields.u32(at + 4, u64::from(u32::from_le_bytes(*id)));
        fields.u16(at + 8, u64::from(u16::from_le_bytes([*permissions, *high])));
    }
    Some(fields.done())
}
