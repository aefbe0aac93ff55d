//! Unpacks a layer's tar stream.

use std::collections::BTreeSet;
use std::io::Read;

use rustix::fs::{FileType, makedev};

use super::acl;
use super::archive::{ArchiveError, Member, MemberKind, Reader};
use super::attributes::Attributes;
use super::growth::Growth;
use super::writer::{RootWriter, WriteError};

/// How much a stream may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most entries.
    pub entries: u64,
    /// The most bytes of content.
    pub bytes: u64,
    /// The most bytes of content that are stored: holes are not.
    pub stored: u64,
    /// How much the stream of a layer may unpack to.
    pub growth: Growth,
    /// Whether names beginning with `.wh.` are whiteouts (OCI layer specification).
    pub whiteouts: bool,
    /// Whether paths are listed, which takes memory for each.
    pub list: bool,
}

impl Default for Limits {
    /// Generous for an operating system, small for a bomb.
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            bytes: 1 << 40,
            stored: 1 << 40,
            growth: Growth::STREAM,
            whiteouts: true,
            list: true,
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// How many entries.
    pub entries: u64,
    /// How many bytes of content.
    pub bytes: u64,
    /// How many of them are stored.
    pub stored: u64,
    /// Every path but whiteouts, in the stream's order, where they are listed; what was passed
    /// over among them.
    pub paths: Vec<Listed>,
}

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path, cleaned.
    pub path: Vec<u8>,
    /// What it is; hard links are regular files.
    pub kind: FileType,
}

/// Why a stream cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// An entry cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The stream is no tar archive, ends too early, or can be read in two ways.
    #[error("entry {number} of the archive")]
    Archive {
        /// Counted from 1.
        number: u64,
        /// What the reader says.
        source: ArchiveError,
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
/// What whiteouts' names begin with.
const WHITEOUT: &[u8] = b".wh.";

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
    extract_where(stream, writer, limits, &|_| true)
}

/// The same without the paths that `wanted` does not want, and without hard links to them: what
/// lies there is not this stream's.
///
/// # Errors
///
/// As [`extract`].
pub fn extract_where(
    stream: impl Read,
    writer: &mut RootWriter,
    limits: &Limits,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Result<Extracted, ExtractError> {
    let mut reader = Reader::new(stream);
    let mut done = Extracted::default();
    let mut hidden = BTreeSet::new();
    loop {
        let number = done.entries + 1;
        let next = reader.next().map_err(|source| ExtractError::Archive { number, source })?;
        let Some(member) = next else { return Ok(done) };
        if number > limits.entries {
            return Err(ExtractError::TooLarge { what: "entries", limit: limits.entries });
        }
        done.entries = number;
        let path = RootWriter::clean(&member.path)?;
        if limits.whiteouts && whiteout(writer, &path, &mut hidden)? {
            continue;
        }
        let link = match member.kind {
            MemberKind::HardLink => Some(RootWriter::clean(&member.link)?),
            _ => None,
        };
        if wanted(&path) && link.as_deref().is_none_or(wanted) {
            place(writer, &mut reader, &path, &member, limits, &mut done)?;
        }
        if hidden.remove(&path) && member.kind == MemberKind::Directory {
            // Deleted and made anew in one layer: nothing of the old one shines through.
            writer.opaque(&path)?;
        }
        if limits.list {
            done.paths.push(Listed { path, kind: kind(&member) });
        }
    }
}

/// Writes a whiteout or opaque mark; tells whether the entry was one.
///
/// A whiteout hides what lower layers have, never what this layer brings (OCI image
/// specification, layer.md).
fn whiteout(
    writer: &mut RootWriter,
    path: &[u8],
    hidden: &mut BTreeSet<Vec<u8>>,
) -> Result<bool, ExtractError> {
    let (directory, last) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&b""[..], path),
    };
    let refuse = |reason| {
        let path = String::from_utf8_lossy(path).into_owned();
        Err(WriteError::Path { path, reason }.into())
    };
    if directory.split(|&byte| byte == b'/').any(|part| part.starts_with(WHITEOUT)) {
        return refuse("it lies below a whiteout");
    }
    let Some(name) = last.strip_prefix(WHITEOUT) else { return Ok(false) };
    if last == OPAQUE {
        writer.opaque(directory)?;
        return Ok(true);
    }
    if name.is_empty() || name == b"." || name == b".." {
        return refuse("the whiteout names nothing");
    }
    let mut target = directory.to_vec();
    if !target.is_empty() {
        target.push(b'/');
    }
    target.extend_from_slice(name);
    match writer.kind(&target)? {
        Some(FileType::Directory) => writer.opaque(&target)?,
        Some(_) => {}
        None => {
            writer.whiteout(&target)?;
            hidden.insert(target);
        }
    }
    Ok(true)
}

fn out_of_range(path: &[u8], field: &'static str, value: impl ToString) -> ExtractError {
    let path = String::from_utf8_lossy(path).into_owned();
    ExtractError::Field { path, field, value: value.to_string() }
}

/// 4294967295 means "leave it" to chown(2) and is nobody's id.
fn id(value: u64, field: &'static str, path: &[u8]) -> Result<u32, ExtractError> {
    u32::try_from(value)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| out_of_range(path, field, value))
}

fn attributes(member: &Member, path: &[u8]) -> Result<Attributes, ExtractError> {
    Ok(Attributes {
        mode: member.mode,
        uid: id(member.uid, "uid", path)?,
        gid: id(member.gid, "gid", path)?,
        mtime: member.mtime,
        xattrs: member.xattrs.iter().filter_map(admit).collect(),
    })
}

/// An extended attribute as this layer may carry it. What overlayfs, the kernel or a
/// container engine would take as its own note is left out: a layer cannot know it.
fn admit((name, value): &(Vec<u8>, Vec<u8>)) -> Option<(Vec<u8>, Vec<u8>)> {
    const ENGINES: [&[u8]; 6] = [
        b"user.overlay.",
        b"trusted.overlay.",
        b"user.fuseoverlayfs.",
        b"user.containers.",
        b"user.rootlesscontainers",
        b"user.goldsmith.",
    ];
    if name == b"security.capability" {
        return capability(value).map(|value| (name.clone(), value));
    }
    let engine = ENGINES.iter().any(|prefix| name.starts_with(prefix));
    let list = name == b"system.posix_acl_access" || name == b"system.posix_acl_default";
    let class = [&b"user."[..], b"trusted.", b"security."]
        .iter()
        .any(|class| name.starts_with(class) && name.len() > class.len());
    (class && !engine || list && acl::is_valid(value)).then(|| (name.clone(), value.clone()))
}

/// File capabilities (linux/capability.h, vfs_cap_data): those of version 3 are valid below
/// one namespace's root only and pass when that is 0, as version 2.
fn capability(value: &[u8]) -> Option<Vec<u8>> {
    let (magic, rest) = value.split_first_chunk::<4>()?;
    let magic = u32::from_le_bytes(*magic);
    match (magic >> 24, rest.len()) {
        (2, 16) => Some(value.to_vec()),
        (3, 20) if rest[16..] == [0; 4] => {
            let mut second = ((magic & 0x00ff_ffff) | 0x0200_0000).to_le_bytes().to_vec();
            second.extend_from_slice(&rest[..16]);
            Some(second)
        }
        _ => None,
    }
}

fn kind(member: &Member) -> FileType {
    match member.kind {
        MemberKind::Directory => FileType::Directory,
        MemberKind::File | MemberKind::HardLink => FileType::RegularFile,
        MemberKind::Symlink => FileType::Symlink,
        MemberKind::Fifo => FileType::Fifo,
        MemberKind::Char => FileType::CharacterDevice,
        MemberKind::Block => FileType::BlockDevice,
    }
}

fn place<R: Read>(
    writer: &mut RootWriter,
    reader: &mut Reader<R>,
    path: &[u8],
    member: &Member,
    limits: &Limits,
    done: &mut Extracted,
) -> Result<(), ExtractError> {
    if path.is_empty() && member.kind != MemberKind::Directory {
        return Err(WriteError::Path { path: ".".into(), reason: "the root is a directory" }.into());
    }
    let attributes = attributes(member, path)?;
    match member.kind {
        MemberKind::Directory => writer.directory(path, &attributes)?,
        MemberKind::File => {
            done.bytes = done.bytes.saturating_add(member.size);
            if done.bytes > limits.bytes {
                return Err(ExtractError::TooLarge { what: "bytes", limit: limits.bytes });
            }
            let stored = match &member.map {
                None => member.size,
                Some(map) => map.iter().map(|segment| segment.length).sum(),
            };
            done.stored = done.stored.saturating_add(stored);
            if done.stored > limits.stored {
                let what = "bytes that are no holes";
                return Err(ExtractError::TooLarge { what, limit: limits.stored });
            }
            let mut content = reader.content();
            match &member.map {
                None => writer.file(path, &attributes, &mut content)?,
                Some(map) => {
                    writer.sparse_file(path, &attributes, &mut content, map, member.size)?;
                }
            }
        }
        MemberKind::Symlink => {
            if member.link.is_empty() || member.link.contains(&0) || member.link.len() > 4095 {
                let link = String::from_utf8_lossy(&member.link).into_owned();
                return Err(out_of_range(path, "link target", link));
            }
            writer.symlink(path, &member.link, &attributes)?;
        }
        MemberKind::HardLink => {
            let to = RootWriter::clean(&member.link)?;
            writer.hard_link(path, &to)?;
        }
        MemberKind::Fifo => {
            writer.node(path, FileType::Fifo, 0, &attributes)?;
        }
        // To overlayfs that would be a whiteout, and no system has such a device.
        MemberKind::Char if member.device == (0, 0) => writer.clear(path)?,
        MemberKind::Char | MemberKind::Block => {
            let (major, minor) = member.device;
            let block = member.kind == MemberKind::Block;
            let kind = if block { FileType::BlockDevice } else { FileType::CharacterDevice };
            writer.node(path, kind, makedev(major, minor), &attributes)?;
        }
    }
    Ok(())
}
