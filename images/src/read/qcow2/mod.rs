//! qcow2 files, read-only: versions 2 and 3, clusters plain or compressed.
//!
//! What names another file (a backing file, a data file) is refused: an image from a
//! stranger must not make us read what the stranger could not.

mod header;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::fields::{be64, index};
use super::medium::{Medium, RawFile, bytes, within};
use header::{Codec, HEADER, Header};

/// Why a qcow2 file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Qcow2Error {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    /// It is no qcow2 file.
    #[error("this is no qcow2 file")]
    Magic,
    /// A version that does not exist yet.
    #[error("qcow2 version {version} is not known")]
    Version {
        /// The version.
        version: u32,
    },
    /// It holds the difference to another file only.
    #[error("the image has a backing file")]
    BackingFile,
    /// Its data lies in another file.
    #[error("the image has an external data file")]
    ExternalData,
    /// It is encrypted.
    #[error("the image is encrypted")]
    Encrypted,
    /// It has subclusters.
    #[error("the image has extended L2 entries (subclusters)")]
    ExtendedL2,
    /// A program found it damaged and said so in the header.
    #[error("the image is marked as corrupt")]
    MarkedCorrupt,
    /// Features that came after this program.
    #[error("the image has unknown incompatible features ({bits:#x})")]
    Features {
        /// Their bits.
        bits: u64,
    },
    /// A field of the header makes no sense.
    #[error("the field {field} of the header is out of range")]
    Header {
        /// Its name.
        field: &'static str,
    },
    /// The tables would not fit into memory.
    #[error("a disk of {size} bytes is too large for this cluster size")]
    TooLarge {
        /// Size of the disk.
        size: u64,
    },
    /// A cluster cannot be found or unpacked.
    #[error("the cluster of byte {offset} is damaged: {reason}")]
    Cluster {
        /// Offset on the disk.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Tables and unpacked clusters that are kept, of each kind.
const KEPT: usize = 32;

/// A disk in a qcow2 file.
#[derive(Debug)]
pub struct Qcow2 {
    file: RawFile,
    header: Header,
    l1: Vec<u64>,
    tables: Mutex<Recent>,
    clusters: Mutex<Recent>,
}

/// Blocks by the offset they came from, the latest used ones last.
#[derive(Debug, Default)]
struct Recent(VecDeque<(u64, Arc<Vec<u8>>)>);

impl Recent {
    fn get(&mut self, key: u64) -> Option<Arc<Vec<u8>>> {
        let at = self.0.iter().position(|(offset, _)| *offset == key)?;
        let found = self.0.remove(at)?;
        let block = Arc::clone(&found.1);
        self.0.push_back(found);
        Some(block)
    }

    fn put(&mut self, key: u64, block: &Arc<Vec<u8>>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((key, Arc::clone(block)));
    }
}

/// Where a cluster's bytes are.
enum Place {
    Zeros,
    Plain(u64),
    Packed { offset: u64, len: usize },
}

impl Qcow2 {
    /// Opens the file and checks its header.
    ///
    /// # Errors
    ///
    /// When it is damaged, or has one of the features that are refused.
    pub fn open(path: &Path) -> Result<Self, Qcow2Error> {
        Self::new(RawFile::open(path)?)
    }

    /// Takes an open file and checks its header.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn new(file: RawFile) -> Result<Self, Qcow2Error> {
        let front = bytes(&file, 0, HEADER.min(index(file.size())))?;
        let header = Header::parse(&front)?;
        let table = bytes(&file, header.l1_offset, header.l1_entries * 8)?;
        let l1 = table.chunks_exact(8).map(|entry| be64(entry, 0)).collect();
        let (tables, clusters) = (Mutex::default(), Mutex::default());
        Ok(Self { file, header, l1, tables, clusters })
    }

    fn cluster_size(&self) -> u64 {
        1 << self.header.cluster_bits
    }

    /// The offset that a table's entry names; it must be a cluster's.
    fn aligned(&self, entry: u64, of: u64) -> Result<u64, Qcow2Error> {
        let offset = entry & 0x00ff_ffff_ffff_fe00;
        if offset.is_multiple_of(self.cluster_size()) {
            return Ok(offset);
        }
        Err(Qcow2Error::Cluster { offset: of, reason: "a table names no whole cluster" })
    }

    fn place(&self, offset: u64) -> Result<Place, Qcow2Error> {
        let bits = self.header.cluster_bits;
        let l1 = self.l1.get(index(offset >> (2 * bits - 3))).copied().unwrap_or(0);
        let table = self.aligned(l1, offset)?;
        if table == 0 {
            return Ok(Place::Zeros);
        }
        let table = self.kept(&self.tables, table, || {
            Ok(bytes(&self.file, table, index(self.cluster_size()))?)
        })?;
        let within_table = (offset >> bits) & ((1 << (bits - 3)) - 1);
        let entry = be64(&table, index(within_table) * 8);
        if entry & (1 << 62) != 0 {
            let split = 62 - (bits - 8);
            let from = entry & ((1 << split) - 1);
            let sectors = ((entry >> split) & ((1 << (bits - 8)) - 1)) + 1;
            let len = sectors * 512 - (from & 511);
            // The last sectors of the file may be fewer.
            let len = len.min(self.file.size().saturating_sub(from));
            return Ok(Place::Packed { offset: from, len: index(len) });
        }
        if self.header.version == 3 && entry & 1 != 0 {
            return Ok(Place::Zeros);
        }
        match self.aligned(entry, offset)? {
            0 => Ok(Place::Zeros),
            plain => Ok(Place::Plain(plain)),
        }
    }

    fn kept(
        &self,
        recent: &Mutex<Recent>,
        key: u64,
        make: impl FnOnce() -> Result<Vec<u8>, Qcow2Error>,
    ) -> Result<Arc<Vec<u8>>, Qcow2Error> {
        if let Ok(mut recent) = recent.lock()
            && let Some(found) = recent.get(key)
        {
            return Ok(found);
        }
        let made = Arc::new(make()?);
        if let Ok(mut recent) = recent.lock() {
            recent.put(key, &made);
        }
        Ok(made)
    }

    fn unpack(&self, of: u64, from: u64, len: usize) -> Result<Vec<u8>, Qcow2Error> {
        let packed = bytes(&self.file, from, len)?;
        let mut plain = vec![0; index(self.cluster_size())];
        let done = match self.header.codec {
            Codec::Deflate => {
                flate2::read::DeflateDecoder::new(packed.as_slice()).read_exact(&mut plain)
            }
            // Behind the frame there are the rest of its sector and other clusters.
            Codec::Zstd => zstd::stream::read::Decoder::with_buffer(packed.as_slice())
                .and_then(|decoder| decoder.single_frame().read_exact(&mut plain)),
        };
        match done {
            Ok(()) => Ok(plain),
            Err(_damaged) => {
                Err(Qcow2Error::Cluster { offset: of, reason: "it cannot be decompressed" })
            }
        }
    }

    /// Reads within one cluster.
    fn read_cluster(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Qcow2Error> {
        let inside = offset & (self.cluster_size() - 1);
        match self.place(offset)? {
            Place::Zeros => buffer.fill(0),
            Place::Plain(start) => self.file.read_at(start + inside, buffer)?,
            Place::Packed { offset: from, len } => {
                let cluster =
                    self.kept(&self.clusters, from, || self.unpack(offset - inside, from, len))?;
                let inside = index(inside);
                let found = cluster.get(inside..inside + buffer.len()).unwrap_or_default();
                buffer.copy_from_slice(found);
            }
        }
        Ok(())
    }
}

impl Medium for Qcow2 {
    fn size(&self) -> u64 {
        self.header.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.header.size, offset, buffer.len())?;
        let mut offset = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let room = self.cluster_size() - (offset & (self.cluster_size() - 1));
            let (now, later) = rest.split_at_mut(index(room).min(rest.len()));
            self.read_cluster(offset, now).map_err(|error| match error {
                Qcow2Error::Read(error) => error,
                other => io::Error::new(io::ErrorKind::InvalidData, other),
            })?;
            offset += now.len() as u64;
            rest = later;
        }
        Ok(())
    }
}
