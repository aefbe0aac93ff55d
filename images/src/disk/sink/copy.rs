//! From a sparse disk image to another sink.

use std::io;
use std::os::fd::AsFd;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::{DiskSink, len_of};

/// How much is read at a time.
const CHUNK: u64 = 4 << 20;

/// Copies the first `size` bytes of `file` into `sink` and finishes it; holes are passed on
/// as zeros without being read, where the file system says where they are.
///
/// # Errors
///
/// When the file cannot be read or the sink written.
pub fn copy_raw(file: &File, size: u64, sink: &mut dyn DiskSink) -> io::Result<()> {
    let mut at = 0;
    let mut buffer = vec![0; len_of(CHUNK)];
    while at < size {
        let data = match seek(file.as_fd(), SeekFrom::Data(at)) {
            Ok(data) => data.min(size),
            // No data behind `at`.
            Err(Errno::NXIO) => size,
            // A file system that knows no holes, or does not say where they are.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        if data > at {
            sink.zeros(at, data - at)?;
            at = data;
            continue;
        }
        let hole = match seek(file.as_fd(), SeekFrom::Hole(at)) {
            Ok(hole) => hole.min(size),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => size,
            Err(error) => return Err(error.into()),
        };
        while at < hole {
            let len = CHUNK.min(hole - at);
            let part = buffer.get_mut(..len_of(len)).ok_or(io::ErrorKind::InvalidInput)?;
            file.read_exact_at(part, at)?;
            sink.data(at, part)?;
            at += len;
        }
    }
    sink.finish()
}
