//! An empty journal.

use super::super::fields::{Big, Fields};

/// Its first block: everything else may be anything. Numbers are big-endian.
pub(super) fn superblock(blocks: u64, block: u64) -> Vec<u8> {
    let mut first = Fields::<Big>::new(1024);
    for (at, value) in [
        (0x00, 0xc03b_3998), // magic
        (0x04, 4),           // a superblock, version 2
        (0x0c, block),
        (0x10, blocks),
        (0x14, 1), // first block of the log
        (0x18, 1), // first sequence number
        (0x40, 1), // users
    ] {
        first.u32(at, value);
    }
    first.done()
}
