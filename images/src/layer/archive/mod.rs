//! Reads tar streams strictly: where readers of tar disagree about a stream, it is refused.
//!
//! What smuggles entries past one reader and not past another (CVE-2025-62518 and its kin)
//! lives on leniency, so there is none: sizes where none belong, records given twice or
//! badly spelt, two extensions that name the same thing differently.

mod block;
mod pax;
mod sparse;

use std::io::{self, Read};

use block::{BLOCK, Block};
use pax::Records;
pub(crate) use sparse::Segment;

/// The most bytes of one extension header.
const EXTENSION: u64 = 1 << 20;
/// The most bytes of names and extension headers of a whole stream: they are kept in memory.
const NAMES: u64 = 512 << 20;

/// Why a tar stream is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The stream cannot be read, or ends inside an entry.
    #[error("the stream cannot be read")]
    Read(#[from] io::Error),
    /// The header's sum is wrong: this is no tar archive, or a damaged one.
    #[error("the checksum of the header is wrong")]
    Checksum,
    /// A number of the header is none, negative, or too large.
    #[error("the field {field} is no number, or one out of range")]
    Number {
        /// The field.
        field: &'static str,
    },
    /// The type of the entry is not supported.
    #[error("entries of type {kind:?} are not supported")]
    Type {
        /// The type's letter.
        kind: char,
    },
    /// A pax record breaks the rules.
    #[error("pax record {key:?}: {reason}")]
    Record {
        /// The record's key, as far as it could be read.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Readers of tar would understand this differently.
    #[error("the header is ambiguous: {reason}")]
    Ambiguous {
        /// What is said twice or in vain.
        reason: &'static str,
    },
    /// The map of a sparse file makes no sense.
    #[error("the map of the sparse file is malformed")]
    Sparse,
    /// Names and extension headers are larger than any honest archive's.
    #[error("names and extended headers are larger than {limit} bytes")]
    Headers {
        /// The limit.
        limit: u64,
    },
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Directory,
    Fifo,
}

/// An entry with all its extensions applied.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: MemberKind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: (i64, u32),
    /// The size of the file that results, holes included.
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the content belongs, for a sparse file.
    pub(crate) map: Option<Vec<Segment>>,
}

/// The entries of a stream, one after another.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    stream: R,
    /// Unread bytes of the current entry, without padding.
    left: u64,
    padding: u64,
    names: u64,
}

/// Extension headers in front of an entry.
#[derive(Debug, Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Option<Records>,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.records.is_none()
    }
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, left: 0, padding: 0, names: 0 }
    }

    /// Skips the rest of the current entry and reads the next one's headers.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip()?;
            let Some(block) = Block::read(&mut self.stream)? else {
                if extensions.is_empty() {
                    return Ok(None);
                }
                let reason = "it describes an entry that never comes";
                return Err(ArchiveError::Ambiguous { reason });
            };
            match block.kind() {
                b'L' => once(&mut extensions.name, self.long_name(&block)?)?,
                b'K' => once(&mut extensions.link, self.long_name(&block)?)?,
                b'x' => once(&mut extensions.records, Records::parse(&self.extension(&block)?)?)?,
                b'g' => Records::parse(&self.extension(&block)?)?.only_comments()?,
                _ => return self.member(&block, extensions).map(Some),
            }
        }
    }

    /// The content of the current entry; for a sparse file what its map places.
    pub(crate) fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    fn skip(&mut self) -> Result<(), ArchiveError> {
        let rest = self.left.saturating_add(self.padding);
        let skipped = io::copy(&mut (&mut self.stream).take(rest), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        if skipped == rest { Ok(()) } else { Err(short().into()) }
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn spend(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.names = self.names.saturating_add(bytes);
        if self.names > NAMES { Err(ArchiveError::Headers { limit: NAMES }) } else { Ok(()) }
    }

    fn extension(&mut self, block: &Block) -> Result<Vec<u8>, ArchiveError> {
        let size = block.size()?;
        if size > EXTENSION {
            return Err(ArchiveError::Headers { limit: EXTENSION });
        }
        self.spend(size)?;
        self.expect(size);
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A GNU long name: it ends with one NUL.
    fn long_name(&mut self, block: &Block) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = self.extension(block)?;
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(bytes)
    }

    fn member(&mut self, block: &Block, extensions: Extensions) -> Result<Member, ArchiveError> {
        let Extensions { name, link, records } = extensions;
        let mut records = records.unwrap_or_default();
        let either =
            |long: Option<Vec<u8>>, record: Option<Vec<u8>>, short: Vec<u8>| match (long, record) {
                (Some(_), Some(_)) => {
                    Err(ArchiveError::Ambiguous { reason: "GNU and pax extensions name it" })
                }
                (Some(name), None) | (None, Some(name)) => Ok(name),
                (None, None) => Ok(short),
            };
        let mut path = either(name, records.path, block.path())?;
        let link = either(link, records.linkpath, block.link())?;
        let sparse = records.sparse.take();
        if let Some(name) = sparse.as_ref().and_then(|sparse| sparse.name.clone()) {
            // The other one is for readers that know no sparse files.
            path = name;
        }
        self.spend(path.len() as u64)?;
        let kind = member_kind(block, &path)?;
        let stored = match records.size {
            Some(size) => size,
            None => block.size()?,
        };
        if kind != MemberKind::File && stored != 0 {
            return Err(ArchiveError::Ambiguous { reason: "only files have content" });
        }
        self.expect(stored);
        let (size, map) = match (block.kind(), sparse) {
            (b'S', None) => sparse::map(block, &mut self.stream, stored)?,
            (_, None) => (stored, None),
            (b'S', Some(_)) => return Err(ArchiveError::Sparse),
            (_, Some(_)) if kind != MemberKind::File => return Err(ArchiveError::Sparse),
            (_, Some(sparse)) => {
                let (size, map, content) = sparse.map(&mut self.stream, stored)?;
                self.left = content;
                (size, Some(map))
            }
        };
        Ok(Member {
            path,
            link,
            kind,
            mode: block.mode()?,
            uid: records.uid.map_or_else(|| block.uid(), Ok)?,
            gid: records.gid.map_or_else(|| block.gid(), Ok)?,
            mtime: records.mtime.map_or_else(|| block.mtime(), Ok)?,
            size,
            device: match kind {
                MemberKind::Char | MemberKind::Block => block.device()?,
                _ => (0, 0),
            },
            xattrs: records.xattrs,
            map,
        })
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), ArchiveError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArchiveError::Ambiguous { reason: "one extension comes twice" }),
    }
}

fn member_kind(block: &Block, path: &[u8]) -> Result<MemberKind, ArchiveError> {
    Ok(match block.kind() {
        // Archives older than POSIX have no other sign of a directory.
        0 | b'0' | b'7' if path.ends_with(b"/") => MemberKind::Directory,
        0 | b'0' | b'7' | b'S' => MemberKind::File,
        b'1' => MemberKind::HardLink,
        b'2' => MemberKind::Symlink,
        b'3' => MemberKind::Char,
        b'4' => MemberKind::Block,
        b'5' => MemberKind::Directory,
        b'6' => MemberKind::Fifo,
        other => return Err(ArchiveError::Type { kind: other.into() }),
    })
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside an entry")
}

/// The content of one entry: a stream that ends too early is an error.
#[derive(Debug)]
pub(crate) struct Content<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.reader.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.stream.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(short());
        }
        self.reader.left -= count as u64;
        Ok(count)
    }
}
