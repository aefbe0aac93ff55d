//! VirtualBox's format (VDI 1.1), growing.
//!
//! ```text
//! 0        header, 512 bytes
//! 512      map: the file's block of each block of the disk
//! 1 MiB..  blocks of 1 MiB
//! ```

use std::io;

use fs_err::File;
use uuid::Uuid;

use super::blocks::BlockFile;
use super::{DiskSink, ImageIdentity, len_of};

const BLOCK: u64 = 1 << 20;
const MAP: u64 = 512;
/// A block that was never written.
const NO_BLOCK: u32 = u32::MAX;
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x0001_0001;
/// Length of the header's fields that follow the signature and version.
const HEADER: u32 = 400;
/// An image that grows.
const GROWING: u32 = 1;

/// Writes a disk as a VDI.
#[derive(Debug)]
pub struct VdiSink {
    blocks: BlockFile,
    size: u64,
    identity: ImageIdentity,
}

impl VdiSink {
    /// A disk of `size` bytes, whole sectors, in `file`, whose former content is dropped.
    ///
    /// # Errors
    ///
    /// The file cannot be cut.
    pub fn new(file: File, size: u64, identity: &ImageIdentity) -> io::Result<Self> {
        let first = (MAP + size.div_ceil(BLOCK) * 4).next_multiple_of(BLOCK);
        let blocks = BlockFile::new(file, size, BLOCK, 0, first)?;
        Ok(Self { blocks, size, identity: identity.clone() })
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        let low = |value: u64| {
            u32::try_from(value).map_err(|error| io::Error::new(io::ErrorKind::FileTooLarge, error))
        };
        let mut h = vec![0; 64];
        let text = b"<<< goldsmith VirtualBox Disk Image >>>\n";
        h[..text.len()].copy_from_slice(text);
        for word in [SIGNATURE, VERSION, HEADER, GROWING, 0] {
            h.extend(word.to_le_bytes());
        }
        h.extend([0; 256]); // comment
        // Map, data, then the geometry of a BIOS, which is left to whoever runs the image.
        for word in [low(MAP)?, low(self.blocks.room(0))?, 0, 0, 0, 512, 0] {
            h.extend(word.to_le_bytes());
        }
        h.extend(self.size.to_le_bytes());
        for word in [low(BLOCK)?, 0, low(self.size.div_ceil(BLOCK))?, low(self.blocks.stored())?] {
            h.extend(word.to_le_bytes());
        }
        for uuid in [self.identity.uuid("vdi"), self.identity.uuid("vdi/state")] {
            h.extend(uuid.to_bytes_le());
        }
        for parent in [Uuid::nil(), Uuid::nil()] {
            h.extend(parent.to_bytes_le());
        }
        h.resize(len_of(MAP), 0);
        Ok(h)
    }
}

impl DiskSink for VdiSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.blocks.data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.blocks.zeros(offset, len)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.blocks.complete()?;
        let mut map = vec![NO_BLOCK; len_of(self.size.div_ceil(BLOCK))];
        for (block, place) in self.blocks.places() {
            if let (Some(slot), Ok(place)) = (map.get_mut(len_of(block)), u32::try_from(place)) {
                *slot = place;
            }
        }
        let map: Vec<u8> = map.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.blocks.put(&map, MAP)?;
        self.blocks.put(&self.header()?, 0)
    }
}
