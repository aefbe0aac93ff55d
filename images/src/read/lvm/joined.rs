//! Runs of several partitions as one medium.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::super::fields::index;
use super::super::medium::{Medium, within};

/// A run.
#[derive(Debug)]
pub(super) struct Piece {
    /// Index of its partition.
    pub(super) partition: usize,
    part: Arc<dyn Medium>,
    /// Offset in the whole.
    at: u64,
    /// Offset in the partition.
    start: u64,
    len: u64,
}

impl Piece {
    /// The run's bytes of its partition.
    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start + self.len
    }
}

/// A logical volume's bytes: runs of partitions, one after the other.
#[derive(Debug, Default)]
pub struct Joined {
    pub(super) pieces: Vec<Piece>,
    size: u64,
}

impl Joined {
    /// Appends a run, which lies within its partition; nothing when that makes it too long.
    pub(super) fn push(
        &mut self,
        partition: usize,
        part: &Arc<dyn Medium>,
        start: u64,
        len: u64,
    ) -> Option<()> {
        let size = self.size.checked_add(len)?;
        let part = Arc::clone(part);
        self.pieces.push(Piece { partition, part, at: self.size, start, len });
        self.size = size;
        Some(())
    }

    /// The bytes that it takes of the partition of that index, as they come.
    pub fn on(&self, partition: usize) -> impl Iterator<Item = Range<u64>> {
        self.pieces.iter().filter(move |p| p.partition == partition).map(Piece::range)
    }
}

impl Medium for Joined {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        within(self.size, offset, buffer.len())?;
        let mut at = offset;
        let first = self.pieces.partition_point(|piece| piece.at + piece.len <= at);
        for piece in self.pieces.iter().skip(first) {
            let inside = at - piece.at;
            let count = buffer.len().min(index(piece.len - inside));
            let (here, rest) = buffer.split_at_mut(count);
            piece.part.read_at(piece.start + inside, here)?;
            at += count as u64;
            buffer = rest;
            if buffer.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::damage::Memory;

    #[test]
    fn a_read_goes_on_in_the_next_run() {
        let part = |bytes: &[u8]| -> Arc<dyn Medium> { Arc::new(Memory(bytes.to_vec())) };
        let (one, other) = (part(b"abcdef"), part(b"ghijkl"));
        let mut joined = Joined::default();
        for (index, part, start, len) in [(0, &one, 4, 2), (1, &other, 1, 3), (0, &one, 0, 2)] {
            joined.push(index, part, start, len).unwrap();
        }
        assert!(joined.push(0, &one, 0, u64::MAX).is_none());
        let read = |offset, len| {
            let mut buffer = vec![0; len];
            joined.read_at(offset, &mut buffer).map(|()| String::from_utf8(buffer).unwrap())
        };
        assert_eq!(joined.size(), 7);
        assert_eq!(read(0, 7).unwrap(), "efhijab");
        assert_eq!(read(1, 2).unwrap(), "fh");
        assert_eq!(read(5, 2).unwrap(), "ab");
        assert_eq!(read(7, 0).unwrap(), "");
        assert!(read(6, 2).is_err() && read(u64::MAX, 1).is_err());
        assert_eq!(joined.on(0).collect::<Vec<_>>(), [4..6, 0..2]);
    }
}
