//! Reads extended attributes as they are stored, notes and marks of overlayfs included.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

use super::notes::Xattrs;

/// The largest value, and the largest list of names (xattr(7): 64 KiB on any file system).
const LIMIT: usize = 64 << 10;

/// The attributes of `name` in the directory `parent`, which may be open as a path only; a name
/// that is a symlink is not followed. A failure says which call it was.
pub(crate) fn of(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Xattrs, (&'static str, Errno)> {
    let file = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name);
    let listing = |error| ("llistxattr", error);
    let mut names = Vec::with_capacity(256);
    match llistxattr(&file, rustix::buffer::spare_capacity(&mut names)) {
        Ok(_) => {}
        Err(Errno::RANGE) => {
            names.reserve(LIMIT);
            llistxattr(&file, rustix::buffer::spare_capacity(&mut names)).map_err(listing)?;
        }
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(error) => return Err(listing(error)),
    }
    let mut found = Vec::new();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if name == b"security.selinux" && labels_are_the_hosts() {
            continue;
        }
        let mut value = Vec::with_capacity(LIMIT);
        lgetxattr(&file, OsStr::from_bytes(name), rustix::buffer::spare_capacity(&mut value))
            .map_err(|error| ("lgetxattr", error))?;
        value.shrink_to_fit();
        found.push((name.to_vec(), value));
    }
    found.sort();
    Ok(found)
}

/// Whether the running kernel has SELinux: then every file carries a label of the builder's
/// policy. Without it only hooks write labels, and those are the image's.
fn labels_are_the_hosts() -> bool {
    static HAS_SELINUX: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        fs_err::read_to_string("/proc/filesystems")
            .is_ok_and(|list| list.lines().any(|line| line.ends_with("\tselinuxfs")))
    });
    *HAS_SELINUX
}
