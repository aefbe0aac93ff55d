//! What the boot loader shims recorded.

use std::io::Read as _;
use std::path::Path;

use goldsmith_images::disk::{BiosBoot, BootFiles};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use crate::error::{Failure, Kind, Result};

/// The largest boot image that is read; GRUB's core has 200 KiB.
const LIMIT: u64 = 4 << 20;

/// Reads GRUB's images for BIOS from the directory that the shims wrote to; nothing when
/// none was installed.
///
/// # Errors
///
/// When something else than a small regular file is there.
pub fn read(directory: &Path) -> Result<BootFiles> {
    let (Some(boot_img), Some(core_img)) =
        (file(directory, "i386-pc/boot.img")?, file(directory, "i386-pc/core.img")?)
    else {
        return Ok(BootFiles { bios: None });
    };
    Ok(BootFiles { bios: Some(BiosBoot { boot_img, core_img }) })
}

fn file(directory: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let failed = |error: std::io::Error| {
        Failure::wrap(Kind::Build, format!("what the boot loader left at {name}"), &error)
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root =
        openat(CWD, directory, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let fd = match openat2(&root, name, flags, Mode::empty(), resolve) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let mut bytes = Vec::new();
    std::fs::File::from(fd).take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(failed(std::io::Error::other("larger than 4 MiB")));
    }
    Ok(Some(bytes))
}
