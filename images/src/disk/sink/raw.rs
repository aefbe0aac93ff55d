//! A sparse file that holds the disk byte for byte.

use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;

use super::{Coverage, DiskSink, is_zero, offset_of};

/// What is zero in units of this is left a hole.
const HOLE: usize = 4096;

/// Writes a disk into a sparse file.
#[derive(Debug)]
pub struct RawSink {
    file: File,
    coverage: Coverage,
}

impl RawSink {
    /// A disk of `size` bytes in `file`, whose former content is dropped.
    ///
    /// # Errors
    ///
    /// The file cannot be cut or grown.
    pub fn new(file: File, size: u64) -> io::Result<Self> {
        file.set_len(0)?;
        file.set_len(size)?;
        Ok(Self { file, coverage: Coverage::new(size) })
    }

    /// The file, for syncing it.
    pub fn into_file(self) -> File {
        self.file
    }
}

impl DiskSink for RawSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.coverage.add(offset, offset_of(bytes.len()))?;
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let run = run_length(rest);
            let (now, later) = rest.split_at(run.len);
            if !run.zero {
                self.file.write_all_at(now, at)?;
            }
            at += offset_of(run.len);
            rest = later;
        }
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        Ok(self.coverage.add(offset, len)?)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(self.coverage.complete()?)
    }
}

/// A run of units that are all zero or all not.
struct Run {
    len: usize,
    zero: bool,
}

/// The run at the start of `bytes`, which are not empty.
fn run_length(bytes: &[u8]) -> Run {
    let mut zero = None;
    let mut len = 0;
    for unit in bytes.chunks(HOLE) {
        let this = is_zero(unit);
        if *zero.get_or_insert(this) != this {
            break;
        }
        len += unit.len();
    }
    Run { len, zero: zero.unwrap_or(true) }
}
