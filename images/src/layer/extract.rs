//! Unpacks a layer's tar stream.

use std::io::{self, Read};

use rustix::fs::FileType;
use tar::{Archive, EntryType};

use super::writer::{Attributes, RootWriter, WriteError};

/// How much a stream may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most entries.
    pub entries: u64,
    /// The most bytes of content.
    pub bytes: u64,
    /// Whether names beginning with `.wh.` are whiteouts (OCI layer specification).
    pub whiteouts: bool,
}

impl Default for Limits {
    /// Generous for an operating system, small for a bomb.
    fn default() -> Self {
        Self { entries: 4_000_000, bytes: 1 << 40, whiteouts: true }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// How many entries.
    pub entries: u64,
    /// How many bytes of content.
    pub bytes: u64,
    /// Every path but whiteouts, in the stream's order.
    pub paths: Vec<Vec<u8>>,
    /// Device nodes that a user namespace may not make: path, major, minor, whether block.
    pub devices: Vec<(Vec<u8>, u32, u32, bool)>,
}

/// Why a stream cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// An entry cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The stream is no tar archive, or ends too early.
    #[error("entry {number} of the archive")]
    Archive {
        /// Counted from 1.
        number: u64,
        /// What the reader says.
        source: io::Error,
    },
    /// A field of a header is out of range.
    #[error("{path}: {field} {value} is out of range")]
    Field {
        /// The entry's name.
        path: String,
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// The stream brings more than [`Limits`] allow.
    #[error("the archive holds more than {limit} {what}")]
    TooLarge {
        /// Entries or bytes.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// The opaque mark of the OCI layer specification.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Unpacks `stream` below the writer's root; times of directories are set when the caller
/// finishes the writer.
///
/// # Errors
///
/// When an entry is malformed, climbs out, or a limit is reached; what was written stays.
pub fn extract(
    stream: impl Read,
    writer: &mut RootWriter,
    limits: &Limits,
) -> Result<Extracted, ExtractError> {
    let mut done = Extracted::default();
    let mut archive = Archive::new(stream);
    let list = archive.entries().map_err(|source| ExtractError::Archive { number: 1, source })?;
    for entry in list {
        let number = done.entries + 1;
        let failed = |source| ExtractError::Archive { number, source };
        let mut entry = entry.map_err(failed)?;
        if number > limits.entries {
            return Err(ExtractError::TooLarge { what: "entries", limit: limits.entries });
        }
        done.entries = number;
        let path = RootWriter::clean(&entry.path_bytes())?;
        if limits.whiteouts && whiteout(writer, &path)? {
            continue;
        }
        let attributes = attributes(&mut entry, &path, number)?;
        place(writer, &mut entry, &path, &attributes, limits, &mut done)?;
        done.paths.push(path);
    }
    Ok(done)
}

/// Writes a whiteout or opaque mark; tells whether the entry was one.
fn whiteout(writer: &mut RootWriter, path: &[u8]) -> Result<bool, ExtractError> {
    let (directory, last) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&b""[..], path),
    };
    let Some(hidden) = last.strip_prefix(b".wh.") else { return Ok(false) };
    if last == OPAQUE {
        let mark = Attributes { mode: 0o755, ..Attributes::default() };
        writer.directory(directory, &mark)?;
        let (parent, _) = writer.parent(path)?;
        let fd = parent.as_fd_path();
        rustix::fs::setxattr(&fd, "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
            .map_err(|error| WriteError::Call {
                call: "setxattr",
                path: String::from_utf8_lossy(path).into_owned(),
                source: error.into(),
            })?;
        return Ok(true);
    }
    if hidden.is_empty() || hidden == b"." || hidden == b".." {
        let path = String::from_utf8_lossy(path).into_owned();
        return Err(WriteError::Path { path, reason: "the whiteout names nothing" }.into());
    }
    let mut target = directory.to_vec();
    if !target.is_empty() {
        target.push(b'/');
    }
    target.extend_from_slice(hidden);
    let node = Attributes::default();
    if !writer.node(&target, FileType::CharacterDevice, 0, &node)? {
        tracing::warn!("this kernel makes no whiteouts in a user namespace");
    }
    Ok(true)
}

trait FdPath {
    fn as_fd_path(&self) -> String;
}

impl<F: std::os::fd::AsRawFd> FdPath for F {
    fn as_fd_path(&self) -> String {
        format!("/proc/self/fd/{}", self.as_raw_fd())
    }
}

fn attributes<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    path: &[u8],
    number: u64,
) -> Result<Attributes, ExtractError> {
    let failed = |source| ExtractError::Archive { number, source };
    let mut attributes = Attributes {
        mode: entry.header().mode().map_err(failed)? & 0o7777,
        uid: id(entry.header().uid().map_err(failed)?, "uid", path)?,
        gid: id(entry.header().gid().map_err(failed)?, "gid", path)?,
        mtime: (i64::try_from(entry.header().mtime().map_err(failed)?).unwrap_or(0), 0),
        xattrs: Vec::new(),
    };
    let Some(records) = entry.pax_extensions().map_err(failed)? else { return Ok(attributes) };
    for record in records {
        let record = record.map_err(failed)?;
        let text = || String::from_utf8_lossy(record.value_bytes()).into_owned();
        let number = |field: &'static str| -> Result<u64, ExtractError> {
            text().parse().map_err(|_: std::num::ParseIntError| out_of_range(path, field, text()))
        };
        match record.key_bytes() {
            b"uid" => attributes.uid = id(number("uid")?, "uid", path)?,
            b"gid" => attributes.gid = id(number("gid")?, "gid", path)?,
            b"mtime" => {
                attributes.mtime =
                    time(&text()).ok_or_else(|| out_of_range(path, "mtime", text()))?
            }
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    attributes.xattrs.push((name.to_vec(), record.value_bytes().to_vec()));
                }
            }
        }
    }
    Ok(attributes)
}

fn out_of_range(path: &[u8], field: &'static str, value: String) -> ExtractError {
    ExtractError::Field { path: String::from_utf8_lossy(path).into_owned(), field, value }
}

/// 4294967295 means "leave it" to chown(2) and is nobody's id.
fn id(value: u64, field: &'static str, path: &[u8]) -> Result<u32, ExtractError> {
    u32::try_from(value)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| out_of_range(path, field, value.to_string()))
}

fn time(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((whole.parse().ok()?, digits.parse().ok()?))
}

fn place<R: Read>(
    writer: &mut RootWriter,
    entry: &mut tar::Entry<'_, R>,
    path: &[u8],
    attributes: &Attributes,
    limits: &Limits,
    done: &mut Extracted,
) -> Result<(), ExtractError> {
    let number = done.entries;
    let failed = |source| ExtractError::Archive { number, source };
    let kind = entry.header().entry_type();
    if path.is_empty() && kind != EntryType::Directory {
        return Err(WriteError::Path { path: ".".into(), reason: "the root is a directory" }.into());
    }
    match kind {
        EntryType::Directory => writer.directory(path, attributes)?,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            done.bytes = done.bytes.saturating_add(entry.size());
            if done.bytes > limits.bytes {
                return Err(ExtractError::TooLarge { what: "bytes", limit: limits.bytes });
            }
            writer.file(path, attributes, entry)?;
        }
        EntryType::Symlink => {
            let to = entry.link_name_bytes().unwrap_or_default().into_owned();
            writer.symlink(path, &to, attributes)?;
        }
        EntryType::Link => {
            let to = RootWriter::clean(&entry.link_name_bytes().unwrap_or_default())?;
            writer.hard_link(path, &to)?;
        }
        EntryType::Fifo => {
            writer.node(path, FileType::Fifo, 0, attributes)?;
        }
        EntryType::Char | EntryType::Block => {
            let major = entry.header().device_major().map_err(failed)?.unwrap_or_default();
            let minor = entry.header().device_minor().map_err(failed)?.unwrap_or_default();
            done.devices.push((path.to_vec(), major, minor, kind == EntryType::Block));
        }
        other => {
            return Err(out_of_range(path, "entry type", format!("{other:?}")));
        }
    }
    Ok(())
}
