//! Where the blocks of an inode lie: records in the inode, or a tree below it.

use super::super::alloc::{Allocator, Extent};
use super::super::sink::{len_of, offset_of};
use super::XfsError;
use super::fields::{Fields, sealed};
use super::geometry::{BLOCK, Geometry, parts};

/// The most blocks of one extent.
pub(super) const LONGEST: u64 = (1 << 21) - 1;
/// Bytes in front of a tree block's records.
const HEADER: u64 = 72;
/// Bytes of a record, or of a key with its pointer.
const RECORD: u64 = 16;

/// Records in a block of a tree.
const IN_BLOCK: u64 = (BLOCK - HEADER) / RECORD;

/// What an inode's data fork holds, and the blocks below it.
#[derive(Debug)]
pub(super) struct Fork {
    /// Whether the inode holds a root and no records.
    pub(super) is_tree: bool,
    pub(super) bytes: Vec<u8>,
    /// Blocks of the tree: place and content.
    pub(super) nodes: Vec<(u64, Vec<u8>)>,
}

/// A record of 128 bits.
pub(super) fn record(geometry: &Geometry, extent: &Extent) -> [u8; 16] {
    let start = geometry.stored(extent.start);
    let high = extent.logical << 9 | start >> 43;
    let low = start << 21 | extent.count;
    let mut bytes = [0; 16];
    let both = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
    for (to, byte) in bytes.iter_mut().zip(both) {
        *to = byte;
    }
    bytes
}

/// Keys of a root in the inode.
fn in_root(room: u64) -> u64 {
    (room - 4) / RECORD
}

/// Makes the data fork of inode `ino`, which has `room` bytes for it.
pub(super) fn fork(
    geometry: &Geometry,
    uuid: uuid::Uuid,
    ino: u64,
    extents: &[Extent],
    room: u64,
    allocator: &mut Allocator,
) -> Result<Fork, XfsError> {
    let records: Vec<[u8; 16]> = extents.iter().map(|extent| record(geometry, extent)).collect();
    if offset_of(records.len()) * RECORD <= room {
        return Ok(Fork { is_tree: false, bytes: records.concat(), nodes: Vec::new() });
    }
    let mut nodes = Vec::new();
    let mut above = Vec::new();
    let mut blocks = Vec::new();
    for (records, extents) in parts(&records, IN_BLOCK).into_iter().zip(parts(extents, IN_BLOCK)) {
        blocks.push((extents.first().map_or(0, |extent| extent.logical), records.concat()));
    }
    let mut level = 0;
    loop {
        let places = blocks.iter().map(|_| allocator.one()).collect::<Result<Vec<_>, _>>()?;
        for (n, (first, bytes)) in blocks.iter().enumerate() {
            let place = places.get(n).copied().unwrap_or_default();
            let sibling = |at: Option<usize>| {
                at.and_then(|at| places.get(at)).map_or(u64::MAX, |place| geometry.stored(*place))
            };
            let mut node = Fields::new(BLOCK);
            node.bytes(0, b"BMA3");
            node.u16(4, level);
            node.u16(6, offset_of(bytes.len()) / RECORD);
            node.u64(8, sibling(n.checked_sub(1)));
            node.u64(16, sibling(Some(n + 1)));
            node.u64(24, place * 8);
            node.bytes(40, uuid.as_bytes());
            node.u64(56, ino);
            if level == 0 {
                node.bytes(len_of(HEADER), bytes);
            } else {
                split(&mut node, len_of(HEADER), IN_BLOCK, bytes);
            }
            nodes.push((place, sealed(node, 64)));
            above.push((*first, geometry.stored(place)));
        }
        level += 1;
        if offset_of(above.len()) <= in_root(room) {
            break;
        }
        blocks = parts(&above, IN_BLOCK).into_iter().map(pairs).collect();
        above.clear();
    }
    let mut root = Fields::new(room);
    root.u16(0, level);
    root.u16(2, offset_of(above.len()));
    split(&mut root, 4, in_root(room), &pairs(&above).1);
    Ok(Fork { is_tree: true, bytes: root.done(), nodes })
}

/// Keys with their pointers as bytes, and the first key.
fn pairs(list: &[(u64, u64)]) -> (u64, Vec<u8>) {
    let bytes = |(key, to): &(u64, u64)| [key.to_be_bytes(), to.to_be_bytes()].concat();
    (list.first().map_or(0, |(key, _)| *key), list.iter().flat_map(bytes).collect())
}

/// Puts keys down from `at` on, and their pointers behind room for `most` keys.
fn split(node: &mut Fields, at: usize, most: u64, pairs: &[u8]) {
    for (n, pair) in pairs.chunks_exact(16).enumerate() {
        let (key, pointer) = pair.split_at(8);
        node.bytes(at + 8 * n, key);
        node.bytes(at + 8 * (len_of(most) + n), pointer);
    }
}
