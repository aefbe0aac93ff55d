//! Maps of sparse files, in the four formats that GNU tar has had.
//!
//! The old one: 4 segments in the header, 21 in each block that follows. With pax headers a
//! record for each number (0.0), one for the whole map (0.1), or the map in front of the content,
//! a number a line, filled up to whole blocks (1.0).

use std::io::Read;

use super::ArchiveError;
use super::block::{BLOCK, Block, in_range, number, read_block};
use super::pax::decimal;

/// The most segments: a map is kept in memory.
const SEGMENTS: usize = 1 << 16;

/// Content at an offset; between segments are holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Reads the map of an entry with `stored` bytes of content; returns the file's size with it.
pub(super) fn map(
    block: &Block,
    stream: &mut impl Read,
    stored: u64,
) -> Result<(u64, Option<Vec<Segment>>), ArchiveError> {
    if !block.is_gnu() {
        return Err(ArchiveError::Sparse);
    }
    let size = super::block::in_range("realsize", block.number("realsize", 483..495)?)?;
    let mut segments = Vec::new();
    take(&block.0[386..482], &mut segments)?;
    let mut more = block.0[482] != 0;
    while more {
        let bytes: [u8; BLOCK] = read_block(stream)?.ok_or_else(super::short)?;
        take(&bytes[..504], &mut segments)?;
        more = bytes[504] != 0;
    }
    check(&segments, size, stored)?;
    Ok((size, Some(segments)))
}

/// Refuses maps that overlap, leave the file, or have another length than the content.
fn check(segments: &[Segment], size: u64, stored: u64) -> Result<(), ArchiveError> {
    let mut end = 0;
    let mut total = 0u64;
    for segment in segments {
        // GNU tar pads each segment to a block, others do not: only whole blocks are clear.
        if segment.offset < end || (segment.length > 0 && !total.is_multiple_of(BLOCK as u64)) {
            return Err(ArchiveError::Sparse);
        }
        end = segment.offset.checked_add(segment.length).ok_or(ArchiveError::Sparse)?;
        total = total.checked_add(segment.length).ok_or(ArchiveError::Sparse)?;
    }
    if end > size || total != stored {
        return Err(ArchiveError::Sparse);
    }
    Ok(())
}

/// What the pax records of one entry say.
#[derive(Debug, Default)]
pub(super) struct Described {
    version: (Option<u64>, Option<u64>),
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    blocks: Option<u64>,
    /// An offset whose length is still to come.
    offset: Option<u64>,
    map: Vec<Segment>,
    mapped: bool,
}

impl Described {
    /// Takes a record, its key without `GNU.sparse.`; refuses with the reason.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let number = || decimal(value).ok_or("its value is no number, or out of range");
        let once = |place: &mut Option<u64>, value| match place.replace(value) {
            None => Ok(()),
            Some(_) => Err("it comes twice"),
        };
        match key {
            b"major" => once(&mut self.version.0, number()?),
            b"minor" => once(&mut self.version.1, number()?),
            b"size" | b"realsize" => once(&mut self.size, number()?),
            b"numblocks" => once(&mut self.blocks, number()?),
            b"name" => match self.name.replace(value.to_vec()) {
                None => Ok(()),
                Some(_) => Err("it comes twice"),
            },
            b"offset" => once(&mut self.offset, number()?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or("no offset is before it")?;
                self.push(offset, number()?)
            }
            b"map" if !self.mapped && self.map.is_empty() => {
                let mut numbers = value.split(|&byte| byte == b',').map(decimal);
                while let Some(offset) = numbers.next() {
                    let pair = (offset, numbers.next().flatten());
                    let (Some(offset), Some(length)) = pair else {
                        return Err("it is no list of pairs");
                    };
                    self.push(offset, length)?;
                }
                self.mapped = true;
                Ok(())
            }
            _ => Err("there is no such record, or it comes twice"),
        }
    }

    fn push(&mut self, offset: u64, length: u64) -> Result<(), &'static str> {
        if self.map.len() == SEGMENTS {
            return Err("it has too many segments");
        }
        self.map.push(Segment { offset, length });
        Ok(())
    }

    /// The file's size, its map, and how much of the `stored` bytes is content: the stream is
    /// behind the map then.
    pub(super) fn map(
        mut self,
        stream: &mut impl Read,
        stored: u64,
    ) -> Result<(u64, Vec<Segment>, u64), ArchiveError> {
        let size = in_range("realsize", self.size.ok_or(ArchiveError::Sparse)?)?;
        let mut content = stored;
        match self.version {
            (None, None) => {
                let blocks = u64::try_from(self.map.len()).unwrap_or(u64::MAX);
                if self.blocks != Some(blocks) || self.offset.is_some() {
                    return Err(ArchiveError::Sparse);
                }
            }
            (Some(1), Some(0)) if self.map.is_empty() && self.blocks.is_none() => {
                let mut lines = Lines { stream, block: [0; BLOCK], at: BLOCK, left: stored };
                let count = lines.number()?;
                for _ in 0..count {
                    let (offset, length) = (lines.number()?, lines.number()?);
                    self.push(offset, length).map_err(|_too_many| ArchiveError::Sparse)?;
                }
                content = lines.left;
            }
            _ => return Err(ArchiveError::Sparse),
        }
        check(&self.map, size, content)?;
        Ok((size, self.map, content))
    }
}

/// Numbers, a line each, in whole blocks.
struct Lines<'a, R> {
    stream: &'a mut R,
    block: [u8; BLOCK],
    at: usize,
    left: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<u64, ArchiveError> {
        let mut digits = Vec::new();
        loop {
            if self.at == BLOCK {
                self.left = self.left.checked_sub(BLOCK as u64).ok_or(ArchiveError::Sparse)?;
                self.block = read_block(self.stream)?.ok_or_else(super::short)?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return decimal(&digits).ok_or(ArchiveError::Sparse),
                b'0'..=b'9' if digits.len() < 20 => digits.push(byte),
                _ => return Err(ArchiveError::Sparse),
            }
        }
    }
}

fn take(bytes: &[u8], segments: &mut Vec<Segment>) -> Result<(), ArchiveError> {
    for pair in bytes.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        let part = |bytes| number(bytes).ok_or(ArchiveError::Sparse);
        let segment = Segment { offset: part(&pair[..12])?, length: part(&pair[12..])? };
        if segments.len() == SEGMENTS {
            return Err(ArchiveError::Sparse);
        }
        segments.push(segment);
    }
    Ok(())
}
