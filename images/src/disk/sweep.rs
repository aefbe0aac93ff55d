//! Writes a file system from its first byte to its last.

use std::io::{self, Read};
use std::ops::Range;

use super::layout::Extent;
use super::sink::{DiskSink, len_of, offset_of};
use super::view::{View, display};
use crate::tree::{Entry, FileReader};

/// Bytes of a file that are read at once.
const CHUNK: usize = 1 << 20;

/// Why a sweep stopped.
#[derive(Debug)]
pub(super) enum SweepError {
    /// A file's content could not be read.
    Read {
        /// Path in the tree.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The disk image could not be written.
    Sink(io::Error),
}

/// Writes ascending pieces of an extent, zeros between them, and files of a view.
pub(super) struct Sweep<'s> {
    sink: &'s mut dyn DiskSink,
    extent: Extent,
    view: &'s View<'s>,
    /// Everything of the extent before this is written.
    at: u64,
    /// The file that was read last, which goes on in a later piece.
    open: Option<(*const Entry, FileReader)>,
    buffer: Vec<u8>,
}

impl<'s> Sweep<'s> {
    /// At the beginning of `extent`.
    pub(super) fn new(sink: &'s mut dyn DiskSink, extent: Extent, view: &'s View<'s>) -> Self {
        Self { sink, extent, view, at: 0, open: None, buffer: vec![0; CHUNK] }
    }

    /// Writes bytes at an offset of the extent that lies behind all that was written.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), SweepError> {
        self.zeros_to(at)?;
        self.sink.data(self.extent.offset + at, bytes).map_err(SweepError::Sink)?;
        self.at = at + offset_of(bytes.len());
        Ok(())
    }

    /// Writes a range of a file's bytes.
    pub(super) fn copy(
        &mut self,
        entry: &Entry,
        size: u64,
        range: Range<u64>,
        mut to: u64,
    ) -> Result<(), SweepError> {
        let failed = |source| SweepError::Read { path: display(&entry.path), source };
        let mut reader = match self.open.take() {
            Some((whose, reader)) if std::ptr::eq(whose, entry) => reader,
            _ => self.view.tree.reader(entry).map_err(failed)?,
        };
        reader.skip_to(range.start).map_err(failed)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = range.start;
        while at < range.end {
            let wanted = len_of(range.end - at).min(CHUNK);
            let part = buffer.get_mut(..wanted).unwrap_or_default();
            fill(&mut reader, part, size).map_err(failed)?;
            self.put(to, part)?;
            let done = offset_of(wanted);
            at += done;
            to += done;
        }
        self.buffer = buffer;
        self.open = Some((entry, reader));
        Ok(())
    }

    /// Writes zeros to the end.
    pub(super) fn finish(mut self) -> Result<(), SweepError> {
        self.zeros_to(self.extent.len)
    }

    fn zeros_to(&mut self, at: u64) -> Result<(), SweepError> {
        if at > self.at {
            let start = self.extent.offset + self.at;
            self.sink.zeros(start, at - self.at).map_err(SweepError::Sink)?;
            self.at = at;
        }
        Ok(())
    }
}

fn fill(reader: &mut FileReader, part: &mut [u8], size: u64) -> io::Result<()> {
    reader.read_exact(part).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            let shorter = format!("shorter than the {size} bytes of the tree");
            io::Error::new(io::ErrorKind::UnexpectedEof, shorter)
        }
        _ => error,
    })
}
