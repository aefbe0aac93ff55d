//! A file in which blocks of the disk get room when something is first written to them.

use std::collections::BTreeMap;
use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;

use super::{Coverage, is_zero, len_of, offset_of};

/// What is zero in units of this is left a hole.
const HOLE: usize = 4096;

/// The blocks of a growing image, in the order in which they were first written.
///
/// What a format adds (headers, tables, a bitmap in front of each block) is its own business.
#[derive(Debug)]
pub(super) struct BlockFile {
    file: File,
    coverage: Coverage,
    /// Length of a block.
    block: u64,
    /// Bytes in front of each block.
    lead: u64,
    /// Where the first block's room begins.
    first: u64,
    /// Block of the disk to block of the file.
    places: BTreeMap<u64, u64>,
}

impl BlockFile {
    /// A disk of `size` bytes in `file`, whose former content is dropped. Blocks of `block`
    /// bytes, each behind `lead` bytes of the format's own, begin at `first`.
    ///
    /// # Errors
    ///
    /// The file cannot be cut.
    pub(super) fn new(
        file: File,
        size: u64,
        block: u64,
        lead: u64,
        first: u64,
    ) -> io::Result<Self> {
        file.set_len(0)?;
        let coverage = Coverage::new(size);
        Ok(Self { file, coverage, block, lead, first, places: BTreeMap::new() })
    }

    /// Which block of the file each stored block of the disk is, in the disk's order.
    pub(super) fn places(&self) -> impl Iterator<Item = (u64, u64)> {
        self.places.iter().map(|(block, place)| (*block, *place))
    }

    /// Number of stored blocks.
    pub(super) fn stored(&self) -> u64 {
        offset_of(self.places.len())
    }

    /// Where the room of the file's block `place` begins: its lead, then its data.
    pub(super) fn room(&self, place: u64) -> u64 {
        self.first + place * (self.lead + self.block)
    }

    /// The end of the last block.
    pub(super) fn end(&self) -> u64 {
        self.room(self.stored())
    }

    /// Checks that every byte was written and gives the file its length.
    ///
    /// # Errors
    ///
    /// Part of the disk was never covered, or the file cannot be grown.
    pub(super) fn complete(&self) -> io::Result<()> {
        self.coverage.complete()?;
        self.file.set_len(self.end())
    }

    /// Writes something of the format's own.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(super) fn put(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    /// As [`DiskSink::data`](super::DiskSink::data).
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the range was covered before.
    pub(super) fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.coverage.add(offset, offset_of(bytes.len()))?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let run = self.run_length(at, rest);
            let (now, later) = rest.split_at(run);
            if !is_zero(now) {
                let next = self.stored();
                let place = *self.places.entry(at / self.block).or_insert(next);
                self.put(now, self.room(place) + self.lead + at % self.block)?;
            }
            at += offset_of(run);
            rest = later;
        }
        Ok(())
    }

    /// The run of zeros or of other units at the start of `bytes`, which lie at `at` and are
    /// not empty; it ends with the block.
    fn run_length(&self, at: u64, bytes: &[u8]) -> usize {
        let within = bytes.len().min(len_of(self.block - at % self.block));
        let (mut len, mut zero) = (0, None);
        while len < within {
            // Units of the disk, so that the same zeros stay out however it is cut to pieces.
            let end = within.min(len + HOLE - len_of(at + offset_of(len)) % HOLE);
            let this = bytes.get(len..end).is_none_or(is_zero);
            if *zero.get_or_insert(this) != this {
                break;
            }
            len = end;
        }
        len
    }

    /// As [`DiskSink::zeros`](super::DiskSink::zeros).
    ///
    /// # Errors
    ///
    /// The range was covered before.
    pub(super) fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        Ok(self.coverage.add(offset, len)?)
    }
}
