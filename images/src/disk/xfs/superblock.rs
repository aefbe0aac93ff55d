//! The superblock, the same in front of every group.

use super::super::layout::{Filesystem, XfsFeature};
use super::fields::{Fields, sealed};
use super::geometry::{BLOCK, CHUNK, CLUSTER_BLOCKS, Geometry, INODE};

/// Version 5, with attributes, links of 32 bits, aligned inodes, log of version 2, flags of
/// extents, directories of version 2, and more features in other fields.
const VERSION: u64 = 0xb4b5;
/// Sectors are not of 512 bytes.
const SECTORS: u64 = 0x0800;
/// Counts kept lazily, attribute forks of any size, project ids of 32 bits, checksums.
const FEATURES: u64 = 0x18a;
/// A list of chunks with unused inodes.
const READ_ONLY: u64 = 1;
/// Types in directories.
const INCOMPATIBLE: u64 = 1;

pub(super) fn bytes(g: &Geometry, filesystem: &Filesystem, inodes: u64, free: u64) -> Vec<u8> {
    let all = g.chunks.iter().sum::<u64>() * CHUNK;
    let mut s = Fields::new(g.sector);
    let large = g.sector != 512;
    s.bytes(0, b"XFSB");
    s.u32(4, BLOCK);
    s.u64(8, g.blocks);
    s.bytes(32, filesystem.uuid.as_bytes());
    s.u64(48, g.stored(g.log_start()));
    for (at, inode) in [(56, 0), (64, 1), (72, 2)] {
        s.u64(at, g.ino(inode));
    }
    s.u32(80, 1); // blocks of an extent for real time
    s.u32(84, g.group);
    s.u32(88, g.groups);
    s.u32(96, g.log);
    s.u16(100, if large { VERSION | SECTORS } else { VERSION });
    s.u16(102, g.sector);
    s.u16(104, INODE);
    s.u16(106, BLOCK / INODE);
    let label = filesystem.label.as_bytes();
    s.bytes(108, label.get(..12).unwrap_or(label));
    for (at, value) in [(120, BLOCK), (121, g.sector), (122, INODE), (123, BLOCK / INODE)] {
        s.u8(at, u64::from(value.trailing_zeros()));
    }
    s.u8(124, u64::from(g.group_bits));
    s.u8(127, u64::from(g.inode_percent));
    s.u64(128, all);
    s.u64(136, all - inodes.min(all));
    s.u64(144, free);
    s.u32(180, g.alignment());
    if large {
        // Those of the log.
        s.u8(193, u64::from(g.sector.trailing_zeros()));
        s.u16(194, g.sector);
    }
    s.u32(196, if large { g.sector } else { 1 }); // stripe of the log
    s.u32(200, FEATURES);
    s.u32(204, FEATURES);
    let bit = |feature, bit| if g.features.has(feature) { bit } else { 0 };
    s.u32(212, READ_ONLY | bit(XfsFeature::Reflink, 4) | bit(XfsFeature::Inobtcount, 8));
    s.u32(
        216,
        INCOMPATIBLE
            | bit(XfsFeature::Sparse, 2)
            | bit(XfsFeature::Bigtime, 8)
            | bit(XfsFeature::Nrext64, 0x20),
    );
    s.u32(228, bit(XfsFeature::Sparse, CLUSTER_BLOCKS)); // blocks that parts of chunks are aligned to
    sealed(s, 224)
}
