//! Notes: what the kernel does not let an ordinary user store, kept with the file all the same.
//!
//! In a user namespace nobody makes device nodes or sets attributes of the classes `trusted` and
//! `security` (file capabilities apart). So that an image has them nevertheless, a layer carries:
//!
//! ```text
//! user.goldsmith.node = "b 8:1"   on an empty regular file: it is that device
//! user.goldsmith.x.NAME           the attribute NAME, whose class is refused
//! .goldsmith-notes                beside the layer's root, a line a path: attributes of links, pipes
//!                                 and sockets, on which the kernel sets none of users
//! ```
//!
//! They are taken down the same whoever runs, root too. A note on a file goes where the file goes:
//! overlayfs copies it up with the file, a file that is removed or replaced has lost it, and one
//! that was written to is no device any more. A line beside the root counts for its own layer's
//! entry only. What archives bring under these names is left out ([`crate::layer::extract`]).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::Kind;

/// Extended attributes by name.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What all attributes of ours begin with.
const OURS: &[u8] = b"user.goldsmith.";
/// The attribute that makes an empty file a device.
pub(crate) const NODE: &str = "user.goldsmith.node";
/// What stands before the name of an attribute that is refused.
const ATTRIBUTE: &[u8] = b"user.goldsmith.x.";
/// The largest file of notes that is read.
const LIMIT: u64 = 1 << 30;

/// The name under which an attribute is noted, for one that the kernel refuses or that the
/// builder's own kernel would obey.
pub(crate) fn noted(name: &[u8]) -> Option<Vec<u8>> {
    let refused = name.starts_with(b"trusted.")
        || name.starts_with(b"security.") && name != b"security.capability";
    refused.then(|| note(name))
}

/// The name under which that attribute is noted.
pub(crate) fn note(name: &[u8]) -> Vec<u8> {
    [ATTRIBUTE, name].concat()
}

/// The text of a device's note.
pub(crate) fn device(block: bool, major: u32, minor: u32) -> String {
    format!("{} {major}:{minor}", if block { 'b' } else { 'c' })
}

/// Takes notes out of a file's attributes: those that are noted join the others, where a real one
/// of that name has precedence, and the device that an empty file is comes back.
pub(crate) fn resolve(xattrs: &mut Xattrs, empty_file: bool) -> Option<Kind> {
    let (ours, mut rest): (Xattrs, Xattrs) =
        std::mem::take(xattrs).into_iter().partition(|(name, _)| name.starts_with(OURS));
    let mut node = None;
    for (name, value) in ours {
        if name == NODE.as_bytes() && empty_file {
            node = parse(&value);
        } else if let Some(real) = name.strip_prefix(ATTRIBUTE) {
            add(&mut rest, real.to_vec(), value);
        }
    }
    rest.sort();
    *xattrs = rest;
    node
}

/// Adds an attribute unless there is one of that name.
pub(super) fn add(xattrs: &mut Xattrs, name: Vec<u8>, value: Vec<u8>) {
    if xattrs.iter().all(|(there, _)| *there != name) {
        xattrs.push((name, value));
    }
}

fn parse(text: &[u8]) -> Option<Kind> {
    let (kind, numbers) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let (major, minor) = numbers.split_once(':')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    match kind {
        "b" => Some(Kind::Block { major, minor }),
        // 0:0 is a whiteout and nothing else.
        "c" if (major, minor) != (0, 0) => Some(Kind::Char { major, minor }),
        _ => None,
    }
}

/// Attributes of links, pipes and sockets, by path.
#[derive(Debug, Default)]
pub(crate) struct Beside(BTreeMap<Vec<u8>, Xattrs>);

impl Beside {
    /// Where the notes of the layer at `root` lie; nothing for a root without a name.
    fn path(root: &Path) -> Option<PathBuf> {
        root.file_name().map(|_| root.with_file_name(".goldsmith-notes"))
    }

    /// Reads the notes of a layer; most have none.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let Some(path) = Self::path(root) else { return Ok(Self::default()) };
        let text = match fs_err::metadata(&path) {
            Ok(data) if data.is_file() && data.len() <= LIMIT => fs_err::read_to_string(&path)?,
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut all = BTreeMap::new();
        for line in text.lines() {
            let (path, xattrs): (String, Vec<(String, String)>) = serde_json::from_str(line)?;
            let bytes = |text| hex::decode(text).map_err(io::Error::other);
            let mut list = Xattrs::new();
            for (name, value) in xattrs {
                list.push((bytes(name)?, bytes(value)?));
            }
            all.insert(bytes(path)?, list);
        }
        Ok(Self(all))
    }

    /// Writes the notes of the layer at `root`, unless there are none.
    pub(crate) fn write(&self, root: &Path) -> io::Result<()> {
        let path = match Self::path(root) {
            Some(path) if !self.0.is_empty() => path,
            _ => return Ok(()),
        };
        let mut text = Vec::new();
        for (path, xattrs) in &self.0 {
            let list: Vec<_> =
                xattrs.iter().map(|(n, v)| (hex::encode(n), hex::encode(v))).collect();
            serde_json::to_writer(&mut text, &(hex::encode(path), list))?;
            text.push(b'\n');
        }
        fs_err::write(path, text)
    }

    /// The attributes noted for a path.
    pub(crate) fn get(&self, path: &[u8]) -> &[(Vec<u8>, Vec<u8>)] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }

    /// Notes attributes for a path, in place of earlier ones.
    pub(crate) fn set(&mut self, path: &[u8], xattrs: Xattrs) {
        if xattrs.is_empty() {
            self.0.remove(path);
        } else {
            self.0.insert(path.to_vec(), xattrs);
        }
    }
}
