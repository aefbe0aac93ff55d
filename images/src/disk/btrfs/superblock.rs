//! The superblock and its copies.

use super::super::layout::Filesystem;
use super::super::sink::len_of;
use super::node::seal;
use super::roots::{Roots, device_item, listed};
use super::space::{Chunks, SYSTEM};
use super::{GENERATION, Ids, NODE, SECTOR};

/// References of the present form, nodes larger than pages, many names in one directory, short
/// keys of nodes, no items for holes.
const FEATURES: u64 = 0x1 | 0x20 | 0x40 | 0x100 | 0x200;

/// The copy that lies at `at`.
pub(super) fn bytes(
    filesystem: &Filesystem,
    roots: &Roots,
    chunks: &Chunks,
    at: u64,
    len: u64,
    ids: Ids,
) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes.extend(ids.own.as_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(b"_BHRfS_M");
    // The log is empty; the directory of the tree of roots is number 6; there is one device.
    let used = chunks.used();
    for field in [GENERATION, roots.roots.0, roots.chunks.0, 0, 0, len, used, 6, 1] {
        bytes.extend(field.to_le_bytes());
    }
    for size in [SECTOR, NODE, NODE, SECTOR] {
        bytes.extend(u32::try_from(size).unwrap_or_default().to_le_bytes());
    }
    let list = listed(&chunks.of(SYSTEM), ids);
    bytes.extend(u32::try_from(list.len()).unwrap_or_default().to_le_bytes());
    for field in [GENERATION, 0, 0, FEATURES] {
        bytes.extend(field.to_le_bytes());
    }
    // Checksums are CRC-32C.
    bytes.extend([0; 2]);
    bytes.extend([roots.roots.1, roots.chunks.1, 0]);
    bytes.extend(device_item(chunks, len, ids));
    let mut label = filesystem.label.as_bytes().to_vec();
    label.resize(256, 0);
    bytes.extend(label);
    bytes.resize(0x32b, 0);
    bytes.extend(list);
    bytes.resize(len_of(SECTOR), 0);
    seal(&mut bytes);
    bytes
}
