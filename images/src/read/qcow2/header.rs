//! The header of a qcow2 file, checked before anything of it is used.

use super::super::fields::{be32, be64, index};
use super::Qcow2Error;

/// The longest header that is read: version 3 has 104 bytes and a few additions.
pub(super) const HEADER: usize = 112;
/// QEMU's own limit of the first table, in bytes.
const L1_LIMIT: u64 = 32 << 20;

/// Incompatible features, by their bit.
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const CORRUPT: u64 = 1 << 1;
const DIRTY: u64 = 1;

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Deflate,
    Zstd,
}

/// What reading needs of the header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) cluster_bits: u32,
    pub(super) size: u64,
    pub(super) l1_offset: u64,
    pub(super) l1_entries: usize,
    pub(super) codec: Codec,
    pub(super) version: u32,
}

impl Header {
    /// Reads the first [`HEADER`] bytes of the file, which may be fewer in a tiny one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Qcow2Error> {
        if !bytes.starts_with(b"QFI\xfb") {
            return Err(Qcow2Error::Magic);
        }
        let version = be32(bytes, 4);
        if !(2..=3).contains(&version) {
            return Err(Qcow2Error::Version { version });
        }
        let cluster_bits = be32(bytes, 20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(Qcow2Error::Header { field: "cluster_bits" });
        }
        if be64(bytes, 8) != 0 {
            return Err(Qcow2Error::BackingFile);
        }
        match be32(bytes, 32) {
            0 => {}
            1 | 2 => return Err(Qcow2Error::Encrypted),
            _ => return Err(Qcow2Error::Header { field: "crypt_method" }),
        }
        let features = if version == 3 { be64(bytes, 72) } else { 0 };
        let header_length = if version == 3 { be32(bytes, 100) } else { 72 };
        let codec = codec(features, header_length, bytes)?;
        let size = be64(bytes, 24);
        let l1_entries = be32(bytes, 36);
        let l1_offset = be64(bytes, 40);
        let covered = 1u128 << (2 * cluster_bits - 3);
        if u128::from(l1_entries) * covered < u128::from(size) {
            return Err(Qcow2Error::Header { field: "l1_size" });
        }
        // Entries beyond the disk's end are not needed.
        let needed = u128::from(size).div_ceil(covered);
        if needed * 8 > u128::from(L1_LIMIT) {
            return Err(Qcow2Error::TooLarge { size });
        }
        if l1_offset & ((1 << cluster_bits) - 1) != 0 {
            return Err(Qcow2Error::Header { field: "l1_table_offset" });
        }
        Ok(Self { cluster_bits, size, l1_offset, l1_entries: index(needed), codec, version })
    }
}

fn codec(features: u64, header_length: u32, bytes: &[u8]) -> Result<Codec, Qcow2Error> {
    if features & CORRUPT != 0 {
        return Err(Qcow2Error::MarkedCorrupt);
    }
    if features & EXTERNAL_DATA != 0 {
        return Err(Qcow2Error::ExternalData);
    }
    if features & EXTENDED_L2 != 0 {
        return Err(Qcow2Error::ExtendedL2);
    }
    let unknown = features & !(DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION | EXTENDED_L2);
    if unknown != 0 {
        return Err(Qcow2Error::Features { bits: unknown });
    }
    let named = if header_length > 104 { bytes.get(104).copied().unwrap_or(0) } else { 0 };
    match (named, features & COMPRESSION != 0) {
        (0, false) => Ok(Codec::Deflate),
        (1, true) => Ok(Codec::Zstd),
        _ => Err(Qcow2Error::Header { field: "compression_type" }),
    }
}
