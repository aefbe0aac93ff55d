//! mount_setattr(2).
#![expect(unsafe_code, reason = "rustix has no wrapper for this call")]

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// `struct mount_attr` of <linux/mount.h>.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NODEV: u64 = 4;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// Makes a mount and all mounts below it read-only; other flags stay as they are.
pub(crate) fn read_only(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    let attr = MountAttr { attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    set(mount, &attr, libc::AT_RECURSIVE)
}

/// Shows a detached mount's files as owned by the ids that `namespace` maps theirs to; device
/// nodes in it cannot be opened: an image may have brought some.
pub(crate) fn map_ids(mount: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let userns_fd = u64::try_from(namespace.as_raw_fd()).map_err(|_negative| Errno::BADF)?;
    let attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NODEV;
    let attr = MountAttr { attr_set, attr_clr: 0, propagation: 0, userns_fd };
    set(mount, &attr, 0)
}

fn set(mount: BorrowedFd<'_>, attr: &MountAttr, flags: libc::c_int) -> Result<(), Errno> {
    // SAFETY: the path is a NUL-terminated literal, `attr` outlives the call and its size is
    // passed with it, the descriptors are borrowed for as long.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            &raw const *attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Errno::from_raw_os_error(code)
}
