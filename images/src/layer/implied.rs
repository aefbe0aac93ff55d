//! Directories that a layer needs and does not name.

use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};

use super::attributes::{Attributes, name};
use super::writer::{RootWriter, WriteError, call};

impl RootWriter {
    /// Gives directories that were made because an entry lies in them, but have no entry of
    /// their own, the owner, mode and time of the same directory in `lowers`, the bottom one
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
        let root = roots.iter().find_map(|root| stat(root, b"."));
        let mut found = vec![(Vec::new(), root)];
        for path in self.made.iter().filter(|path| !self.directories.contains_key(*path)) {
            let there = roots.iter().find_map(|root| stat(root, path));
            found.push((path.clone(), there));
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

/// The attributes of a directory; symlinks on the way are not followed.
fn stat(root: &std::os::fd::OwnedFd, path: &[u8]) -> Option<Attributes> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let fd = openat2(root, name(path), flags, Mode::empty(), resolve).ok()?;
    let stat = statat(&fd, "", AtFlags::EMPTY_PATH).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return None;
    }
    Some(Attributes {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        xattrs: Vec::new(),
    })
}
