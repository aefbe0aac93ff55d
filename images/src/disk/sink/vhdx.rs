//! VHDX, growing, with an empty log.
//!
//! ```text
//! 0        signature
//! 64 KiB   header, twice      192 KiB  table of regions, twice
//! 1 MiB    log, empty
//! 2 MiB    metadata           3 MiB    map
//! then     blocks of 1 MiB
//! ```

use std::io;

use fs_err::File;
use uuid::{Uuid, uuid};

use super::blocks::BlockFile;
use super::{DiskSink, ImageIdentity, len_of, offset_of};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// What Microsoft advises for guests that run Linux.
const BLOCK: u64 = MIB;
const SECTOR: u32 = 512;
const PHYSICAL_SECTOR: u32 = 4096;
/// Blocks that one block of the sector bitmap would describe: the map has an entry for it.
const CHUNK: u64 = (1 << 23) * SECTOR as u64 / BLOCK;
const LOG: u64 = MIB;
const METADATA: u64 = 2 * MIB;
const MAP: u64 = 3 * MIB;
/// The format's largest disk.
const LARGEST: u64 = 64 << 40;

/// A block that reads as zeros.
const ZERO: u64 = 2;
/// A block that lies where its entry says.
const PRESENT: u64 = 6;

const REGION_MAP: Uuid = uuid!("2dc27766-f623-4200-9d64-115e9bfd4a08");
const REGION_METADATA: Uuid = uuid!("8b7ca206-4790-4b9a-b8fe-575f050f886e");

const ITEM_PARAMETERS: Uuid = uuid!("caa16737-fa36-4d43-b3b6-33f0aa44e76b");
const ITEM_SIZE: Uuid = uuid!("2fa54224-cd1b-4876-b211-5dbed83bf4b8");
const ITEM_DISK: Uuid = uuid!("beca12ab-b2e6-4523-93ef-c309e000c746");
const ITEM_SECTOR: Uuid = uuid!("8141bf1d-a96f-4709-ba47-f233a8faab5f");
const ITEM_PHYSICAL: Uuid = uuid!("cda348c7-445d-4471-9cc9-e9885251c556");

/// Writes a disk as a VHDX.
#[derive(Debug)]
pub struct VhdxSink {
    blocks: BlockFile,
    size: u64,
    identity: ImageIdentity,
}

impl VhdxSink {
    /// A disk of `size` bytes, whole sectors, in `file`, whose former content is dropped.
    ///
    /// # Errors
    ///
    /// The disk is too large for the format, or the file cannot be cut.
    pub fn new(file: File, size: u64, identity: &ImageIdentity) -> io::Result<Self> {
        if size > LARGEST {
            let what = "a VHDX holds 64 TiB at most";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        let blocks = BlockFile::new(file, size, BLOCK, 0, MAP + map_len(size))?;
        Ok(Self { blocks, size, identity: identity.clone() })
    }

    fn header(&self, sequence: u64) -> Vec<u8> {
        let mut h = b"head\0\0\0\0".to_vec();
        h.extend(sequence.to_le_bytes());
        h.extend(self.identity.uuid("vhdx/file").to_bytes_le());
        h.extend(self.identity.uuid("vhdx/data").to_bytes_le());
        h.extend([0; 16]); // the log is empty
        h.extend([0, 0, 1, 0]); // versions of the log and of the format
        h.extend(low(MIB).to_le_bytes());
        h.extend(LOG.to_le_bytes());
        sealed(h, 4 * KIB)
    }

    fn metadata(&self) -> Vec<u8> {
        const REQUIRED: u32 = 4;
        const OF_DISK: u32 = 2;
        let disk = self.identity.uuid("vhdx").to_bytes_le();
        let items: [(Uuid, Vec<u8>, u32); 5] = [
            (ITEM_PARAMETERS, [low(BLOCK).to_le_bytes(), [0; 4]].concat(), REQUIRED),
            (ITEM_SIZE, self.size.to_le_bytes().to_vec(), REQUIRED | OF_DISK),
            (ITEM_DISK, disk.to_vec(), REQUIRED | OF_DISK),
            (ITEM_SECTOR, SECTOR.to_le_bytes().to_vec(), REQUIRED | OF_DISK),
            (ITEM_PHYSICAL, PHYSICAL_SECTOR.to_le_bytes().to_vec(), REQUIRED | OF_DISK),
        ];
        let mut table = b"metadata\0\0\x05\0".to_vec();
        table.resize(32, 0);
        let mut values: Vec<u8> = Vec::new();
        for (item, value, flags) in items {
            table.extend(item.to_bytes_le());
            table.extend(low(64 * KIB + offset_of(values.len())).to_le_bytes());
            table.extend(low(offset_of(value.len())).to_le_bytes());
            table.extend(flags.to_le_bytes());
            table.extend([0; 4]);
            values.extend(value);
        }
        table.resize(len_of(64 * KIB), 0);
        table.extend(values);
        table
    }

    fn map(&self) -> Vec<u8> {
        let blocks = self.size.div_ceil(BLOCK);
        let mut map = vec![ZERO; len_of(entries(self.size))];
        // Between chunks lies the entry of a bitmap that images without parents lack.
        for chunk in 1..=blocks.saturating_sub(1) / CHUNK {
            if let Some(slot) = map.get_mut(len_of(chunk * (CHUNK + 1) - 1)) {
                *slot = 0;
            }
        }
        for (block, place) in self.blocks.places() {
            if let Some(slot) = map.get_mut(len_of(block + block / CHUNK)) {
                // In units of 1 MiB from bit 20 on: the offset itself.
                *slot = self.blocks.room(place) | PRESENT;
            }
        }
        map.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

impl DiskSink for VhdxSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.blocks.data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.blocks.zeros(offset, len)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.blocks.complete()?;
        self.blocks.put(&self.map(), MAP)?;
        self.blocks.put(&self.metadata(), METADATA)?;
        let regions = regions(self.size);
        for at in [192 * KIB, 256 * KIB] {
            self.blocks.put(&regions, at)?;
        }
        for (sequence, at) in [(0, 64 * KIB), (1, 128 * KIB)] {
            self.blocks.put(&self.header(sequence), at)?;
        }
        let mut signature = b"vhdxfile".to_vec();
        signature.extend("goldsmith".encode_utf16().flat_map(u16::to_le_bytes));
        self.blocks.put(&signature, 0)
    }
}

fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Entries of the map.
fn entries(size: u64) -> u64 {
    let blocks = size.div_ceil(BLOCK);
    blocks + blocks.saturating_sub(1) / CHUNK
}

fn map_len(size: u64) -> u64 {
    (entries(size) * 8).max(1).next_multiple_of(MIB)
}

fn regions(size: u64) -> Vec<u8> {
    let mut table = b"regi\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
    for (region, at, len) in [(REGION_MAP, MAP, map_len(size)), (REGION_METADATA, METADATA, MIB)] {
        table.extend(region.to_bytes_le());
        table.extend(at.to_le_bytes());
        table.extend(low(len).to_le_bytes());
        table.extend(1_u32.to_le_bytes()); // required
    }
    sealed(table, 64 * KIB)
}

/// Fills up to `len` bytes and puts their CRC behind the signature.
fn sealed(mut bytes: Vec<u8>, len: u64) -> Vec<u8> {
    bytes.resize(len_of(len), 0);
    let sum = crc32c::crc32c(&bytes);
    if let Some(field) = bytes.get_mut(4..8) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_has_an_entry_for_each_bitmap_between_chunks() {
        assert_eq!(CHUNK, 4096);
        for (size, wanted) in [
            (1, 1),
            (CHUNK * BLOCK, CHUNK),
            (CHUNK * BLOCK + 1, CHUNK + 2),
            (2 * CHUNK * BLOCK, 2 * CHUNK + 1),
        ] {
            assert_eq!(entries(size), wanted, "{size}");
        }
        assert_eq!(map_len(1), MIB);
        assert_eq!(map_len(200 << 30), 2 * MIB);
    }
}
