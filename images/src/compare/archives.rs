//! Two archives.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read};

use super::trees::Differences;
use super::{Attribute, CompareError, Difference, first_difference};
use crate::layer::archive::{Member, MemberKind, Reader, Segment};
use crate::oci::{Archive, Config, Descriptor, Document, Manifest};
use crate::read::container::{Compression, Container, FRONT, decompress};
use crate::tree::{Entry, Kind, Source};

/// What two tar streams do not have in common; `place` names where they lie. Both are read once,
/// side by side: where they have paths in an order of their own, what is in both may be told to
/// be in one.
///
/// # Errors
///
/// When a stream cannot be read or is refused.
pub fn tars(a: impl Read, b: impl Read, place: &str) -> Result<Vec<Difference>, CompareError> {
    let mut found = Differences::new(place, b"");
    let (mut left, mut right) = (Reader::new(a), Reader::new(b));
    let (mut one, mut other) = (next(&mut left)?, next(&mut right)?);
    loop {
        match (&one, &other) {
            (None, None) => return Ok(found.list),
            (Some((entry, map)), Some((second, other_map))) if entry.path == second.path => {
                if found.attributes(entry, second)
                    && let Some(at) = first_difference(
                        Whole::new(left.content(), entry, map),
                        Whole::new(right.content(), second, other_map),
                    )?
                {
                    found.push(&entry.path, Attribute::Content(at), Default::default());
                }
                (one, other) = (next(&mut left)?, next(&mut right)?);
            }
            (first, second) => {
                let order = match (first, second) {
                    (Some((entry, _)), Some((second, _))) => entry.path.cmp(&second.path),
                    (Some(_), None) => Ordering::Less,
                    _ => Ordering::Greater,
                };
                if order == Ordering::Less {
                    if let Some((entry, _)) = first {
                        found.alone(entry, true);
                    }
                    one = next(&mut left)?;
                } else {
                    if let Some((entry, _)) = second {
                        found.alone(entry, false);
                    }
                    other = next(&mut right)?;
                }
            }
        }
    }
}

/// A member as an entry, and where the content of a sparse file belongs.
type Next = Option<(Entry, Option<Vec<Segment>>)>;

fn next<R: Read>(reader: &mut Reader<R>) -> Result<Next, CompareError> {
    Ok(reader.next()?.map(|member| (entry(&member), member.map)))
}

/// The bytes of a file, holes as zeros.
struct Whole<'a, C> {
    content: C,
    map: Option<&'a [Segment]>,
    at: u64,
    size: u64,
}

impl<'a, C: Read> Whole<'a, C> {
    fn new(content: C, entry: &Entry, map: &'a Option<Vec<Segment>>) -> Self {
        let size = if let Kind::File { size, .. } = entry.kind { size } else { 0 };
        Self { content, map: map.as_deref(), at: 0, size }
    }
}

impl<C: Read> Read for Whole<'_, C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(map) = self.map else { return self.content.read(buffer) };
        let segment = map.iter().find(|s| self.at < s.offset.saturating_add(s.length));
        let (hole, until) = match segment {
            Some(s) if self.at < s.offset => (true, s.offset),
            Some(s) => (false, s.offset.saturating_add(s.length)),
            None => (true, self.size),
        };
        let left = usize::try_from(until.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let count = if hole {
            buffer[..most].fill(0);
            most
        } else {
            self.content.read(&mut buffer[..most])?
        };
        self.at += count as u64;
        Ok(count)
    }
}

fn entry(member: &Member) -> Entry {
    let path = clean(&member.path);
    let (major, minor) = member.device;
    let kind = match member.kind {
        MemberKind::File => {
            Kind::File { size: member.size, source: Source::Bytes(Vec::new().into()) }
        }
        MemberKind::HardLink => Kind::Hardlink(clean(&member.link)),
        MemberKind::Symlink => Kind::Symlink(member.link.clone()),
        MemberKind::Char => Kind::Char { major, minor },
        MemberKind::Block => Kind::Block { major, minor },
        MemberKind::Directory => Kind::Dir,
        MemberKind::Fifo => Kind::Fifo,
    };
    let id = |id: u64| u32::try_from(id).unwrap_or(u32::MAX);
    let mut xattrs = member.xattrs.clone();
    xattrs.sort();
    Entry {
        uid: id(member.uid),
        gid: id(member.gid),
        mtime_nsec: member.mtime.1,
        xattrs,
        ..Entry::new(path, kind, member.mode & 0o7777, member.mtime.0)
    }
}

/// A path as a tree has it; nothing is opened by it.
fn clean(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

/// What two OCI archives of one image each do not have in common: their configurations and,
/// layer by layer, their files.
///
/// # Errors
///
/// When an archive is refused or a blob is missing.
pub fn oci_archives(a: File, b: File) -> Result<Vec<Difference>, CompareError> {
    let (a, b) = (Image::open(a)?, Image::open(b)?);
    let mut found = Vec::new();
    let mut tell = |place: &str, attribute, values: (String, String)| {
        found.push(Difference { place: place.to_owned(), path: None, attribute, values });
    };
    if a.config != b.config {
        let values = (format!("{:?}", a.config), format!("{:?}", b.config));
        tell("the image's configuration", Attribute::Bytes(0), values);
    }
    let count = |image: &Image| format!("{} layers", image.layers.len());
    if a.layers.len() != b.layers.len() {
        tell("the image", Attribute::Presence, (count(&a), count(&b)));
    }
    for (number, (one, other)) in (1..).zip(a.layers.iter().zip(&b.layers)) {
        if one.digest != other.digest {
            let place = format!("layer {number}");
            let different = tars(a.layer(one)?, b.layer(other)?, &place)?;
            if different.is_empty() {
                let values = (one.digest.to_string(), other.digest.to_string());
                found.push(Difference {
                    place,
                    path: None,
                    attribute: Attribute::Bytes(0),
                    values,
                });
            }
            found.extend(different);
        }
    }
    Ok(found)
}

struct Image {
    archive: Archive,
    /// Without the digests of layers: these are compared by their files.
    config: Config,
    layers: Vec<Descriptor>,
}

impl Image {
    fn open(file: File) -> Result<Self, CompareError> {
        let archive = Archive::open(file)?;
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "the archive holds no image");
        let top = archive.index().manifests.first().cloned().ok_or_else(missing)?;
        let bytes = archive.document(&top)?;
        let manifest = match Document::read(&bytes, &top.media_type)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(_) => return Err(missing().into()),
        };
        let Manifest { config, layers, .. } = manifest;
        let mut config = Config::read(&archive.document(&config)?)?;
        config.rootfs.diff_ids.clear();
        Ok(Self { archive, config, layers })
    }

    fn layer(&self, layer: &Descriptor) -> Result<Box<dyn Read + '_>, CompareError> {
        let mut front = Vec::new();
        self.archive.blob(layer)?.take(FRONT as u64).read_to_end(&mut front)?;
        let blob = self.archive.blob(layer)?;
        Ok(match Container::detect(&front) {
            Container::Compressed(compression @ (Compression::Gzip | Compression::Zstd)) => {
                decompress(blob, compression)?
            }
            _ => Box::new(io::BufReader::new(blob)),
        })
    }
}
