//! Files with holes in archives, in GNU's old format, which every reader of tar knows: four
//! segments in the header, 21 in each block that follows.

use std::io::{self, Read};

use tar::Header;

use crate::read::{Content, ContentReader};

/// Smaller holes are written as zeros.
const HOLE: u64 = 64 << 10;
/// The most segments that readers take.
const SEGMENTS: usize = 1 << 16;
const BLOCK: u64 = 512;

/// A run of bytes that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) at: u64,
    pub(super) len: u64,
}

/// The segments of a file that has holes worth it, in whole blocks but for its end; nothing
/// for others.
pub(super) fn segments(content: &Content) -> Option<Vec<Segment>> {
    let mut smallest = HOLE;
    loop {
        let segments = joined(content, smallest);
        if segments.len() < SEGMENTS {
            let bytes: u64 = segments.iter().map(|segment| segment.len).sum();
            return (bytes < content.size).then_some(segments);
        }
        smallest = smallest.checked_mul(2)?;
    }
}

fn joined(content: &Content, smallest: u64) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for piece in &content.pieces {
        let at = piece.at - piece.at % BLOCK;
        let end = (piece.at + piece.len).next_multiple_of(BLOCK).min(content.size);
        match segments.last_mut() {
            Some(last) if at.saturating_sub(last.at + last.len) < smallest => {
                last.len = end - last.at;
            }
            None if at < smallest => segments.push(Segment { at: 0, len: end }),
            _ => segments.push(Segment { at, len: end - at }),
        }
    }
    match segments.last_mut() {
        Some(last) if content.size - last.at - last.len < smallest => {
            last.len = content.size - last.at;
        }
        None if content.size < smallest => segments.push(Segment { at: 0, len: content.size }),
        // The map says where the file ends.
        _ if content.size > 0 => segments.push(Segment { at: content.size, len: 0 }),
        _ => {}
    }
    segments
}

/// Turns a header into that of a sparse file; returns the blocks of the map that follow it.
pub(super) fn describe(header: &mut Header, segments: &[Segment], size: u64) -> Vec<u8> {
    let (first, rest) = segments.split_at(segments.len().min(4));
    let stored: u64 = segments.iter().map(|segment| segment.len).sum();
    header.set_size(stored);
    let bytes = header.as_mut_bytes();
    if let Some(kind) = bytes.get_mut(156) {
        *kind = b'S';
    }
    pairs(bytes.get_mut(386..482).unwrap_or_default(), first);
    if let Some(more) = bytes.get_mut(482) {
        *more = u8::from(!rest.is_empty());
    }
    number(bytes.get_mut(483..495).unwrap_or_default(), size);
    let mut blocks = Vec::new();
    let mut chunks = rest.chunks(21).peekable();
    while let Some(chunk) = chunks.next() {
        let mut block = [0; 512];
        pairs(block.get_mut(..504).unwrap_or_default(), chunk);
        block[504] = u8::from(chunks.peek().is_some());
        blocks.extend(block);
    }
    blocks
}

fn pairs(field: &mut [u8], segments: &[Segment]) {
    for (pair, segment) in field.chunks_exact_mut(24).zip(segments) {
        let (at, len) = pair.split_at_mut(12);
        number(at, segment.at);
        number(len, segment.len);
    }
}

/// Eleven octal digits, or a number of base 256 where they do not suffice.
fn number(field: &mut [u8], value: u64) {
    if value < 1 << 33 {
        for (to, byte) in field.iter_mut().zip(format!("{value:011o}\0").bytes()) {
            *to = byte;
        }
        return;
    }
    field.fill(0);
    let bytes = value.to_be_bytes();
    let from = field.len().saturating_sub(bytes.len());
    for (to, byte) in field.iter_mut().skip(from).zip(bytes) {
        *to = byte;
    }
    if let Some(first) = field.first_mut() {
        *first = 0x80;
    }
}

/// The bytes of the segments alone.
pub(super) fn stored(content: Content, segments: Vec<Segment>) -> impl Read {
    Stored { reader: content.reader(), segments: segments.into_iter(), left: 0 }
}

struct Stored {
    reader: ContentReader,
    segments: std::vec::IntoIter<Segment>,
    /// Bytes of the current segment that are still to come.
    left: u64,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some(segment) = self.segments.next() else { return Ok(0) };
            self.reader.skip_to(segment.at);
            self.left = segment.len;
        }
        let count = (&mut self.reader).take(self.left).read(buffer)?;
        self.left -= count as u64;
        Ok(count)
    }
}
