//! Volume groups as LVM2 keeps them on physical volumes: a label in the second sector, an area
//! of metadata, which is text, in the first MiB behind it, then extents.
//!
//! Every physical volume has the whole group's metadata, once. What LVM would draw or read off
//! a clock comes from the layout.

mod label;
mod metadata;
mod runs;

use super::layout::{DiskLayout, LayoutError};
use super::table::Fragment;
pub(super) use runs::Runs;

/// Where the area of metadata begins on a physical volume. It ends where extents begin.
const AREA: u64 = 4096;
/// Bytes of LVM's own sectors, whatever the disk's are.
const SECTOR: u64 = 512;

/// What lies on the physical volumes of the layout before their extents.
pub(super) fn fragments(layout: &DiskLayout) -> Result<Vec<Fragment>, LayoutError> {
    let mut fragments = Vec::new();
    for group in &layout.groups {
        let wrong = |reason: &str| LayoutError::Volumes {
            group: group.name.clone(),
            reason: reason.to_owned(),
        };
        let text = metadata::text(layout, group).ok_or_else(|| wrong("it has no place"))?;
        let area = metadata::area(&text).ok_or_else(|| wrong("its metadata fill the first MiB"))?;
        for physical in &group.physical {
            let place = layout.place(physical.on).ok_or_else(|| wrong("it has no place"))?;
            let label = label::sectors(&physical.id, place.len);
            fragments.push(Fragment { offset: place.offset, bytes: label });
            fragments.push(Fragment { offset: place.offset + AREA, bytes: area.clone() });
        }
    }
    Ok(fragments)
}

/// The checksum of labels and metadata: CRC-32 without its last step, begun by LVM's own number.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xf597_a6cf, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1))
        })
    })
}

/// An identifier as LVM shows it: `xxxxxx-xxxx-xxxx-xxxx-xxxx-xxxx-xxxxxx`.
pub fn shown_id(id: &str) -> String {
    let ends = [6, 10, 14, 18, 22, 26];
    let letters = id.chars().enumerate();
    letters.fold(String::new(), |mut text, (at, letter)| {
        if ends.contains(&at) {
            text.push('-');
        }
        text.push(letter);
        text
    })
}

#[cfg(test)]
mod tests;
