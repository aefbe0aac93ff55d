//! VHD, as Azure, Hyper-V and Xen read it; growing, or as long as the disk.
//!
//! ```text
//! growing          fixed
//! 0     footer     0     the disk
//! 512   header     end   footer
//! 1536  map
//! then  blocks: a bitmap of 512 bytes, 2 MiB
//! end   footer
//! ```

use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;

use super::blocks::BlockFile;
use super::{DiskSink, ImageIdentity, RawSink, len_of};

const BLOCK: u64 = 2 << 20;
const SECTOR: u64 = 512;
/// Where the map begins: behind the first footer and the header.
const MAP: u64 = 3 * SECTOR;
/// A block that was never written.
const NO_BLOCK: u32 = u32::MAX;
/// 1 January 2000, from which the format counts seconds.
const YEAR_2000: i64 = 946_684_800;
/// The format's largest disk, in bytes.
pub const VHD_LARGEST: u64 = 2040 << 30;
/// One of the creators whose images count as long as they say, not as their geometry says.
const CREATOR: &[u8; 4] = b"qem2";

/// Writes a disk as a VHD that grows.
#[derive(Debug)]
pub struct VhdSink {
    blocks: BlockFile,
    size: u64,
    identity: ImageIdentity,
}

/// Writes a disk as a VHD of the disk's length.
#[derive(Debug)]
pub struct FixedVhdSink {
    raw: RawSink,
    file: File,
    size: u64,
    identity: ImageIdentity,
}

impl VhdSink {
    /// A disk of `size` bytes, whole sectors, in `file`, whose former content is dropped.
    ///
    /// # Errors
    ///
    /// The disk is too large for the format, or the file cannot be cut.
    pub fn new(file: File, size: u64, identity: &ImageIdentity) -> io::Result<Self> {
        fits(size)?;
        let first = (MAP + entries(size) * 4).next_multiple_of(SECTOR);
        let blocks = BlockFile::new(file, size, BLOCK, SECTOR, first)?;
        Ok(Self { blocks, size, identity: identity.clone() })
    }
}

impl DiskSink for VhdSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.blocks.data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.blocks.zeros(offset, len)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.blocks.complete()?;
        let mut map = vec![NO_BLOCK; len_of(entries(self.size))];
        for (block, place) in self.blocks.places() {
            let room = self.blocks.room(place);
            // Every sector of a block that is there counts as written.
            self.blocks.put(&[0xff; 512], room)?;
            let sector = u32::try_from(room / SECTOR);
            if let (Some(slot), Ok(sector)) = (map.get_mut(len_of(block)), sector) {
                *slot = sector;
            }
        }
        let map: Vec<u8> = map.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.blocks.put(&map, MAP)?;
        self.blocks.put(&header(self.size), SECTOR)?;
        let footer = footer(self.size, &self.identity, false);
        self.blocks.put(&footer, self.blocks.end())?;
        self.blocks.put(&footer, 0)
    }
}

impl FixedVhdSink {
    /// A disk of `size` bytes, whole sectors, in `file`, whose former content is dropped.
    ///
    /// # Errors
    ///
    /// The disk is too large for the format, or the file cannot be cut or grown.
    pub fn new(file: File, size: u64, identity: &ImageIdentity) -> io::Result<Self> {
        fits(size)?;
        let raw = RawSink::new(file.try_clone()?, size)?;
        Ok(Self { raw, file, size, identity: identity.clone() })
    }
}

impl DiskSink for FixedVhdSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.raw.data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.raw.zeros(offset, len)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.raw.finish()?;
        self.file.write_all_at(&footer(self.size, &self.identity, true), self.size)
    }
}

fn fits(size: u64) -> io::Result<()> {
    if size <= VHD_LARGEST {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, "a VHD holds 2040 GiB at most"))
}

fn entries(size: u64) -> u64 {
    size.div_ceil(BLOCK)
}

fn footer(size: u64, identity: &ImageIdentity, fixed: bool) -> Vec<u8> {
    let made = u32::try_from(identity.epoch - YEAR_2000).unwrap_or(0);
    let mut f = Vec::with_capacity(len_of(SECTOR));
    f.extend(b"conectix");
    f.extend(2_u32.to_be_bytes()); // a bit that is always set
    f.extend(0x0001_0000_u32.to_be_bytes());
    f.extend(if fixed { u64::MAX } else { SECTOR }.to_be_bytes()); // the header
    f.extend(made.to_be_bytes());
    f.extend(CREATOR);
    f.extend(0x0005_0003_u32.to_be_bytes());
    f.extend(b"Wi2k");
    f.extend(size.to_be_bytes());
    f.extend(size.to_be_bytes());
    let (cylinders, heads, sectors) = geometry(size / SECTOR);
    f.extend(cylinders.to_be_bytes());
    f.extend([heads, sectors]);
    f.extend(if fixed { 2_u32 } else { 3 }.to_be_bytes());
    f.extend([0; 4]); // checksum
    f.extend(identity.uuid("vhd").into_bytes());
    f.resize(len_of(SECTOR), 0);
    sealed(f, 64)
}

fn header(size: u64) -> Vec<u8> {
    let mut h = Vec::with_capacity(1024);
    h.extend(b"cxsparse");
    h.extend(u64::MAX.to_be_bytes());
    h.extend(MAP.to_be_bytes());
    h.extend(0x0001_0000_u32.to_be_bytes());
    h.extend(u32::try_from(entries(size)).unwrap_or(u32::MAX).to_be_bytes());
    h.extend(u32::try_from(BLOCK).unwrap_or(u32::MAX).to_be_bytes());
    h.resize(1024, 0);
    sealed(h, 36)
}

/// Puts the checksum, the complement of the sum of all bytes, to its place.
fn sealed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let sum = !bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    if let Some(field) = bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// Cylinders, heads and sectors of a track for a disk of that many sectors, by the format's
/// own rule; disks above 127 GiB have the largest geometry there is.
fn geometry(total: u64) -> (u16, u8, u8) {
    let total = total.min(65_535 * 16 * 255);
    let (sectors, heads) = if total >= 65_535 * 16 * 63 {
        (255, 16)
    } else {
        let heads = (total / 17).div_ceil(1024).max(4);
        if total / 17 < heads * 1024 && heads <= 16 {
            (17, heads)
        } else if total / 31 < 16 * 1024 {
            (31, 16)
        } else {
            (63, 16)
        }
    };
    let cylinders = total / sectors / heads;
    let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    (u16::try_from(cylinders).unwrap_or(u16::MAX), byte(heads), byte(sectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_cover_no_more_than_the_disk() {
        for sectors in [63, 2048, 20_480, 1 << 21, 3 << 22, 1 << 27, 1 << 31] {
            let (c, h, s) = geometry(sectors);
            let product = u64::from(c) * u64::from(h) * u64::from(s);
            assert!(product <= sectors, "{sectors}: {c} {h} {s}");
            assert!(h <= 16 && s > 0, "{sectors}: {c} {h} {s}");
        }
        assert_eq!(geometry(1 << 21), (2080, 16, 63));
    }

    #[test]
    fn a_disk_that_is_too_large_is_refused() {
        assert!(fits(VHD_LARGEST).is_ok());
        assert_eq!(fits(VHD_LARGEST + SECTOR).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn checksums_add_up() {
        let identity =
            ImageIdentity { name: "x.vhd".into(), epoch: 1_700_000_000, seed: "s".into() };
        let footer = footer(64 << 20, &identity, false);
        let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
        let stored: [u8; 4] = footer[64..68].try_into().unwrap();
        let of_field: u32 = stored.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(!(sum - of_field), u32::from_be_bytes(stored));
        assert_eq!(footer.len(), len_of(SECTOR));
    }
}
