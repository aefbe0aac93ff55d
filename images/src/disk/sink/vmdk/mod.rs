//! VMware's format, version 4 of the sparse extent: one file, growing or streamed.

mod sparse;
mod stream;

use serde::{Deserialize, Serialize};

pub use sparse::VmdkSink;
pub use stream::VmdkStreamSink;

use super::ImageIdentity;

const SECTOR: u64 = 512;
/// Sectors of a grain, the unit of allocation.
const GRAIN_SECTORS: u64 = 128;
const GRAIN: u64 = GRAIN_SECTORS * SECTOR;
/// Entries of a grain table.
const ENTRIES: u64 = 512;
/// Sectors of a grain table.
const TABLE_SECTORS: u64 = ENTRIES * 4 / SECTOR;
/// Where the description lies, and what it may take.
const DESCRIPTOR: (u64, u64) = (1, 20);

/// What a VMDK says of the virtual machine that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmdkOptions {
    /// The disk's adapter: `ide`, `lsilogic`, `buslogic` or `legacyESX`.
    pub adapter: String,
    /// The version of the virtual hardware.
    pub hardware: u32,
}

impl Default for VmdkOptions {
    fn default() -> Self {
        Self { adapter: "ide".to_owned(), hardware: 4 }
    }
}

/// The numbers of an extent's header that differ between its kinds.
struct Header {
    version: u32,
    flags: u32,
    capacity: u64,
    /// The second grain directory, or zero.
    spare_directory: u64,
    directory: u64,
    /// Sectors in front of the first grain.
    overhead: u64,
    compression: u16,
}

impl Header {
    fn bytes(&self) -> Vec<u8> {
        let mut h = b"KDMV".to_vec();
        h.extend(self.version.to_le_bytes());
        h.extend(self.flags.to_le_bytes());
        for word in [self.capacity, GRAIN_SECTORS, DESCRIPTOR.0, DESCRIPTOR.1] {
            h.extend(word.to_le_bytes());
        }
        h.extend(low(ENTRIES).to_le_bytes());
        for word in [self.spare_directory, self.directory, self.overhead] {
            h.extend(word.to_le_bytes());
        }
        h.push(0); // closed as it should be
        h.extend(b"\n \r\n"); // damaged by whoever translates ends of lines
        h.extend(self.compression.to_le_bytes());
        h.resize(super::len_of(SECTOR), 0);
        h
    }
}

/// The description: text, in the file itself.
fn descriptor(size: u64, kind: &str, identity: &ImageIdentity, options: &VmdkOptions) -> Vec<u8> {
    let sectors = size / SECTOR;
    let (heads, track) = if options.adapter == "ide" { (16, 63) } else { (255, 63) };
    let cylinders = (sectors / (heads * track)).min(if heads == 16 { 16_383 } else { 65_535 });
    // The extent's name stands between quotation marks.
    let name: String =
        identity.name.chars().map(|c| if c == '"' || c.is_control() { '_' } else { c }).collect();
    // The two largest values mean no disk.
    let content = identity.number("vmdk") & 0x7fff_ffff;
    let mut text = format!(
        "# Disk DescriptorFile\nversion=1\nCID={content:08x}\nparentCID=ffffffff\n\
         createType=\"{kind}\"\n\n# Extent description\nRW {sectors} SPARSE \"{name}\"\n\n\
         # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"{}\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"{heads}\"\n\
         ddb.geometry.sectors = \"{track}\"\nddb.adapterType = \"{}\"\n",
        options.hardware, options.adapter
    )
    .into_bytes();
    text.resize(super::len_of(DESCRIPTOR.1 * SECTOR), 0);
    text
}

fn tables(size: u64) -> u64 {
    size.div_ceil(GRAIN * ENTRIES)
}

/// Sectors of the grain directory.
fn directory_sectors(size: u64) -> u64 {
    (tables(size) * 4).div_ceil(SECTOR)
}

fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Table words, filled up to whole sectors.
fn words(list: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = list.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(super::len_of(SECTOR)), 0);
    bytes
}

/// Sectors are counted in 32 bits.
fn fits(size: u64) -> std::io::Result<()> {
    if size / SECTOR < u64::from(u32::MAX) {
        return Ok(());
    }
    let what = "a VMDK in one file holds less than 2 TiB";
    Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what))
}
