//! A compressed disk that is read from its beginning to its end (`streamOptimized`).
//!
//! ```text
//! sector 0    header       1    description
//! 128         grains, each with its place and length, deflated;
//!             behind those of a grain table the table
//! then        grain directory, the header once more, an end mark
//! ```

use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;

use super::super::clusters::{CLUSTER_LEN, ClusterFile, ClusterSink, Codec, Packed};
use super::super::{DiskSink, ImageIdentity, SinkError, len_of, offset_of};
use super::{
    DESCRIPTOR, ENTRIES, GRAIN_SECTORS, Header, SECTOR, TABLE_SECTORS, VmdkOptions, descriptor,
    directory_sectors, fits, low, tables, words,
};

/// The grain directory lies at the end, where the footer says.
const AT_END: u64 = u64::MAX;
const LEVEL: u32 = 6;

const MARK_END: u32 = 0;
const MARK_TABLE: u32 = 1;
const MARK_DIRECTORY: u32 = 2;
const MARK_FOOTER: u32 = 3;

/// Writes a disk as a streamed VMDK.
///
/// Readers such as OVF importers go through the file once, so grains stand in the disk's
/// order: unlike other sinks this one takes the disk in ascending order alone. What is out
/// of order is an error. [`copy_raw`](super::super::copy_raw) writes that way.
#[derive(Debug)]
pub struct VmdkStreamSink(ClusterSink);

impl VmdkStreamSink {
    /// A disk of `size` bytes, whole sectors, in `file`, whose former content is dropped;
    /// `threads` compress.
    ///
    /// # Errors
    ///
    /// The disk is too large for the format, or the file cannot be written.
    pub fn new(
        file: File,
        size: u64,
        identity: &ImageIdentity,
        options: &VmdkOptions,
        threads: usize,
    ) -> io::Result<Self> {
        fits(size)?;
        file.set_len(0)?;
        let text = descriptor(size, "streamOptimized", identity, options);
        file.write_all_at(&text, DESCRIPTOR.0 * SECTOR)?;
        let stream = Stream {
            file,
            at: GRAIN_SECTORS * SECTOR,
            size,
            directory: vec![0; len_of(tables(size))],
            table: None,
            next: 0,
        };
        stream.file.write_all_at(&stream.header(AT_END).bytes(), 0)?;
        let codecs = (0..threads.max(1)).map(|_| Codec::stream(LEVEL)).collect();
        Ok(Self(ClusterSink::new(size, Box::new(stream), codecs)?))
    }
}

impl DiskSink for VmdkStreamSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.0.zeros(offset, len)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}

struct Stream {
    file: File,
    /// Where the next mark goes.
    at: u64,
    size: u64,
    directory: Vec<u32>,
    /// The table that is being filled, and its number.
    table: Option<(u64, Vec<u32>)>,
    /// No grain before this one may come.
    next: u64,
}

impl Stream {
    fn header(&self, directory: u64) -> Header {
        Header {
            version: 3,
            flags: 0x3_0001, // ends of lines can be checked, compressed, with marks
            capacity: self.size / SECTOR,
            spare_directory: 0,
            directory,
            overhead: GRAIN_SECTORS,
            compression: 1, // deflate
        }
    }

    /// Appends bytes, filled up to whole sectors; returns the sector that they begin at.
    fn append_all(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.at;
        self.file.write_all_at(bytes, at)?;
        self.at = (at + offset_of(bytes.len())).next_multiple_of(SECTOR);
        Ok(at / SECTOR)
    }

    fn mark(&mut self, sectors: u64, kind: u32) -> io::Result<()> {
        let mut mark = sectors.to_le_bytes().to_vec();
        mark.extend(0_u32.to_le_bytes());
        mark.extend(kind.to_le_bytes());
        mark.resize(len_of(SECTOR), 0);
        self.append_all(&mark).map(|_| ())
    }

    fn close_table(&mut self) -> io::Result<()> {
        let Some((number, table)) = self.table.take() else { return Ok(()) };
        self.mark(TABLE_SECTORS, MARK_TABLE)?;
        let at = self.append_all(&words(&table))?;
        if let Some(slot) = self.directory.get_mut(len_of(number)) {
            *slot = low(at);
        }
        Ok(())
    }
}

impl ClusterFile for Stream {
    fn append(&mut self, index: u64, grain: &Packed) -> io::Result<()> {
        let bytes = match grain {
            Packed::Zero => return Ok(()),
            Packed::Plain(_) => {
                let reason = "a grain was left as it is".to_owned();
                return Err(SinkError::Compressor { reason }.into());
            }
            Packed::Compressed(bytes) => bytes,
        };
        if index < self.next {
            let offset = index * CLUSTER_LEN;
            return Err(SinkError::Backwards { offset }.into());
        }
        self.next = index + 1;
        let number = index / ENTRIES;
        if self.table.as_ref().is_some_and(|(open, _)| *open != number) {
            self.close_table()?;
        }
        let mut marked = (index * GRAIN_SECTORS).to_le_bytes().to_vec();
        marked.extend(low(offset_of(bytes.len())).to_le_bytes());
        marked.extend(bytes);
        let at = low(self.append_all(&marked)?);
        let (_, table) = self.table.get_or_insert_with(|| (number, vec![0; len_of(ENTRIES)]));
        if let Some(slot) = table.get_mut(len_of(index % ENTRIES)) {
            *slot = at;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.close_table()?;
        self.mark(directory_sectors(self.size), MARK_DIRECTORY)?;
        let directory = words(&self.directory);
        let at = self.append_all(&directory)?;
        self.mark(1, MARK_FOOTER)?;
        let footer = self.header(at).bytes();
        self.append_all(&footer)?;
        self.mark(0, MARK_END)?;
        self.file.set_len(self.at)
    }
}
