//! An empty log: one record that says that all was unmounted.

use super::super::sink::len_of;
use super::fields::Fields;

/// Bytes of what the log counts in, and of a record's header.
const BASIC: u64 = 512;

/// The beginning of the log, one record of whole sectors of `sector` bytes; everything behind it
/// is zero.
pub(super) fn head(uuid: uuid::Uuid, sector: u64) -> Vec<u8> {
    let body = if sector > BASIC { sector - BASIC } else { BASIC };
    let mut log = Fields::new(BASIC + body);
    // Each piece of a record begins with the round.
    for piece in 0..body / BASIC {
        log.u32(len_of((piece + 1) * BASIC), 1);
    }
    for (at, value) in [
        (0x00, 0xfeed_babe_u64), // magic
        (0x04, 1),               // first round
        (0x08, 2),               // version
        (0x0c, body),            // bytes that follow
        (0x10, 1),               // this record's place: round, sector
        (0x18, 1),               // and the oldest one's
        (0x24, 0xffff_ffff),     // none before
        (0x28, 1),               // operations
        (0x2c, 0xb0c0_d0d0),     // what the round number stands in place of
        (0x12c, 1),              // numbers as this architecture has them: little-endian
        (0x140, 0x8000),         // bytes of a buffer
        (0x204, 8),              // bytes of the operation
        (0x208, 0xaa20_0000),    // the log's own, unmount
    ] {
        log.u32(at, value);
    }
    log.bytes(0x130, uuid.as_bytes());
    log.bytes(0x20c, b"nU");
    log.done()
}
