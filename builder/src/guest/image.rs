//! What QEMU must be told of an image file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use goldsmith_images::read::container::{Container, FRONT};
use goldsmith_images::read::{Medium, Qcow2, RawFile};

use super::{existing, lend, no_qemu};
use crate::error::{Failure, Kind, Result};

/// How much of a disk is looked at: a GPT of either sector size begins there.
const LOOKED_AT: usize = 1 << 16;

/// An image file to boot from.
#[derive(Debug, Clone)]
pub struct ImageFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// QEMU's name of its format. It is always given: a raw disk whose first bytes a guest
    /// chose could otherwise be taken for a format that names files of the host.
    pub format: &'static str,
    /// Logical sector size of the disk, as its partition table was made for.
    pub sector_size: u32,
    /// Whether a BIOS finds code in the first sector.
    pub bios_code: bool,
}

impl ImageFile {
    /// Looks at an image.
    ///
    /// # Errors
    ///
    /// When it is none that QEMU boots, or nothing on it can be started.
    pub fn open(path: &Path) -> Result<Self> {
        let path = existing(path)?;
        let unread = |error: std::io::Error| {
            Failure::wrap(Kind::Usage, "the image", &error).about(path.display())
        };
        let front = read_front(&path, FRONT).map_err(unread)?;
        let (format, start) = match Container::detect(&front) {
            Container::Raw => ("raw", read_front(&path, LOOKED_AT).map_err(unread)?),
            Container::Qcow2 => {
                let file = RawFile::open(&path).map_err(unread)?;
                let disk = Qcow2::new(file)
                    .map_err(|error| Failure::wrap(Kind::Verification, path.display(), &error))?;
                let mut start = vec![0; LOOKED_AT.min(usize::try_from(disk.size()).unwrap_or(0))];
                disk.read_at(0, &mut start).map_err(unread)?;
                ("qcow2", start)
            }
            Container::Foreign(format) => (format, foreign_start(&path, format)?),
            _ => {
                let message = format!("{} is no disk that a machine boots from", path.display());
                return Err(Failure::new(Kind::Usage, message)
                    .hint("build one: -t qcow2 or -t raw, with the element vm"));
            }
        };
        let sector_size = if start.get(4096..4104) == Some(b"EFI PART") { 4096 } else { 512 };
        let table = start.get(510..512) == Some(&[0x55, 0xaa]);
        let bios_code = start.get(..440).is_some_and(|code| code.iter().any(|&byte| byte != 0));
        if !table {
            let message = format!("{} is a file system without a boot loader", path.display());
            return Err(Failure::new(Kind::Usage, message)
                .hint("build it with the element vm or a block-device element"));
        }
        Ok(Self { path, format, sector_size, bios_code: bios_code && sector_size == 512 })
    }

    /// A larger disk that keeps what the guest writes, in a file without a name.
    pub(super) fn overlay(&self, gib: u32) -> Result<File> {
        let file = tempfile::tempfile()
            .map_err(|error| Failure::wrap(Kind::Host, "a file for the guest's disk", &error))?;
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2", "-F", self.format, "-b"]);
        command.arg(&self.path).arg(lend(&file)?).arg(format!("{gib}G"));
        run(&mut command)?;
        Ok(file)
    }
}

fn read_front(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs_err::File::open(path)?.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first sectors of a disk in a format that only QEMU reads.
fn foreign_start(path: &Path, format: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Failure::wrap(Kind::Host, "the image", &error);
    if format == "vmdk" {
        crate::disk_image::stands_alone(&mut fs_err::File::open(path).map_err(failed)?)?;
    }
    let start = tempfile::NamedTempFile::new().map_err(failed)?;
    let mut command = Command::new("qemu-img");
    command.args(["dd", "-f", format, "-O", "raw", "bs=64k", "count=1"]);
    let path = path.display();
    command.arg(format!("if={path}")).arg(format!("of={}", start.path().display()));
    run(&mut command)?;
    fs_err::read(start.path()).map_err(failed)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|error| no_qemu("qemu-img", &error))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(Kind::Host, format!("qemu-img: {}", text.trim())))
}
