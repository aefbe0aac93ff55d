//! A disk image as a block device with partitions, and runs of it as devices of their own.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, openat};

use super::PrivilegedError;
use crate::sys::block_device::{
    LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LO_FLAGS_PARTSCAN, add_partition, configure_loop,
    free_loop,
};

/// How often another process may snatch a free device before we give up.
const ATTEMPTS: usize = 64;

/// A loop device over a file, held as long as this value or a mount of it lives.
///
/// The kernel clears the device, partitions included, when the last holder is gone: also
/// when the builder is killed (`LO_FLAGS_AUTOCLEAR`, loop(4)).
#[derive(Debug)]
pub struct LoopDisk {
    device: OwnedFd,
    number: u32,
}

/// A block device's name below `/dev` and its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopNode {
    /// For instance `loop3p1`.
    pub name: String,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl LoopDisk {
    /// Ties a free loop device to `file` and tells the kernel of `partitions`: number,
    /// first byte, length.
    ///
    /// # Errors
    ///
    /// When there is no loop control device, none is free, or the kernel refuses.
    pub fn attach(
        file: &File,
        sector_size: u32,
        partitions: &[(u32, u64, u64)],
    ) -> Result<Self, PrivilegedError> {
        let disk = Self::tie(file, (0, 0), sector_size, LO_FLAGS_PARTSCAN)?;
        for &(partition, start, length) in partitions {
            disk.add(partition, start, length)?;
        }
        Ok(disk)
    }

    /// Ties a free loop device to a run of `file`: the first byte and the number of bytes, both
    /// multiples of the sector size. It has no partitions.
    ///
    /// Whoever writes the same bytes through another device meanwhile is not seen here.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach).
    pub fn attach_run(
        file: &File,
        sector_size: u32,
        run: (u64, u64),
    ) -> Result<Self, PrivilegedError> {
        Self::tie(file, run, sector_size, 0)
    }

    fn tie(
        file: &File,
        run: (u64, u64),
        sector_size: u32,
        flags: u32,
    ) -> Result<Self, PrivilegedError> {
        let control =
            openat(CWD, "/dev/loop-control", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| PrivilegedError::new("open(/dev/loop-control)", error))?;
        for _ in 0..ATTEMPTS {
            let number = free_loop(control.as_fd())
                .map_err(|error| PrivilegedError::new("ioctl(LOOP_CTL_GET_FREE)", error))?;
            let device = open_loop(number)?;
            match configure(&device, file, run, sector_size, flags) {
                Ok(()) => return Ok(Self { device, number }),
                // Somebody else was faster.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => {
                    return Err(PrivilegedError::new(
                        format!("ioctl(LOOP_CONFIGURE) of /dev/loop{number}"),
                        error,
                    ));
                }
            }
        }
        Err(PrivilegedError::new(
            "a free loop device",
            io::Error::from(io::ErrorKind::ResourceBusy),
        ))
    }

    /// Writes back what programs wrote to the whole disk's node and lets the device go.
    ///
    /// # Errors
    ///
    /// When the image file cannot take it.
    pub fn detach(self) -> Result<(), PrivilegedError> {
        rustix::fs::fsync(&self.device).map_err(|error| {
            PrivilegedError::new(format!("fsync(/dev/loop{})", self.number), error)
        })
    }

    fn add(&self, partition: u32, start: u64, length: u64) -> Result<(), PrivilegedError> {
        // A kernel that reads partition tables may have found it by itself.
        if self.read(&format!("loop{}p{partition}", self.number)).is_ok() {
            return Ok(());
        }
        add_partition(self.device.as_fd(), partition, start, length).map_err(|error| {
            let doing =
                format!("ioctl(BLKPG) of partition {partition} on /dev/loop{}", self.number);
            PrivilegedError::new(doing, error)
        })
    }

    /// The whole disk's node.
    ///
    /// # Errors
    ///
    /// When sysfs does not show it.
    pub fn whole(&self) -> Result<LoopNode, PrivilegedError> {
        self.read(&format!("loop{}", self.number))
    }

    /// A partition's node.
    ///
    /// # Errors
    ///
    /// When sysfs does not show it.
    pub fn partition(&self, number: u32) -> Result<LoopNode, PrivilegedError> {
        self.read(&format!("loop{}p{number}", self.number))
    }

    fn read(&self, name: &str) -> Result<LoopNode, PrivilegedError> {
        let path = PathBuf::from("/sys/class/block").join(name).join("dev");
        let wrong = |error: io::Error| PrivilegedError::new(path.display().to_string(), error);
        let text = fs_err::read_to_string(&path).map_err(wrong)?;
        let parts = text.trim().split_once(':');
        let numbers = parts.and_then(|(major, minor)| {
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        });
        let (major, minor) = numbers.ok_or_else(|| wrong(io::ErrorKind::InvalidData.into()))?;
        Ok(LoopNode { name: name.to_owned(), major, minor })
    }
}

impl LoopNode {
    /// Makes the node at `path`, for `owner` alone.
    ///
    /// # Errors
    ///
    /// When mknod(2) or chown(2) fails.
    pub fn make(&self, path: &std::path::Path, owner: (u32, u32)) -> Result<(), PrivilegedError> {
        let wrong =
            |error: io::Error| PrivilegedError::new(format!("mknod({})", path.display()), error);
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, path, FileType::BlockDevice, mode, makedev(self.major, self.minor))
            .map_err(|error| wrong(error.into()))?;
        std::os::unix::fs::lchown(path, Some(owner.0), Some(owner.1)).map_err(wrong)
    }
}

/// Opens a loop device; a container's own `/dev` may lack the node, which is then made aside.
fn open_loop(number: u32) -> Result<OwnedFd, PrivilegedError> {
    let path = format!("/dev/loop{number}");
    openat(CWD, &path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| PrivilegedError::new(format!("open({path})"), error))
}

fn configure(
    device: &OwnedFd,
    file: &File,
    run: (u64, u64),
    sector_size: u32,
    flags: u32,
) -> io::Result<()> {
    let flags = LO_FLAGS_AUTOCLEAR | flags;
    let try_with = |flags| configure_loop(device.as_fd(), file.as_fd(), run, sector_size, flags);
    match try_with(flags | LO_FLAGS_DIRECT_IO) {
        // Not every file system allows O_DIRECT.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => try_with(flags),
        other => other,
    }
}
