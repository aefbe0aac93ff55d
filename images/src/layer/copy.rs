//! Copies one layer as it is to another file system: what it hides stays hidden.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rustix::fs::{FileType, makedev};
use rustix::io::Errno;

use super::archive::Segment;
use super::attributes::Attributes;
use super::flatten::FlattenError;
use super::writer::RootWriter;
use crate::tree::{Entry, Kind, Tree};

/// Copies the layer in `from` into the empty directory `destination`: owners, modes,
/// attributes, times to the nanosecond, holes, hard links, whiteouts and opaque directories.
///
/// # Errors
///
/// When something cannot be read or written; the copy is then incomplete.
pub fn copy_layer(from: &Path, destination: &Path) -> Result<(), FlattenError> {
    let tree = Tree::layer(from)?;
    let mut writer = RootWriter::open(destination)?;
    for entry in &tree.entries {
        copy(&tree, entry, &mut writer)?;
    }
    Ok(writer.finish()?)
}

fn copy(tree: &Tree, entry: &Entry, writer: &mut RootWriter) -> Result<(), FlattenError> {
    let attributes = Attributes::of(entry);
    let path = &entry.path;
    match &entry.kind {
        Kind::Dir => {
            writer.directory(path, &attributes)?;
            if crate::tree::opaque(&entry.xattrs) {
                writer.opaque(path)?;
            }
        }
        Kind::File { .. } => {
            let read = |source| FlattenError::Read {
                path: String::from_utf8_lossy(path).into_owned(),
                source,
            };
            let file = tree.file(entry).map_err(read)?;
            let (mut content, runs, size) = Stored::open(file).map_err(read)?;
            writer.sparse_file(path, &attributes, &mut content, &runs, size)?;
        }
        Kind::Symlink(to) => writer.symlink(path, to, &attributes)?,
        Kind::Hardlink(to) => writer.hard_link(path, to)?,
        Kind::Char { major: 0, minor: 0 } => writer.whiteout(path)?,
        Kind::Char { major, minor } => {
            writer.node(path, FileType::CharacterDevice, makedev(*major, *minor), &attributes)?;
        }
        Kind::Block { major, minor } => {
            writer.node(path, FileType::BlockDevice, makedev(*major, *minor), &attributes)?;
        }
        Kind::Fifo => writer.node(path, FileType::Fifo, 0, &attributes)?,
        Kind::Socket => writer.node(path, FileType::Socket, 0, &attributes)?,
    }
    Ok(())
}

/// Reads the runs of bytes of a file that are stored, one after the other.
struct Stored {
    file: File,
    runs: std::vec::IntoIter<Segment>,
    /// Bytes of the current run that are still to come.
    left: u64,
}

impl Stored {
    /// Finds the runs: returns them with their reader and the file's size.
    fn open(file: File) -> io::Result<(Self, Vec<Segment>, u64)> {
        let size = file.metadata()?.len();
        let mut runs = Vec::new();
        let mut at = 0;
        while at < size {
            let start = match rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
                Ok(start) => start,
                // A hole up to the end.
                Err(Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            };
            at = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(start))?;
            runs.push(Segment { offset: start, length: at - start });
        }
        Ok((Self { file, runs: runs.clone().into_iter(), left: 0 }, runs, size))
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let Some(run) = self.runs.next() else { return Ok(0) };
            self.file.seek(SeekFrom::Start(run.offset))?;
            self.left = run.length;
        }
        let count = (&mut self.file).take(self.left).read(buffer)?;
        self.left -= count as u64;
        Ok(count)
    }
}
