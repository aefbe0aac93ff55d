//! Writes entries below a root, wherever symlinks inside it lead, and never outside.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
    chmodat, chownat, fchmod, fchown, futimens, linkat, lsetxattr, mkdirat, mknodat, openat,
    openat2, statat, symlinkat, unlinkat, utimensat,
};

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
}

/// Metadata of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission and set-id bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Writes below one root. Directories get their times in [`RootWriter::finish`], when
/// nothing is written into them any more.
#[derive(Debug)]
pub struct RootWriter {
    root: OwnedFd,
    directories: Vec<(Vec<u8>, Attributes)>,
    parent: Option<(Vec<u8>, OwnedFd)>,
}

fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

fn call(call: &'static str, path: &[u8]) -> impl FnOnce(rustix::io::Errno) -> WriteError {
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
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(rustix::fs::CWD, root, flags, Mode::empty())
            .map_err(call("open", root.as_os_str().as_bytes()))?;
        Ok(Self { root, directories: Vec::new(), parent: None })
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
            None => Err(call("open", path)(rustix::io::Errno::NOENT)),
        }
    }

    fn directory_fd(&self, directory: &[u8]) -> Result<OwnedFd, WriteError> {
        let path = if directory.is_empty() { &b"."[..] } else { directory };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || openat2(&self.root, name(path), flags, Mode::empty(), ResolveFlags::IN_ROOT);
        match open() {
            Err(rustix::io::Errno::NOENT) => {}
            other => return other.map_err(call("openat2", directory)),
        }
        let (above, last) = match directory.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&directory[..at], &directory[at + 1..]),
            None => (&b""[..], directory),
        };
        let above = self.directory_fd(above)?;
        mkdirat(&above, name(last), Mode::from_raw_mode(0o755))
            .map_err(call("mkdir", directory))?;
        open().map_err(call("openat2", directory))
    }

    /// Removes whatever is at `last` in the way of a new entry.
    fn make_way(parent: BorrowedFd<'_>, last: &[u8], path: &[u8]) -> Result<(), WriteError> {
        match unlinkat(parent, name(last), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(rustix::io::Errno::ISDIR) => {
                let below = Path::new("/proc/self/fd")
                    .join(parent.as_raw_fd().to_string())
                    .join(name(last));
                fs_err::remove_dir_all(below).map_err(|source| WriteError::Call {
                    call: "rmdir",
                    path: String::from_utf8_lossy(path).into_owned(),
                    source,
                })
            }
            Err(error) => Err(call("unlink", path)(error)),
        }
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
                Err(rustix::io::Errno::EXIST) => {
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
        self.directories.push((path.to_vec(), attributes.clone()));
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
        let (parent, last) = self.parent(path)?;
        Self::make_way(parent, last, path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(parent, name(last), flags, Mode::from_raw_mode(0o600))
            .map_err(call("open", path))?;
        let mut file = File::from(fd);
        io::copy(content, &mut file).map_err(|source| WriteError::Call {
            call: "write",
            path: String::from_utf8_lossy(path).into_owned(),
            source,
        })?;
        fchown(&file, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))
            .map_err(call("fchown", path))?;
        // After the owner: changing it clears set-id bits and capabilities.
        fchmod(&file, Mode::from_raw_mode(attributes.mode)).map_err(call("fchmod", path))?;
        set_xattrs(parent, last, path, attributes)?;
        futimens(&file, &times(attributes)).map_err(call("futimens", path))
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn symlink(
        &mut self,
        path: &[u8],
        to: &[u8],
        attributes: &Attributes,
    ) -> Result<(), WriteError> {
        let (parent, last) = self.parent(path)?;
        Self::make_way(parent, last, path)?;
        symlinkat(name(to), parent, name(last)).map_err(call("symlink", path))?;
        own(parent, last, path, attributes)?;
        utimensat(parent, name(last), &times(attributes), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(call("utimensat", path))
    }

    /// Makes `path` another name of the file at `to`, an earlier entry.
    ///
    /// # Errors
    ///
    /// When a call fails; a link to anything outside the root cannot be expressed.
    pub fn hard_link(&mut self, path: &[u8], to: &[u8]) -> Result<(), WriteError> {
        let (above, target) = match to.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&to[..at], &to[at + 1..]),
            None => (&b""[..], to),
        };
        let from = self.directory_fd(above)?;
        let stat =
            statat(&from, name(target), AtFlags::SYMLINK_NOFOLLOW).map_err(call("stat", to))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(call("link", path)(rustix::io::Errno::PERM));
        }
        let (parent, last) = self.parent(path)?;
        if path != to {
            Self::make_way(parent, last, path)?;
            linkat(&from, name(target), parent, name(last), AtFlags::empty())
                .map_err(call("link", path))?;
        }
        Ok(())
    }

    /// Makes a device node, pipe or whiteout. Tells whether the kernel allowed it: device
    /// nodes are refused in a user namespace, but for the whiteout 0:0.
    ///
    /// # Errors
    ///
    /// When a call fails for another reason.
    pub fn node(
        &mut self,
        path: &[u8],
        kind: FileType,
        device: u64,
        attributes: &Attributes,
    ) -> Result<bool, WriteError> {
        let (parent, last) = self.parent(path)?;
        Self::make_way(parent, last, path)?;
        match mknodat(parent, name(last), kind, Mode::from_raw_mode(0o600), device) {
            Ok(()) => {}
            Err(rustix::io::Errno::PERM) => return Ok(false),
            Err(error) => return Err(call("mknod", path)(error)),
        }
        own(parent, last, path, attributes)?;
        chmodat(parent, name(last), Mode::from_raw_mode(attributes.mode), AtFlags::empty())
            .map_err(call("chmod", path))?;
        utimensat(parent, name(last), &times(attributes), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(call("utimensat", path))?;
        Ok(true)
    }

    /// Ends writing without giving directories their attributes: returns them, for
    /// [`RootWriter::adopt`] when several writers filled one root.
    pub fn into_directories(mut self) -> Vec<(Vec<u8>, Attributes)> {
        std::mem::take(&mut self.directories)
    }

    /// Takes directories of other writers over, to be given their attributes by
    /// [`RootWriter::finish`]. The first word on a directory counts.
    pub fn adopt(&mut self, directories: impl IntoIterator<Item = (Vec<u8>, Attributes)>) {
        let mut known: std::collections::BTreeMap<Vec<u8>, Attributes> =
            std::mem::take(&mut self.directories).into_iter().collect();
        for (path, attributes) in directories {
            known.entry(path).or_insert(attributes);
        }
        self.directories = known.into_iter().collect();
    }

    /// Gives directories their attributes, the deepest first.
    ///
    /// # Errors
    ///
    /// When a call fails.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.parent = None;
        for (path, attributes) in std::mem::take(&mut self.directories).iter().rev() {
            let fd = self.directory_fd(path)?;
            fchown(&fd, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))
                .map_err(call("fchown", path))?;
            fchmod(&fd, Mode::from_raw_mode(attributes.mode)).map_err(call("fchmod", path))?;
            set_xattrs(fd.as_fd(), b".", path, attributes)?;
            futimens(&fd, &times(attributes)).map_err(call("futimens", path))?;
        }
        Ok(())
    }
}

fn times(attributes: &Attributes) -> Timestamps {
    let time = Timespec { tv_sec: attributes.mtime.0, tv_nsec: attributes.mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn own(
    parent: BorrowedFd<'_>,
    last: &[u8],
    path: &[u8],
    attributes: &Attributes,
) -> Result<(), WriteError> {
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    chownat(parent, name(last), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(call("lchown", path))
}

/// Attributes that only a file system of the builder's own may carry are left out.
fn set_xattrs(
    parent: BorrowedFd<'_>,
    last: &[u8],
    path: &[u8],
    attributes: &Attributes,
) -> Result<(), WriteError> {
    let file = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name(last));
    for (key, value) in &attributes.xattrs {
        let ours = [&b"user.overlay."[..], b"trusted.", b"security.selinux"];
        if ours.iter().any(|prefix| key.starts_with(prefix)) {
            continue;
        }
        lsetxattr(&file, name(key), value, XattrFlags::empty()).map_err(call("lsetxattr", path))?;
    }
    Ok(())
}
