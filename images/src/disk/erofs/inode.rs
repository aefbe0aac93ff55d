//! Inodes, of the longer of two forms.

use super::super::sink::len_of;
use super::BLOCK;
use super::attribute::HEADER;
use super::draft::{Content, Drafted};
use super::plan::{INODE, Spot};

/// An inode with its attributes.
pub(super) fn bytes(drafted: &Drafted<'_>, spot: &Spot) -> Vec<u8> {
    let words = match drafted.attributes.len().saturating_sub(HEADER) {
        _ if drafted.attributes.is_empty() => 0,
        rest => rest / 4 + 1,
    };
    // The longer form, and whether the end of what it holds lies behind it.
    let format: u16 = 1 | if spot.is_inline { 2 << 1 } else { 0 };
    let place = match drafted.content {
        Content::Device(numbers) => numbers,
        _ => u32::try_from(spot.data / BLOCK).unwrap_or(u32::MAX),
    };
    let mut bytes = Vec::new();
    bytes.extend(format.to_le_bytes());
    bytes.extend(u16::try_from(words).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(u16::try_from(drafted.mode).unwrap_or_default().to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(spot.size.to_le_bytes());
    bytes.extend(place.to_le_bytes());
    // A number for programs that have 32 bits for it.
    bytes.extend(u32::try_from(spot.at / 32).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(drafted.owner.0.to_le_bytes());
    bytes.extend(drafted.owner.1.to_le_bytes());
    bytes.extend(drafted.mtime.0.to_le_bytes());
    bytes.extend(drafted.mtime.1.to_le_bytes());
    bytes.extend(drafted.links.to_le_bytes());
    bytes.resize(len_of(INODE), 0);
    bytes.extend(&drafted.attributes);
    bytes
}
