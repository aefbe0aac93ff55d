//! The reserve for growth (`resize_inode`): blocks behind the descriptors that an inode of the
//! file system's own holds, the first copy's as blocks of numbers of the others.

use super::Fields;
use super::geometry::Geometry;
use super::inode::Inode;

/// Where an inode keeps the block of blocks of numbers.
const DOUBLE: usize = 13 * 4;

/// The inode; `index` is the block that lists the first copy's reserve.
pub(super) fn inode(geometry: &Geometry, index: u64, epoch: i64) -> Inode {
    let numbers = geometry.block / 4;
    let backups = u64::try_from(geometry.backups().count()).unwrap_or(0);
    let mut block = [0; 60];
    for (to, byte) in block.iter_mut().skip(DOUBLE).zip(index.to_le_bytes().iter().take(4)) {
        *to = *byte;
    }
    Inode {
        size: (numbers * numbers + numbers + 12) * geometry.block,
        block,
        blocks: 1 + geometry.reserve * (1 + backups),
        ..Inode::own(0x8180, epoch)
    }
}

/// The block that lists the first copy's reserve.
pub(super) fn index(geometry: &Geometry) -> Vec<u8> {
    let mut list = Fields::new(geometry.block);
    let numbers = geometry.block / 4;
    for at in geometry.descriptors..geometry.descriptors + geometry.reserve {
        let field = super::super::sink::len_of(at % numbers * 4);
        list.u32(field, geometry.first + 1 + at);
    }
    list.done()
}

/// The first copy's reserve: each block lists where the others have theirs.
pub(super) fn reserve(geometry: &Geometry) -> Vec<u8> {
    let mut bytes = Vec::new();
    for at in geometry.descriptors..geometry.descriptors + geometry.reserve {
        let mut list = Fields::new(geometry.block);
        for (n, group) in geometry.backups().enumerate() {
            list.u32(4 * n, geometry.start(group) + 1 + at);
        }
        bytes.extend(list.done());
    }
    bytes
}
