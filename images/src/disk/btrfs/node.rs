//! Trees of items: leaves with items, nodes with keys of what lies below.

use super::super::sink::{len_of, offset_of};
use super::{GENERATION, Ids, NODE};

/// Bytes of a node's header, of an item's row, of a key with an address.
const HEADER: u64 = 101;
const ROW: u64 = 25;
const POINTER: u64 = 33;
/// The most bytes of an item.
pub(super) const LARGEST: usize = 16_258;

/// What items are sorted by: object, kind, offset.
pub(super) type Key = (u64, u8, u64);
/// An item of a tree.
pub(super) type Item = (Key, Vec<u8>);

/// How many nodes each level of a tree has, leaves first.
pub(super) fn shape(sizes: impl Iterator<Item = usize>) -> Vec<u64> {
    let (mut leaves, mut used) = (1, 0);
    for size in sizes {
        let more = ROW + offset_of(size);
        if used + more > NODE - HEADER {
            (leaves, used) = (leaves + 1, 0);
        }
        used += more;
    }
    let mut levels = vec![leaves];
    let mut count: u64 = leaves;
    while count > 1 {
        count = count.div_ceil((NODE - HEADER) / POINTER);
        levels.push(count);
    }
    levels
}

/// A tree's nodes with their addresses, the root last, and the root's level.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) nodes: Vec<(u64, Vec<u8>)>,
    pub(super) root: u64,
    pub(super) level: u8,
}

/// Builds a tree of sorted items at the addresses, of which there are as many as its
/// [`shape`] has nodes.
pub(super) fn build(owner: u64, items: &[Item], places: &[u64], ids: Ids) -> Built {
    let mut places = places.iter().copied();
    let mut nodes = Vec::new();
    let mut below: Vec<(Key, u64)> = Vec::new();
    let mut from = 0;
    while from < items.len() || nodes.is_empty() {
        let mut used = 0;
        let rest = items.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|(_, data)| {
            used += ROW + offset_of(data.len());
            used <= NODE - HEADER
        });
        let leaf = rest.get(..count.count()).unwrap_or_default();
        from += leaf.len().max(1);
        let at = places.next().unwrap_or_default();
        below.push((leaf.first().map_or((0, 0, 0), |(key, _)| *key), at));
        nodes.push((at, leaf_bytes(owner, leaf, at, ids)));
    }
    let mut level = 0;
    while below.len() > 1 {
        level += 1;
        let mut above = Vec::new();
        for group in below.chunks(len_of((NODE - HEADER) / POINTER)) {
            let at = places.next().unwrap_or_default();
            let mut body = Vec::new();
            for (key, address) in group {
                push_key(&mut body, *key);
                body.extend(address.to_le_bytes());
                body.extend(GENERATION.to_le_bytes());
            }
            above.push((group.first().map_or((0, 0, 0), |(key, _)| *key), at));
            nodes.push((at, sealed(owner, group.len(), level, &body, at, ids)));
        }
        below = above;
    }
    let root = below.first().map_or(0, |(_, at)| *at);
    Built { nodes, root, level }
}

fn leaf_bytes(owner: u64, items: &[Item], at: u64, ids: Ids) -> Vec<u8> {
    let mut body = Vec::new();
    let mut end = NODE - HEADER;
    for (key, data) in items {
        end -= offset_of(data.len());
        push_key(&mut body, *key);
        body.extend(u32::try_from(end).unwrap_or_default().to_le_bytes());
        body.extend(u32::try_from(data.len()).unwrap_or_default().to_le_bytes());
    }
    // Data fills the leaf from its end.
    body.resize(len_of(end), 0);
    for (_, data) in items.iter().rev() {
        body.extend(data);
    }
    sealed(owner, items.len(), 0, &body, at, ids)
}

pub(super) fn push_key(bytes: &mut Vec<u8>, (object, kind, offset): Key) {
    bytes.extend(object.to_le_bytes());
    bytes.push(kind);
    bytes.extend(offset.to_le_bytes());
}

fn sealed(owner: u64, count: usize, level: u8, body: &[u8], at: u64, ids: Ids) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes.extend(ids.own.as_bytes());
    bytes.extend(at.to_le_bytes());
    // It was written, with references of the present form.
    bytes.extend((1_u64 | 1 << 56).to_le_bytes());
    bytes.extend(ids.chunks.as_bytes());
    bytes.extend(GENERATION.to_le_bytes());
    bytes.extend(owner.to_le_bytes());
    bytes.extend(u32::try_from(count).unwrap_or_default().to_le_bytes());
    bytes.push(level);
    bytes.extend(body);
    bytes.resize(len_of(NODE), 0);
    seal(&mut bytes);
    bytes
}

/// Puts the checksum of what follows it in front.
pub(super) fn seal(bytes: &mut [u8]) {
    let sum = crc32c::crc32c(bytes.get(32..).unwrap_or_default());
    if let Some(field) = bytes.get_mut(..4) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}
