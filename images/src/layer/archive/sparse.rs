//! The map of a sparse file in GNU's old format: 4 segments in the header, 21 in each block
//! that follows.

use std::io::Read;

use super::ArchiveError;
use super::block::{BLOCK, Block, number, read_block};

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
    let mut end = 0;
    let mut total = 0u64;
    for segment in &segments {
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
    Ok((size, Some(segments)))
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
