//! ioctl(2) on loop devices and block devices: <linux/loop.h>, <linux/blkpg.h>, <linux/fs.h>.
#![expect(unsafe_code, reason = "no crate we use wraps these calls")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const BLKPG: libc::Ioctl = 0x1269;
const FITRIM: libc::Ioctl = 0xC018_5879;

/// The device lets go of its file when nobody holds it any more.
pub(crate) const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// The device may have partitions; they go with it.
pub(crate) const LO_FLAGS_PARTSCAN: u32 = 8;
/// The page cache is not filled twice.
pub(crate) const LO_FLAGS_DIRECT_IO: u32 = 16;

const BLKPG_ADD_PARTITION: i32 = 1;

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `struct blkpg_partition`.
#[repr(C)]
struct Partition {
    start: i64,
    length: i64,
    number: i32,
    devname: [u8; 64],
    volname: [u8; 64],
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct PartitionCall {
    op: i32,
    flags: i32,
    datalen: i32,
    data: *const Partition,
}

/// `struct fstrim_range`.
#[repr(C)]
struct TrimRange {
    start: u64,
    len: u64,
    minlen: u64,
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The number of a loop device that was free a moment ago.
pub(crate) fn free_loop(control: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: the call takes no argument and returns a number.
    let number = checked(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })?;
    u32::try_from(number).map_err(io::Error::other)
}

/// Ties a loop device to bytes of `file`: the first, and how many; 0 is as many as there are.
pub(crate) fn configure_loop(
    device: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    (offset, sizelimit): (u64, u64),
    block_size: u32,
    flags: u32,
) -> io::Result<()> {
    let fd = u32::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
    let info = LoopInfo {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset,
        sizelimit,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let config = LoopConfig { fd, block_size, info, reserved: [0; 8] };
    // SAFETY: `config` is laid out as the kernel's struct loop_config and outlives the call.
    checked(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) })?;
    Ok(())
}

/// Tells the kernel of a partition, in bytes.
pub(crate) fn add_partition(
    device: BorrowedFd<'_>,
    number: u32,
    start: u64,
    length: u64,
) -> io::Result<()> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    let start = i64::try_from(start).map_err(io::Error::other)?;
    let length = i64::try_from(length).map_err(io::Error::other)?;
    let partition = Partition { start, length, number, devname: [0; 64], volname: [0; 64] };
    let datalen = i32::try_from(size_of::<Partition>()).map_err(io::Error::other)?;
    let call =
        PartitionCall { op: BLKPG_ADD_PARTITION, flags: 0, datalen, data: &raw const partition };
    // SAFETY: both structures are laid out as <linux/blkpg.h> says and outlive the call.
    checked(unsafe { libc::ioctl(device.as_raw_fd(), BLKPG, &raw const call) })?;
    Ok(())
}

/// Gives unused blocks of the file system back to what lies below it.
pub(crate) fn trim(mounted: BorrowedFd<'_>) -> io::Result<()> {
    let mut range = TrimRange { start: 0, len: u64::MAX, minlen: 0 };
    // SAFETY: `range` is the kernel's struct fstrim_range, writable, and outlives the call.
    checked(unsafe { libc::ioctl(mounted.as_raw_fd(), FITRIM, &raw mut range) })?;
    Ok(())
}
