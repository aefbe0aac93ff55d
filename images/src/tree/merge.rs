//! Merges layers into one tree, as overlayfs shows them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, major, minor, openat, readlinkat, statat,
};

use super::notes::{self, Beside, Xattrs};
use super::{Entry, Kind, Source, Tree};

/// Why layers cannot be merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A call on a path of a layer failed.
    #[error("{call}({path}) in layer {layer}")]
    Call {
        /// The system call.
        call: &'static str,
        /// The path inside the layer.
        path: String,
        /// The layer's directory.
        layer: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

struct Walk<'a> {
    layer: usize,
    path: &'a Path,
    /// Whether what the layer hides is shown as it is stored.
    raw: bool,
    beside: Beside,
    entries: &'a mut BTreeMap<Vec<u8>, Found>,
}

/// An entry and, for files with several names, which file it is.
struct Found {
    entry: Entry,
    inode: Option<(usize, u64)>,
}

impl Tree {
    /// Merges directories of layers, the bottom one first: whiteouts (character devices
    /// 0:0) and opaque directories are applied, files with several names found.
    ///
    /// # Errors
    ///
    /// When a path cannot be read.
    pub fn merge(layers: &[PathBuf]) -> Result<Self, MergeError> {
        Self::walk(layers, false)
    }

    /// The content of one layer, its whiteouts and the marks of opaque directories included.
    pub(crate) fn layer(path: &Path) -> Result<Self, MergeError> {
        Self::walk(&[path.to_path_buf()], true)
    }

    fn walk(layers: &[PathBuf], raw: bool) -> Result<Self, MergeError> {
        let mut entries = BTreeMap::new();
        let mut roots = Vec::new();
        for (layer, path) in layers.iter().enumerate() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = openat(CWD, path, flags, Mode::empty()).map_err(|error| {
                let layer = path.clone();
                MergeError::Call { call: "open", path: ".".into(), layer, source: error.into() }
            })?;
            let beside = Beside::read(path).map_err(|source| {
                let (layer, path) = (path.clone(), "its notes".into());
                MergeError::Call { call: "read", path, layer, source }
            })?;
            Walk { layer, path, raw, beside, entries: &mut entries }.root(root.as_fd())?;
            roots.push(root);
        }
        let mut first: HashMap<(usize, u64), Vec<u8>> = HashMap::new();
        let mut merged = Vec::with_capacity(entries.len());
        for Found { mut entry, inode } in entries.into_values() {
            if let Some(inode) = inode {
                match first.get(&inode) {
                    Some(path) => entry.kind = Kind::Hardlink(path.clone()),
                    None => {
                        first.insert(inode, entry.path.clone());
                    }
                }
            }
            merged.push(entry);
        }
        Ok(Self { entries: merged, roots: roots.into(), volumes: Vec::new() })
    }
}

impl Walk<'_> {
    fn failed(
        &self,
        call: &'static str,
        path: &[u8],
    ) -> impl FnOnce(rustix::io::Errno) -> MergeError {
        let path = String::from_utf8_lossy(path).into_owned();
        let layer = self.path.to_path_buf();
        move |error| MergeError::Call { call, path, layer, source: error.into() }
    }

    fn root(&mut self, root: BorrowedFd<'_>) -> Result<(), MergeError> {
        let stat = statat(root, "", AtFlags::EMPTY_PATH).map_err(self.failed("stat", b"."))?;
        let mut xattrs = self.xattrs(root, OsStr::new("."), b"")?;
        notes::resolve(&mut xattrs, false);
        if opaque(&xattrs) {
            self.entries.clear();
        }
        let entry = entry(Vec::new(), Kind::Dir, &stat, xattrs, self.raw);
        self.entries.insert(Vec::new(), Found { entry, inode: None });
        // Depth first without recursion: a hostile tree may be very deep. Only directories
        // with unvisited ones below stay open: an honest one may be very wide.
        let own = root.try_clone_to_owned().map_err(|source| MergeError::Call {
            call: "dup",
            path: ".".into(),
            layer: self.path.to_path_buf(),
            source,
        })?;
        let mut waiting: Vec<(Vec<u8>, Rc<OwnedFd>)> = Vec::new();
        let mut visit = Some((Vec::new(), Rc::new(own)));
        while let Some((path, directory)) = visit {
            let below = self.directory(&path, directory.as_fd())?;
            waiting.extend(below.into_iter().map(|path| (path, Rc::clone(&directory))));
            drop(directory);
            visit = match waiting.pop() {
                None => None,
                Some((path, parent)) => {
                    let flags =
                        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                    let fd = openat(&*parent, OsStr::from_bytes(name), flags, Mode::empty())
                        .map_err(self.failed("open", &path))?;
                    Some((path, Rc::new(fd)))
                }
            };
        }
        Ok(())
    }

    /// Takes one directory's entries in; returns its sub-directories.
    fn directory(
        &mut self,
        path: &[u8],
        directory: BorrowedFd<'_>,
    ) -> Result<Vec<Vec<u8>>, MergeError> {
        let mut below = Vec::new();
        let list = Dir::read_from(directory).map_err(self.failed("getdents", path))?;
        for item in list {
            let item = item.map_err(self.failed("getdents", path))?;
            let name = item.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let mut full = path.to_vec();
            if !full.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(name);
            if self.take(&full, OsStr::from_bytes(name), directory)? {
                below.push(full);
            }
        }
        Ok(below)
    }

    /// Takes one entry in; tells whether it is a directory.
    fn take(
        &mut self,
        path: &[u8],
        name: &OsStr,
        parent: BorrowedFd<'_>,
    ) -> Result<bool, MergeError> {
        let stat =
            statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(self.failed("stat", path))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::CharacterDevice && stat.st_rdev == 0 && !self.raw {
            self.remove(path);
            return Ok(false);
        }
        let mut xattrs = self.xattrs(parent, name, path)?;
        let file = kind == FileType::RegularFile;
        let node = notes::resolve(&mut xattrs, file && stat.st_size == 0);
        if !file && kind != FileType::Directory {
            for (name, value) in self.beside.get(path) {
                notes::add(&mut xattrs, name.clone(), value.clone());
            }
            xattrs.sort();
        }
        let directory = kind == FileType::Directory;
        let was_directory =
            self.entries.get(path).is_some_and(|found| found.entry.kind == Kind::Dir);
        if !directory || opaque(&xattrs) || !was_directory {
            self.remove(path);
        }
        let device = (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match (kind, node) {
            (_, Some(node)) => node,
            (FileType::Directory, _) => Kind::Dir,
            (FileType::Symlink, _) => {
                let text =
                    readlinkat(parent, name, Vec::new()).map_err(self.failed("readlink", path))?;
                Kind::Symlink(text.into_bytes())
            }
            (FileType::CharacterDevice, _) => Kind::Char { major: device.0, minor: device.1 },
            (FileType::BlockDevice, _) => Kind::Block { major: device.0, minor: device.1 },
            (FileType::Fifo, _) => Kind::Fifo,
            (FileType::Socket, _) => Kind::Socket,
            _ => Kind::File {
                size: u64::try_from(stat.st_size).unwrap_or_default(),
                source: Source::Layer { layer: self.layer },
            },
        };
        let several = matches!(kind, Kind::File { .. }) && stat.st_nlink > 1;
        let inode = several.then_some((self.layer, stat.st_ino));
        let entry = entry(path.to_vec(), kind, &stat, xattrs, self.raw);
        self.entries.insert(path.to_vec(), Found { entry, inode });
        Ok(directory)
    }

    fn remove(&mut self, path: &[u8]) {
        self.entries.remove(path);
        let mut from = path.to_vec();
        from.push(b'/');
        let mut to = path.to_vec();
        to.push(b'/' + 1);
        let below: Vec<_> = self.entries.range(from..to).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.entries.remove(&path);
        }
    }

    /// Reads the attributes by way of the parent's descriptor: a name that is a symlink is
    /// not followed.
    fn xattrs(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &[u8],
    ) -> Result<Xattrs, MergeError> {
        super::xattrs::of(parent, name).map_err(|(call, error)| self.failed(call, path)(error))
    }
}

pub(crate) const OPAQUE: &[u8] = b"user.overlay.opaque";

/// Whether a directory with these attributes hides what lower layers have at its place.
pub(crate) fn opaque(xattrs: &[(Vec<u8>, Vec<u8>)]) -> bool {
    xattrs.iter().any(|(name, value)| name == OPAQUE && value == b"y")
}

fn entry(path: Vec<u8>, kind: Kind, stat: &Stat, mut xattrs: Xattrs, raw: bool) -> Entry {
    xattrs.retain(|(name, value)| {
        let overlays = name.starts_with(b"user.overlay.") || name.starts_with(b"trusted.overlay.");
        !overlays || raw && name == OPAQUE && value == b"y"
    });
    Entry {
        path,
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: stat.st_mtime,
        mtime_nsec: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        xattrs,
    }
}
