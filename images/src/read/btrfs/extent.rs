//! The bytes of a file: in its item, or in extents, which may be compressed.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use super::super::fields::{index, le16, le64};
use super::super::medium::{Medium, bytes, within};
use super::super::volume::{Content, From, Piece};
use super::{Btrfs, Place, Result, VolumeError};

const EXTENT: u8 = 108;
/// Kinds of extents.
const INLINE: u8 = 0;
const REGULAR: u8 = 1;
const SET_ASIDE: u8 = 2;
/// How much a compressed extent holds at most.
const UNPACKED: u64 = 1 << 20;
/// The most pieces of one file: they are kept in memory.
const PIECES: usize = 1 << 21;

/// How an extent is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Plain,
    Zlib,
    Zstd,
}

impl Method {
    fn new(place: Place, number: u8) -> Result<Self> {
        match number {
            0 => Ok(Self::Plain),
            1 => Ok(Self::Zlib),
            3 => Ok(Self::Zstd),
            2 => Err(VolumeError::Unsupported { what: format!("{place}, compressed by lzo,") }),
            _ => Err(VolumeError::damaged(place, "it is compressed in an unknown way")),
        }
    }

    /// Unpacks the first `len` bytes; behind what is packed there may be zeros.
    fn unpack(self, packed: &[u8], len: u64) -> io::Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        let stream: Box<dyn Read + '_> = match self {
            Self::Plain => Box::new(packed),
            Self::Zlib => Box::new(flate2::bufread::ZlibDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?.single_frame();
                decoder.window_log_max(20)?;
                Box::new(decoder)
            }
        };
        stream.take(len).read_to_end(&mut unpacked)?;
        // What was not worth storing is zeros, as for the kernel.
        unpacked.resize(index(len), 0);
        Ok(unpacked)
    }
}

/// A part of a file.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: u64,
    len: u64,
    method: Method,
    /// Where the whole extent lies on the disk, its stored and its unpacked length.
    disk: (u64, u64, u64),
    /// Where in there the part begins.
    from: u64,
}

/// A file's bytes at their offsets in the file.
#[derive(Debug)]
struct View {
    medium: Arc<dyn Medium>,
    size: u64,
    parts: Vec<Part>,
    /// The last extent that was unpacked.
    last: Mutex<Option<(u64, Arc<[u8]>)>>,
}

impl View {
    fn unpacked(&self, part: &Part) -> io::Result<Arc<[u8]>> {
        let (place, stored, len) = part.disk;
        if let Ok(last) = self.last.lock()
            && let Some((at, bytes)) = last.as_ref()
            && *at == place
        {
            return Ok(Arc::clone(bytes));
        }
        let packed = bytes(self.medium.as_ref(), place, index(stored))?;
        let unpacked: Arc<[u8]> = Arc::from(part.method.unpack(&packed, len)?);
        if let Ok(mut last) = self.last.lock() {
            *last = Some((place, Arc::clone(&unpacked)));
        }
        Ok(unpacked)
    }
}

impl Medium for View {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        within(self.size, offset, buffer.len())?;
        let (mut offset, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let number = self.parts.partition_point(|part| part.at + part.len <= offset);
            let part = self.parts.get(number).filter(|part| part.at <= offset);
            let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
            let inside = offset - part.at;
            let room = index(part.len - inside).min(rest.len());
            let (now, later) = rest.split_at_mut(room);
            let from = part.from.saturating_add(inside);
            if part.method == Method::Plain {
                self.medium.read_at(part.disk.0.saturating_add(from), now)?;
            } else {
                let all = self.unpacked(part)?;
                let found = all.get(index(from)..index(from).saturating_add(room));
                now.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            }
            offset += room as u64;
            rest = later;
        }
        Ok(())
    }
}

/// The content of a file of that size.
pub(super) fn content(btrfs: &Btrfs, place: Place, size: u64) -> Result<Content> {
    let mut parts: Vec<Part> = Vec::new();
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut next, mut taken) = (0, 0u64);
    let damaged = |reason| VolumeError::damaged(place, reason);
    let root = btrfs.tree(place.tree)?;
    btrfs.trees.items(root, place.inode, EXTENT, &mut |key, item| {
        let at = key.offset;
        if at < next || pieces.len() == PIECES {
            return Err(damaged("its extents overlap"));
        }
        let byte = |at: usize| item.get(at).copied().unwrap_or(0);
        if byte(17) != 0 || le16(item, 18) != 0 {
            return Err(VolumeError::Unsupported { what: format!("{place}, which is encrypted,") });
        }
        let method = Method::new(place, byte(16))?;
        let unpacked = le64(item, 8);
        if byte(20) == INLINE {
            let stored = item.get(21..).unwrap_or_default();
            if at != 0 || unpacked > UNPACKED {
                return Err(damaged("its inline data is out of range"));
            }
            let mut bytes = method.unpack(stored, unpacked)?;
            bytes.truncate(index(size));
            next = u64::MAX;
            taken = bytes.len() as u64;
            if !bytes.is_empty() {
                let from = From::Memory(Arc::from(bytes));
                pieces.push(Piece { at, len: taken, from });
            }
            return Ok(());
        }
        let (address, stored) = (le64(item, 21), le64(item, 29));
        let (from, len) = (le64(item, 37), le64(item, 45));
        let known = matches!(byte(20), REGULAR | SET_ASIDE) && item.len() >= 53;
        let end = at.checked_add(len).filter(|end| *end <= i64::MAX.cast_unsigned());
        next = end.filter(|_| known && len > 0).ok_or_else(|| damaged("an extent is broken"))?;
        let within = from.checked_add(len).is_some_and(|end| end <= unpacked);
        // A hole, space that was never written, or what lies behind the end.
        if address == 0 || byte(20) == SET_ASIDE || at >= size {
            return Ok(());
        }
        let fits = method != Method::Plain || unpacked <= stored;
        if !within || !fits || (method != Method::Plain && unpacked.max(stored) > UNPACKED) {
            return Err(damaged("an extent is longer than its place"));
        }
        let disk = btrfs.trees.map.offset(address, stored);
        let disk = disk.ok_or_else(|| damaged("an extent lies in no chunk"))?;
        let len = len.min(size - at);
        taken = taken.saturating_add(len);
        parts.push(Part { at, len, method, disk: (disk, stored, unpacked), from });
        match pieces.last_mut() {
            Some(last) if last.at + last.len == at => last.len += len,
            _ => pieces.push(Piece { at, len, from: From::Disk(at) }),
        }
        Ok(())
    })?;
    let medium = Arc::clone(&btrfs.trees.medium);
    let view = View { medium, size, parts, last: Mutex::default() };
    Ok(Content { medium: Arc::new(view), size, pieces, taken })
}
