//! Gives files, directories and links their owners, modes, times and attributes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown, fsetxattr,
    futimens, lsetxattr, utimensat,
};
use rustix::io::Errno;

use super::writer::{WriteError, call};
use crate::tree::notes;

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

impl Attributes {
    /// Those of an entry of a tree.
    pub fn of(entry: &crate::tree::Entry) -> Self {
        Self {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: (entry.mtime, entry.mtime_nsec),
            xattrs: entry.xattrs.clone(),
        }
    }
}

/// Bytes as a name.
pub(super) fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// Where attributes go that the kernel may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Into notes (see `tree/notes.rs`), whether it would refuse them or not.
    Noted,
    /// Where they belong: the file system is the image's own.
    Set,
}

/// Gives an open file or directory its attributes. The owner comes first: changing it clears
/// set-id bits and capabilities.
pub(super) fn dress(
    file: impl AsFd,
    path: &[u8],
    attributes: &Attributes,
    refused: Refused,
) -> Result<(), WriteError> {
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    fchown(&file, Some(uid), Some(gid)).map_err(owner(path, attributes))?;
    for (key, value) in &attributes.xattrs {
        if engines(key) {
            continue;
        }
        let noted = (refused == Refused::Noted).then(|| notes::noted(key)).flatten();
        let set = |key: &[u8]| fsetxattr(&file, name(key), value, XattrFlags::empty());
        match set(noted.as_deref().unwrap_or(key)) {
            // A file system without access lists, or one that names a stranger to the namespace.
            Err(Errno::OPNOTSUPP | Errno::INVAL) if key.starts_with(b"system.posix_acl_") => {
                set(&notes::note(key))
            }
            other => other,
        }
        .map_err(call("fsetxattr", path))?;
    }
    fchmod(&file, Mode::from_raw_mode(attributes.mode)).map_err(call("fchmod", path))?;
    futimens(&file, &times(attributes)).map_err(call("futimens", path))
}

/// Whether only overlayfs itself may set an attribute.
pub(super) fn engines(key: &[u8]) -> bool {
    [&b"user.overlay."[..], b"trusted.overlay."].iter().any(|prefix| key.starts_with(prefix))
}

/// Explains why an owner cannot be given.
fn owner(path: &[u8], attributes: &Attributes) -> impl FnOnce(Errno) -> WriteError {
    let (uid, gid) = (attributes.uid, attributes.gid);
    let path = String::from_utf8_lossy(path).into_owned();
    move |error| match error {
        Errno::INVAL => WriteError::Owner { path, uid, gid },
        error => WriteError::Call { call: "chown", path, source: error.into() },
    }
}

fn times(attributes: &Attributes) -> Timestamps {
    both(attributes.mtime)
}

fn both(time: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: time.0, tv_nsec: time.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets times; what is there is not followed.
pub(super) fn stamp_at(
    parent: BorrowedFd<'_>,
    last: &[u8],
    path: &[u8],
    time: (i64, u32),
) -> Result<(), WriteError> {
    utimensat(parent, name(last), &both(time), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(call("utimensat", path))
}

/// Gives what cannot be opened its owner and time; it is not followed.
pub(super) fn dress_at(
    parent: BorrowedFd<'_>,
    last: &[u8],
    path: &[u8],
    attributes: &Attributes,
) -> Result<(), WriteError> {
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    chownat(parent, name(last), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(owner(path, attributes))?;
    stamp_at(parent, last, path, attributes.mtime)
}

/// Sets the attributes of a link, pipe, socket or device of the image's own file system; it is
/// not followed.
pub(super) fn set_at(
    parent: BorrowedFd<'_>,
    last: &[u8],
    path: &[u8],
    attributes: &Attributes,
) -> Result<(), WriteError> {
    let file = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name(last));
    for (key, value) in attributes.xattrs.iter().filter(|(key, _)| !engines(key)) {
        lsetxattr(&file, name(key), value, XattrFlags::empty()).map_err(call("lsetxattr", path))?;
    }
    Ok(())
}

/// The attributes of what can carry none of users: those that are noted beside the layer.
pub(super) fn beside(attributes: &Attributes) -> Vec<(Vec<u8>, Vec<u8>)> {
    attributes.xattrs.iter().filter(|(key, _)| notes::noted(key).is_some()).cloned().collect()
}
