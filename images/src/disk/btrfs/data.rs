//! What files hold: small ones beside their inodes, others in extents with checksums.

use std::io::{self, Read as _};

use super::super::sink::{len_of, offset_of};
use super::super::view::{Node, View, display};
use super::draft::{Draft, FIRST};
use super::space::{FIRST_DATA, clear, room};
use super::{BtrfsError, Out, SECTOR};
use crate::tree::Entry;

/// The longest file that lies beside its inode.
const INLINE: u64 = 2048;
/// The longest extent.
const LONGEST: u64 = 128 << 20;
/// Bytes that are read at once.
const CHUNK: u64 = 1 << 20;

/// The extents of all files, in the order of their places.
pub(super) struct Files<'a> {
    pub(super) extents: Vec<Extent<'a>>,
    /// Contents of small files by their inodes, ascending.
    pub(super) small: Vec<(u64, Vec<u8>)>,
    /// Behind the last extent.
    pub(super) end: u64,
}

/// A run of a file.
pub(super) struct Extent<'a> {
    entry: &'a Entry,
    size: u64,
    pub(super) inode: u64,
    /// In the file.
    pub(super) from: u64,
    /// On the disk.
    pub(super) at: u64,
    /// Bytes on the disk; the file may end before.
    pub(super) len: u64,
    /// One for each sector.
    pub(super) sums: Vec<u32>,
}

/// Gives every file its place and reads the small ones.
pub(super) fn place<'a>(view: &View<'a>, draft: &Draft<'a>) -> Result<Files<'a>, BtrfsError> {
    let mut files = Files { extents: Vec::new(), small: Vec::new(), end: FIRST_DATA };
    for (inode, drafted) in (FIRST..).zip(&draft.inodes) {
        let Some(item) = drafted.item else { continue };
        let entry = item.entry;
        let read = |source| BtrfsError::Read { path: display(&entry.path), source };
        match item.node {
            Node::Symlink(target) => files.small.push((inode, target.to_vec())),
            Node::File { size: 1..=INLINE } => {
                let mut bytes = vec![0; len_of(drafted.size)];
                let mut reader = view.tree.reader(entry).map_err(read)?;
                reader.read_exact(&mut bytes).map_err(read)?;
                files.small.push((inode, bytes));
            }
            Node::File { size } => {
                for run in view.tree.runs(entry, size).map_err(read)? {
                    files.run(entry, inode, size, run);
                }
            }
            _ => {}
        }
    }
    Ok(files)
}

impl<'a> Files<'a> {
    fn run(&mut self, entry: &'a Entry, inode: u64, size: u64, run: std::ops::Range<u64>) {
        let mut from = run.start;
        while from < run.end {
            let at = clear(self.end, SECTOR);
            let left = (run.end - from).next_multiple_of(SECTOR);
            let len = left.min(LONGEST).min(room(at));
            self.extents.push(Extent { entry, size, inode, from, at, len, sums: Vec::new() });
            self.end = at + len;
            from += len;
        }
    }
}

/// Writes all extents and computes their checksums.
pub(super) fn write(
    view: &View<'_>,
    files: &mut Files<'_>,
    out: &mut Out<'_>,
) -> Result<(), BtrfsError> {
    let mut buffer = vec![0; len_of(CHUNK)];
    let mut open = None;
    for extent in &mut files.extents {
        let entry = extent.entry;
        let failed = |source| BtrfsError::Read { path: display(&entry.path), source };
        let mut reader = match open.take() {
            Some((whose, reader)) if std::ptr::eq(whose, entry) => reader,
            _ => view.tree.reader(entry).map_err(failed)?,
        };
        reader.skip_to(extent.from).map_err(failed)?;
        let mut done = 0;
        while done < extent.len {
            let step = CHUNK.min(extent.len - done);
            let part = buffer.get_mut(..len_of(step)).unwrap_or_default();
            let there = extent.size.saturating_sub(extent.from + done).min(step);
            let (content, rest) = part.split_at_mut(len_of(there));
            reader.read_exact(content).map_err(|error| failed(shorter(error, extent.size)))?;
            rest.fill(0);
            extent.sums.extend(part.chunks(len_of(SECTOR)).map(crc32c::crc32c));
            out.put(extent.at + done, part)?;
            done += offset_of(part.len());
        }
        open = Some((entry, reader));
    }
    Ok(())
}

fn shorter(error: io::Error, size: u64) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            let text = format!("shorter than the {size} bytes of the tree");
            io::Error::new(io::ErrorKind::UnexpectedEof, text)
        }
        _ => error,
    }
}
