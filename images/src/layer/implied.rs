//! Directories that a layer needs and does not name.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;

use super::attributes::{Attributes, engines, name};
use super::writer::{RootWriter, WriteError, call};
use crate::tree::{notes, opaque, xattrs};

impl RootWriter {
    /// Gives directories that were made because an entry lies in them, but have no entry of
    /// their own, the owner, mode, time and
    /// attributes of the same directory in `lowers`, the bottom one
    /// first; where there is none they are root's, of the epoch.
    ///
    /// # Errors
    ///
    /// When a layer below cannot be read.
    pub fn inherit(&mut self, lowers: &[PathBuf]) -> Result<(), WriteError> {
        let mut roots = Vec::new();
        for lower in lowers.iter().rev() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            roots.push(
                openat(rustix::fs::CWD, lower, flags, Mode::empty())
                    .map_err(call("open", lower.as_os_str().as_encoded_bytes()))?,
            );
        }
        let mut found = vec![(Vec::new(), below(&roots, b"")?)];
        for path in self.made.iter().filter(|path| !self.directories.contains_key(*path)) {
            found.push((path.clone(), below(&roots, path)?));
        }
        // Inside a namespace the caller is root.
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let usual = Attributes {
            mode: 0o755,
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            ..Attributes::default()
        };
        let usual = |attributes: Option<_>| attributes.unwrap_or_else(|| usual.clone());
        self.adopt(found.into_iter().map(|(path, attributes)| (path, usual(attributes))));
        Ok(())
    }
}

/// What a stack of layers has at a path, the top one first.
fn below(roots: &[OwnedFd], path: &[u8]) -> Result<Option<Attributes>, WriteError> {
    for root in roots {
        match look(root, path)? {
            Seen::There(attributes) => return Ok(Some(attributes)),
            Seen::Hidden => return Ok(None),
            Seen::Absent => {}
        }
    }
    Ok(None)
}

/// What a layer says of a directory.
enum Seen {
    There(Attributes),
    /// Something else is at its place or above it, or a directory above shows nothing of the
    /// layers below.
    Hidden,
    Absent,
}

/// Walks down to a directory; symlinks on the way are not followed.
fn look(root: &OwnedFd, path: &[u8]) -> Result<Seen, WriteError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let here = OsStr::new(".");
    let failed = |(what, error)| call(what, path)(error);
    let mut at = openat2(root, here, flags, Mode::empty(), resolve).map_err(call("open", path))?;
    let mut alone = false;
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        alone |= opaque(&xattrs::of(at.as_fd(), here).map_err(failed)?);
        at = match openat2(&at, name(part), flags, Mode::empty(), resolve) {
            Ok(next) => next,
            Err(Errno::NOENT) if !alone => return Ok(Seen::Absent),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Seen::Hidden),
            Err(error) => return Err(call("open", path)(error)),
        };
    }
    let stat = statat(&at, "", AtFlags::EMPTY_PATH).map_err(call("stat", path))?;
    let mut xattrs = xattrs::of(at.as_fd(), here).map_err(failed)?;
    // Marks of overlayfs are the layer's own; whoever writes sets none.
    xattrs.retain(|(name, _)| !engines(name));
    notes::resolve(&mut xattrs, false);
    Ok(Seen::There(Attributes {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        xattrs,
    }))
}
