//! The bytes of a file, with ways around its holes.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use rustix::io::Errno;

use super::{Entry, Kind, Source, Tree};
use crate::read::ContentReader;

/// Files have holes in units of this, whatever file system they lie on.
const UNIT: u64 = 4096;
/// The fewest units of zeros that count as a hole.
const HOLE_UNITS: u64 = 16;
/// Smaller files have no holes.
const LEAST: u64 = 1 << 20;

/// Reads a file, from its beginning or from anywhere.
#[derive(Debug)]
pub(crate) enum FileReader {
    Memory(Cursor<Arc<[u8]>>),
    Volume(ContentReader),
    Layer(File),
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(inner) => inner.read(buffer),
            Self::Volume(inner) => inner.read(buffer),
            Self::Layer(inner) => inner.read(buffer),
        }
    }
}

impl FileReader {
    /// Goes on at an offset.
    pub(crate) fn skip_to(&mut self, at: u64) -> io::Result<()> {
        match self {
            Self::Memory(inner) => inner.set_position(at),
            Self::Volume(inner) => inner.skip_to(at),
            Self::Layer(inner) => drop(inner.seek(SeekFrom::Start(at))?),
        }
        Ok(())
    }

    /// The first run of bytes at or behind `at` that is stored; nothing when only a hole
    /// follows. What is stored may be zeros.
    fn stored(&self, at: u64, size: u64) -> io::Result<Option<Range<u64>>> {
        match self {
            Self::Memory(_) => Ok((at < size).then_some(at..size)),
            Self::Volume(inner) => Ok(inner.stored(at)),
            Self::Layer(inner) => {
                let data = match rustix::fs::seek(inner, rustix::fs::SeekFrom::Data(at)) {
                    Ok(data) => data,
                    Err(Errno::NXIO) => return Ok(None),
                    // A file system that knows no holes.
                    Err(Errno::INVAL) => return Ok((at < size).then_some(at..size)),
                    Err(error) => return Err(error.into()),
                };
                let end = rustix::fs::seek(inner, rustix::fs::SeekFrom::Hole(data))?;
                Ok((data < size).then_some(data..end.min(size)))
            }
        }
    }
}

impl Tree {
    /// A reader that can skip.
    pub(crate) fn reader(&self, entry: &Entry) -> io::Result<FileReader> {
        match &entry.kind {
            Kind::File { source: Source::Bytes(bytes), .. } => {
                Ok(FileReader::Memory(Cursor::new(Arc::clone(bytes))))
            }
            Kind::File { source: Source::Volume { .. }, .. } => {
                let content = self.content(entry)?.ok_or(io::ErrorKind::NotFound)?;
                Ok(FileReader::Volume(content.reader()))
            }
            Kind::File { source: Source::Layer { layer }, .. } => {
                Ok(FileReader::Layer(self.open_layer(*layer, &entry.path)?))
            }
            Kind::File { source: Source::Moved { layer, path }, .. } => {
                Ok(FileReader::Layer(self.open_layer(*layer, path)?))
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The runs of a file of `size` bytes that are not holes, in whole units of 4096 bytes, the
    /// last one cut off at the file's end. A hole is what reads as zeros for 64 KiB or more in a
    /// file of 1 MiB or more: a rule about contents, the same on every host.
    pub(crate) fn runs(&self, entry: &Entry, size: u64) -> io::Result<Vec<Range<u64>>> {
        if size < LEAST {
            return Ok(std::iter::once(0..size).filter(|run| !run.is_empty()).collect());
        }
        let mut reader = self.reader(entry)?;
        let mut runs = Runs { list: Vec::new(), size };
        let mut buffer = vec![0; 1 << 18];
        let mut at = 0;
        while let Some(stored) = reader.stored(at, size)? {
            let start = (stored.start / UNIT * UNIT).max(at);
            at = stored.end.next_multiple_of(UNIT).min(size);
            reader.skip_to(start)?;
            let mut position = start;
            while position < at {
                let wanted = usize::try_from(at - position).unwrap_or(usize::MAX).min(buffer.len());
                let part = buffer.get_mut(..wanted).unwrap_or_default();
                reader.read_exact(part)?;
                for unit in part.chunks(4096) {
                    if unit.iter().any(|&byte| byte != 0) {
                        runs.add(position);
                    }
                    position += UNIT;
                }
            }
        }
        if let Some(last) = runs.list.last_mut()
            && size - last.end < HOLE_UNITS * UNIT
        {
            last.end = size;
        }
        Ok(runs.list)
    }
}

struct Runs {
    list: Vec<Range<u64>>,
    size: u64,
}

impl Runs {
    /// Adds the unit at `at`, which is behind all others.
    fn add(&mut self, at: u64) {
        let end = (at + UNIT).min(self.size);
        let last = self.list.last().map_or(0, |run| run.end);
        if at - last >= HOLE_UNITS * UNIT {
            self.list.push(at..end);
            return;
        }
        match self.list.last_mut() {
            Some(run) => run.end = end,
            None => self.list.push(0..end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(bytes: Vec<u8>) -> Vec<Range<u64>> {
        let size = bytes.len() as u64;
        let kind = Kind::File { size, source: Source::Bytes(bytes.into()) };
        Tree::default().runs(&Entry::new("f", kind, 0o644, 0), size).unwrap()
    }

    #[test]
    fn long_zeros_are_holes_and_short_ones_are_not() {
        let mut bytes = vec![0; 2 << 20];
        assert_eq!(runs(bytes.clone()), []);
        bytes[5000] = 1;
        bytes[60_000] = 1;
        bytes[1 << 20] = 1;
        assert_eq!(runs(bytes.clone()), [0..61_440, 1 << 20..(1 << 20) + 4096]);
        bytes.push(1);
        let end = 2 << 20;
        assert_eq!(runs(bytes).last(), Some(&(end..end + 1)));
    }

    #[test]
    fn small_files_have_none() {
        assert_eq!(runs(vec![0; 500_000]), Vec::from_iter(std::iter::once(0..500_000)));
        assert_eq!(runs(Vec::new()), []);
    }

    #[test]
    fn holes_of_the_host_are_not_read() {
        use std::io::Write as _;
        let mut file = tempfile::tempfile().unwrap();
        let size = 1 << 40;
        file.set_len(size).unwrap();
        file.seek(SeekFrom::Start(1 << 30)).unwrap();
        file.write_all(b"here").unwrap();
        let reader = FileReader::Layer(file);
        let stored = reader.stored(0, size).unwrap().unwrap();
        assert!(stored.start <= 1 << 30 && stored.end > 1 << 30 && stored.end < 1 << 31);
        assert_eq!(reader.stored(1 << 31, size).unwrap(), None);
    }
}
