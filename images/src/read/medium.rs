//! The bytes of a disk, whatever holds them.

use std::fmt;
use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::Arc;

use fs_err::os::unix::fs::FileExt;

/// Bytes that can be read at any offset.
pub trait Medium: fmt::Debug + Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    ///
    /// When a part of them lies beyond the end, or cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Reads `len` bytes at `offset`. The caller has bounded `len`.
pub(super) fn bytes(medium: &dyn Medium, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    within(medium.size(), offset, len)?;
    let mut buffer = vec![0; len];
    medium.read_at(offset, &mut buffer)?;
    Ok(buffer)
}

/// Whether a range lies below `size`.
pub(super) fn within(size: u64, offset: u64, len: usize) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => {
            let text = format!("{len} bytes at {offset} lie outside of {size} bytes");
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
        }
    }
}

/// A file, or a block device, that is the disk itself.
#[derive(Debug)]
pub struct RawFile {
    file: fs_err::File,
    size: u64,
}

impl RawFile {
    /// Opens it for reading.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(fs_err::File::open(path)?)
    }

    /// Takes an open file.
    ///
    /// # Errors
    ///
    /// When its length cannot be found out.
    pub fn new(mut file: fs_err::File) -> io::Result<Self> {
        let size = file.seek(io::SeekFrom::End(0))?;
        Ok(Self { file, size })
    }
}

impl Medium for RawFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.size, offset, buffer.len())?;
        self.file.read_exact_at(buffer, offset)
    }
}

/// A range of another medium: a partition.
#[derive(Debug)]
pub struct Part {
    whole: Arc<dyn Medium>,
    start: u64,
    size: u64,
}

impl Part {
    /// The range of `size` bytes from `start` on, cut off where the medium ends.
    pub fn new(whole: Arc<dyn Medium>, start: u64, size: u64) -> Self {
        let size = size.min(whole.size().saturating_sub(start));
        Self { whole, start, size }
    }

    /// Where the range begins on the medium that it is of.
    pub fn start(&self) -> u64 {
        self.start
    }
}

impl Medium for Part {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.size, offset, buffer.len())?;
        self.whole.read_at(self.start.saturating_add(offset), buffer)
    }
}
