//! Writes entries below a root, wherever symlinks inside it lead, and never outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, XattrFlags, fsetxattr, mkdirat, openat, openat2,
    statat,
};
use rustix::io::Errno;

use super::archive::Segment;
use super::attributes::{Attributes, Refused, dress, name, stamp_at};
use super::remove::remove_at;
use crate::tree::notes::Beside;

/// Why an entry cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The name is none that an archive may carry.
    #[error("{path:?} is no path inside a root: {reason}")]
    Path {
        /// The name.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A system call failed.
    #[error("{call}({path})")]
    Call {
        /// The call.
        call: &'static str,
        /// The path inside the root.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// An owner that the namespace has no id for.
    #[error("{path} belongs to {uid}:{gid}, and the ids of this namespace end at 65535")]
    Owner {
        /// The path inside the root.
        path: String,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// Writes below one root. Directories get their times in [`RootWriter::finish`], when
/// nothing is written into them any more.
///
/// Device nodes and attributes of the classes `trusted` and `security` become notes, which a
/// [`Tree`](crate::tree::Tree) of the root reads as what they stand for.
#[derive(Debug)]
pub struct RootWriter {
    root: OwnedFd,
    place: PathBuf,
    pub(super) refused: Refused,
    pub(super) beside: Beside,
    /// What a file's bytes pass through.
    buffer: Vec<u8>,
    pub(super) directories: BTreeMap<Vec<u8>, Attributes>,
    /// Directories made because something lies in them.
    pub(super) made: BTreeSet<Vec<u8>>,
    parent: Option<(Vec<u8>, OwnedFd)>,
}

pub(super) fn call(call: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> WriteError {
    let path = String::from_utf8_lossy(path).into_owned();
    move |error| WriteError::Call { call, path, source: error.into() }
}

impl RootWriter {
    /// Writes below `root`, an existing directory.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(root: &Path) -> Result<Self, WriteError> {
        Self::new(root, Refused::Noted)
    }

    /// Writes below `root`, the mounted file system of an image: by root of the host, who makes
    /// real devices and sets every attribute. Nobody else should see it without `nodev`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open_mounted(root: &Path) -> Result<Self, WriteError> {
        Self::new(root, Refused::Set)
    }

    fn new(path: &Path, refused: Refused) -> Result<Self, WriteError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(rustix::fs::CWD, path, flags, Mode::empty())
            .map_err(call("open", path.as_os_str().as_bytes()))?;
        let (directories, made) = (BTreeMap::new(), BTreeSet::new());
        let (place, beside) = (path.to_path_buf(), Beside::default());
        let buffer = vec![0; BUFFER];
        Ok(Self { root, place, refused, beside, buffer, directories, made, parent: None })
    }

    /// Cleans a name as archives spell it (`./usr/bin/`): components without `.`, slashes
    /// and emptiness.
    ///
    /// # Errors
    ///
    /// For absolute names, `..`, NUL and names longer than PATH_MAX.
    pub fn clean(path: &[u8]) -> Result<Vec<u8>, WriteError> {
        let refuse = |reason: &'static str| {
            let path = String::from_utf8_lossy(path).into_owned();
            Err(WriteError::Path { path, reason })
        };
        if path.is_empty() {
            return refuse("it is empty");
        }
        if path.len() > 4095 {
            return refuse("it is longer than PATH_MAX");
        }
        if path.starts_with(b"/") {
            return refuse("it is absolute");
        }
        let mut clean = Vec::with_capacity(path.len());
        for component in path.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return refuse("it climbs with .."),
                _ if component.contains(&0) => return refuse("it contains NUL"),
                _ if component.len() > 255 => {
                    return refuse("a component is longer than 255 bytes");
                }
                _ => {}
            }
            if !clean.is_empty() {
                clean.push(b'/');
            }
            clean.extend_from_slice(component);
        }
        Ok(clean)
    }

    /// Opens the parent of `path` inside the root, making what is missing, and returns it
    /// with the last component.
    pub(super) fn parent<'a>(
        &mut self,
        path: &'a [u8],
    ) -> Result<(BorrowedFd<'_>, &'a [u8]), WriteError> {
        let (directory, last) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        if self.parent.as_ref().is_none_or(|(cached, _)| cached != directory) {
            let fd = self.directory_fd(directory)?;
            self.parent = Some((directory.to_vec(), fd));
        }
        match &self.parent {
            Some((_, fd)) => Ok((fd.as_fd(), last)),
            None => Err(call("open", path)(Errno::NOENT)),
        }
    }

    pub(super) fn directory_fd(&mut self, directory: &[u8]) -> Result<OwnedFd, WriteError> {
        match self.open_directory(directory, OFlags::empty()) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(call("openat2", directory)),
        }
        let (above, last) = match directory.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&directory[..at], &directory[at + 1..]),
            None => (&b""[..], directory),
        };
        let above = self.directory_fd(above)?;
        match mkdirat(&above, name(last), Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                self.made.insert(directory.to_vec());
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                openat(&above, name(last), flags | OFlags::NOFOLLOW, Mode::empty())
                    .map_err(call("openat", directory))
            }
            // Another writer of the same root was faster, or a symlink leads nowhere.
            Err(Errno::EXIST) => {
                self.open_directory(directory, OFlags::empty()).map_err(call("openat2", directory))
            }
            Err(error) => Err(call("mkdir", directory)(error)),
        }
    }

    fn open_directory(&self, path: &[u8], also: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { &b"."[..] } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | also;
        let mut tries = 0;
        loop {
            match openat2(&self.root, name(path), flags, Mode::empty(), ResolveFlags::IN_ROOT) {
                // Any rename on the host while `..` of a symlink is followed.
                Err(Errno::AGAIN) if tries < 128 => tries += 1,
                other => return other,
            }
        }
    }

    /// Removes whatever is at `last` in the way of a new entry.
    pub(super) fn make_way(
        parent: BorrowedFd<'_>,
        last: &[u8],
        path: &[u8],
    ) -> Result<(), WriteError> {
        remove_at(parent, last).map_err(call("remove", path))
    }

    /// Removes whatever is at `path`, directories with all below; nothing being there is fine.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn clear(&mut self, path: &[u8]) -> Result<(), WriteError> {
        let (parent, last) = self.parent(path)?;
        Self::make_way(parent, last, path)
    }

    /// Gives what is at `path` another time (seconds, nanoseconds) of its last change and its last
    /// use; a symbolic link is not followed.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn touch(&mut self, path: &[u8], time: (i64, u32)) -> Result<(), WriteError> {
        let last = if path.is_empty() { &b"."[..] } else { path };
        let (parent, last) = self.parent(last)?;
        stamp_at(parent, last, path, time)
    }

    /// What is at `path`, symlinks in its last component not followed.
    pub(super) fn kind(&mut self, path: &[u8]) -> Result<Option<FileType>, WriteError> {
        let (parent, last) = self.parent(path)?;
        match statat(parent, name(last), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(call("stat", path)(error)),
        }
    }

    /// Marks a directory as hiding what lower layers have at its place.
    pub(super) fn opaque(&mut self, path: &[u8]) -> Result<(), WriteError> {
        let fd = self.directory_fd(path)?;
        fsetxattr(&fd, "user.overlay.opaque", b"y", XattrFlags::empty())
            .map_err(call("fsetxattr", path))
    }

    /// Makes a directory, or gives an existing one these attributes. A symlink to a
    /// directory inside the root is kept, as dpkg and tar do.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn directory(&mut self, path: &[u8], attributes: &Attributes) -> Result<(), WriteError> {
        if !path.is_empty() {
            let (parent, last) = self.parent(path)?;
            match mkdirat(parent, name(last), Mode::from_raw_mode(0o755)) {
                Ok(()) => {}
                Err(Errno::EXIST) => {
                    let stat = statat(parent, name(last), AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(call("stat", path))?;
                    match FileType::from_raw_mode(stat.st_mode) {
                        FileType::Directory => {}
                        FileType::Symlink => return Ok(()),
                        _ => {
                            Self::make_way(parent, last, path)?;
                            mkdirat(parent, name(last), Mode::from_raw_mode(0o755))
                                .map_err(call("mkdir", path))?;
                        }
                    }
                }
                Err(error) => return Err(call("mkdir", path)(error)),
            }
        }
        self.directories.insert(path.to_vec(), attributes.clone());
        Ok(())
    }

    /// Writes a regular file with the bytes of `content`.
    ///
    /// # Errors
    ///
    /// When a call or the reader fails.
    pub fn file(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        content: &mut dyn Read,
    ) -> Result<(), WriteError> {
        let mut file = self.create(path)?;
        pour(content, &mut file, &mut self.buffer).map_err(wrote(path))?;
        dress(&file, path, attributes, self.refused)
    }

    /// Writes a regular file of `size` bytes, the `content` at its segments, holes between.
    pub(super) fn sparse_file(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        content: &mut dyn Read,
        segments: &[Segment],
        size: u64,
    ) -> Result<(), WriteError> {
        let mut file = self.create(path)?;
        for segment in segments {
            file.seek(SeekFrom::Start(segment.offset)).map_err(wrote(path))?;
            let mut part = (&mut *content).take(segment.length);
            pour(&mut part, &mut file, &mut self.buffer).map_err(wrote(path))?;
        }
        file.set_len(size).map_err(wrote(path))?;
        dress(&file, path, attributes, self.refused)
    }

    pub(super) fn create(&mut self, path: &[u8]) -> Result<File, WriteError> {
        let (parent, last) = self.parent(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(parent, name(last), flags, Mode::from_raw_mode(0o600));
        // Mostly nothing is in the way.
        let file = match open() {
            Err(Errno::EXIST) => {
                Self::make_way(parent, last, path)?;
                open()
            }
            other => other,
        };
        file.map(File::from).map_err(call("open", path))
    }

    /// Ends writing without giving directories their attributes: returns them, for
    /// [`RootWriter::adopt`] when several writers filled one root.
    pub fn into_directories(self) -> Vec<(Vec<u8>, Attributes)> {
        self.directories.into_iter().collect()
    }

    /// Takes directories of other writers over, to be given their attributes by
    /// [`RootWriter::finish`]. The first writer's word on a directory counts.
    pub fn adopt(&mut self, directories: impl IntoIterator<Item = (Vec<u8>, Attributes)>) {
        for (path, attributes) in directories {
            self.directories.entry(path).or_insert(attributes);
        }
    }

    /// Gives directories their attributes, the deepest first; those that an entry replaced
    /// later have none.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.parent = None;
        for (path, attributes) in std::mem::take(&mut self.directories).iter().rev() {
            let fd = match self.open_directory(path, OFlags::NOFOLLOW) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                other => other.map_err(call("openat2", path))?,
            };
            dress(&fd, path, attributes, self.refused)?;
        }
        self.beside.write(&self.place).map_err(wrote(b"its notes"))
    }
}

/// How much of a file is read and written at once.
const BUFFER: usize = 128 << 10;

/// Copies all of `content`.
fn pour(content: &mut dyn Read, file: &mut File, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match content.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn wrote(path: &[u8]) -> impl FnOnce(io::Error) -> WriteError {
    let path = String::from_utf8_lossy(path).into_owned();
    move |source| WriteError::Call { call: "write", path, source }
}
