//! A disk that grows (`monolithicSparse`).
//!
//! ```text
//! sector 0    header       1    description
//! 21          grain directory and all grain tables, twice
//! then        grains of 64 KiB
//! ```

use std::io;

use fs_err::File;

use super::super::blocks::BlockFile;
use super::super::{DiskSink, ImageIdentity, len_of};
use super::{
    DESCRIPTOR, ENTRIES, GRAIN, GRAIN_SECTORS, Header, SECTOR, TABLE_SECTORS, VmdkOptions,
    descriptor, directory_sectors, fits, low, tables, words,
};

/// Writes a disk as a growing VMDK.
#[derive(Debug)]
pub struct VmdkSink {
    blocks: BlockFile,
    size: u64,
    identity: ImageIdentity,
    options: VmdkOptions,
}

/// Where the two copies of directory and tables begin, and the first grain, in sectors.
fn plan(size: u64) -> (u64, u64, u64) {
    let copy = directory_sectors(size) + tables(size) * TABLE_SECTORS;
    let first = DESCRIPTOR.0 + DESCRIPTOR.1;
    let second = first + copy;
    (first, second, (second + copy).next_multiple_of(GRAIN_SECTORS))
}

impl VmdkSink {
    /// A disk of `size` bytes, whole sectors, in `file`, whose former content is dropped.
    ///
    /// # Errors
    ///
    /// The disk is too large for the format, or the file cannot be cut.
    pub fn new(
        file: File,
        size: u64,
        identity: &ImageIdentity,
        options: &VmdkOptions,
    ) -> io::Result<Self> {
        fits(size)?;
        let (_, _, grains) = plan(size);
        let blocks = BlockFile::new(file, size, GRAIN, 0, grains * SECTOR)?;
        Ok(Self { blocks, size, identity: identity.clone(), options: options.clone() })
    }

    /// Writes a copy of the directory and its tables.
    fn put_tables(&self, grains: &[u32], at: u64) -> io::Result<()> {
        let first_table = at + directory_sectors(self.size);
        let directory: Vec<u32> =
            (0..tables(self.size)).map(|table| low(first_table + table * TABLE_SECTORS)).collect();
        self.blocks.put(&words(&directory), at * SECTOR)?;
        self.blocks.put(&words(grains), first_table * SECTOR)
    }
}

impl DiskSink for VmdkSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.blocks.data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.blocks.zeros(offset, len)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.blocks.complete()?;
        let mut grains = vec![0; len_of(tables(self.size) * ENTRIES)];
        for (grain, place) in self.blocks.places() {
            if let Some(slot) = grains.get_mut(len_of(grain)) {
                *slot = low(self.blocks.room(place) / SECTOR);
            }
        }
        let (first, second, overhead) = plan(self.size);
        self.put_tables(&grains, first)?;
        self.put_tables(&grains, second)?;
        let text = descriptor(self.size, "monolithicSparse", &self.identity, &self.options);
        self.blocks.put(&text, DESCRIPTOR.0 * SECTOR)?;
        let header = Header {
            version: 1,
            flags: 3, // ends of lines can be checked, two directories
            capacity: self.size / SECTOR,
            spare_directory: first,
            directory: second,
            overhead,
            compression: 0,
        };
        self.blocks.put(&header.bytes(), 0)
    }
}
