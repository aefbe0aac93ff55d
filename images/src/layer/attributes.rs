//! Gives files, directories and links their owners, modes, times and attributes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown, fsetxattr,
    futimens, utimensat,
};

use super::writer::{WriteError, call};

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

/// Gives an open file or directory its attributes. The owner comes first: changing it clears
/// set-id bits and capabilities.
pub(super) fn dress(
    file: impl AsFd,
    path: &[u8],
    attributes: &Attributes,
) -> Result<(), WriteError> {
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    fchown(&file, Some(uid), Some(gid)).map_err(call("fchown", path))?;
    for (key, value) in &attributes.xattrs {
        // Only a file system of the builder's own may carry these.
        let ours = [&b"user.overlay."[..], b"trusted.", b"security.selinux"];
        if !ours.iter().any(|prefix| key.starts_with(prefix)) {
            fsetxattr(&file, name(key), value, XattrFlags::empty())
                .map_err(call("fsetxattr", path))?;
        }
    }
    fchmod(&file, Mode::from_raw_mode(attributes.mode)).map_err(call("fchmod", path))?;
    futimens(&file, &times(attributes)).map_err(call("futimens", path))
}

fn times(attributes: &Attributes) -> Timestamps {
    let time = Timespec { tv_sec: attributes.mtime.0, tv_nsec: attributes.mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
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
        .map_err(call("lchown", path))?;
    utimensat(parent, name(last), &times(attributes), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(call("utimensat", path))
}
