//! Image files of any format, as trees.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use goldsmith_images::layer::{self, Growth};
use goldsmith_images::read::container::{Compression, Container, FRONT, decompress};
use goldsmith_images::read::{Format, Medium, Qcow2, Qcow2Error, RawFile, System, SystemError};
use goldsmith_images::tree::Tree;

use crate::error::{Failure, Kind, Result};

/// The largest disk that is unpacked from a compressed file, holes included.
const UNPACKED: u64 = 1 << 40;
/// The most that is read of one directory of an archive: it is kept in memory.
const SELECTED: u64 = 2 << 30;
/// How much of a VMDK file is searched for the name of another one.
const DESCRIPTOR: u64 = 64 << 10;

/// What an image file holds.
#[derive(Debug)]
pub enum Image {
    /// A disk, with the file systems on it.
    Disk(System),
    /// An archive; it is read from its begin for each tree.
    Archive(Archive),
}

/// A tar archive, plain or compressed.
#[derive(Debug)]
pub struct Archive {
    file: fs_err::File,
    compression: Option<Compression>,
}

impl Image {
    /// Opens an image. What must be unpacked or converted first goes to a file in `scratch`
    /// that is gone when this returns.
    ///
    /// # Errors
    ///
    /// When the format is not read here, or the image is damaged.
    pub fn open(path: &Path, scratch: &Path) -> Result<Self> {
        let file = fs_err::File::open(path)
            .map_err(|error| Failure::wrap(Kind::Usage, "the image", &error))?;
        if fs_err::metadata(path).is_ok_and(|data| data.is_dir()) {
            let message = format!("{} is a directory, not an image", path.display());
            return Err(Failure::new(Kind::Usage, message));
        }
        open(file, path, scratch).map_err(|failure| failure.about(path.display()))
    }

    /// The tree in and below a directory; empty for all of it, but for archives.
    ///
    /// # Errors
    ///
    /// When the image is damaged.
    pub fn tree(&mut self, below: &[u8]) -> Result<Tree> {
        match self {
            Self::Disk(system) => system.tree(below).map_err(|error| system_failure(&error)),
            Self::Archive(archive) => archive.tree(below),
        }
    }

    /// That the image does not have `wanted`, with what it has instead.
    pub fn lacks(&self, wanted: &'static str) -> Failure {
        match self {
            Self::Disk(system) => system_failure(&system.nothing(wanted)),
            Self::Archive(_) => {
                Failure::new(Kind::Build, format!("the archive does not hold {wanted}"))
            }
        }
    }
}

fn read_failure(error: &std::io::Error) -> Failure {
    Failure::wrap(Kind::Verification, "the image", error)
}

fn front(file: &mut fs_err::File) -> Result<Vec<u8>> {
    let mut front = Vec::new();
    let read = file.take(FRONT as u64).read_to_end(&mut front);
    read.and_then(|_| file.seek(SeekFrom::Start(0))).map_err(|error| read_failure(&error))?;
    Ok(front)
}

fn open(file: fs_err::File, path: &Path, scratch: &Path) -> Result<Image> {
    match contents(file, path, scratch)? {
        Contents::Disk(disk) => {
            System::find(&disk).map(Image::Disk).map_err(|error| system_failure(&error))
        }
        Contents::Archive(archive) => Ok(Image::Archive(archive)),
    }
}

/// What an image file holds, before anybody looks for a system in it.
#[derive(Debug)]
pub(crate) enum Contents {
    /// The bytes of a disk.
    Disk(Arc<dyn Medium>),
    /// An archive.
    Archive(Archive),
}

/// Opens an image as [`Image::open`] does; its disk may have no system.
pub(crate) fn contents(mut file: fs_err::File, path: &Path, scratch: &Path) -> Result<Contents> {
    let disk: Arc<dyn Medium> = match Container::detect(&front(&mut file)?) {
        Container::Raw | Container::Squashfs => {
            Arc::new(RawFile::new(file).map_err(|error| read_failure(&error))?)
        }
        Container::Qcow2 => {
            let file = RawFile::new(file).map_err(|error| read_failure(&error))?;
            Arc::new(Qcow2::new(file).map_err(|error| qcow2_failure(&error, path))?)
        }
        Container::Foreign(format) => converted(file, path, format, scratch)?,
        Container::Tar => return Ok(Contents::Archive(Archive { file, compression: None })),
        Container::Compressed(compression) => return unpacked(file, compression, scratch),
        Container::Other(what) => {
            return Err(Failure::new(Kind::Usage, format!("this is {what}, not read here")).hint(
                "qemu-img convert -O qcow2 makes a disk image that is read, of one that you trust",
            ));
        }
    };
    Ok(Contents::Disk(disk))
}

/// What a compressed file holds: an archive is read as a stream, a disk is unpacked.
fn unpacked(mut file: fs_err::File, compression: Compression, scratch: &Path) -> Result<Contents> {
    let failed = |error: std::io::Error| {
        let failure = Failure::wrap(Kind::Verification, "the compressed file", &error);
        failure.on_full_disk("unpacking the image", scratch, &["free some, or use another -d"])
    };
    let most = Growth::STORED.of(file.metadata().map_err(failed)?.len());
    let mut start = Vec::new();
    decompress(&mut file, compression)
        .and_then(|stream| stream.take(FRONT as u64).read_to_end(&mut start))
        .map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    match Container::detect(&start) {
        Container::Tar => {
            return Ok(Contents::Archive(Archive { file, compression: Some(compression) }));
        }
        Container::Compressed(_) => {
            let message = "the file is compressed twice";
            return Err(Failure::new(Kind::Usage, message).hint("decompress it once"));
        }
        _ => {}
    }
    let plain = temporary(scratch)?;
    let to = fs_err::File::from_parts(plain.reopen().map_err(failed)?, plain.path());
    let mut stream = decompress(&mut file, compression).map_err(failed)?;
    copy_sparsely(&mut stream, &to, most).map_err(failed)?;
    let plain_file = fs_err::File::open(plain.path()).map_err(failed)?;
    contents(plain_file, plain.path(), scratch)
}

/// A file that goes with the value.
fn temporary(scratch: &Path) -> Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(".goldsmith-").tempfile_in(scratch).map_err(|error| {
        Failure::wrap(Kind::Host, format!("a file in {}", scratch.display()), &error)
    })
}

/// Writes a stream to an empty file, zeros as holes, which cost nothing: of all else there may be
/// `most` bytes.
pub(crate) fn copy_sparsely(
    stream: &mut impl Read,
    mut to: &fs_err::File,
    most: u64,
) -> std::io::Result<()> {
    let mut block = Vec::with_capacity(1 << 16);
    let (mut size, mut stored) = (0, 0);
    loop {
        block.clear();
        stream.take(1 << 16).read_to_end(&mut block)?;
        if block.is_empty() {
            return to.set_len(size);
        }
        size += block.len() as u64;
        if size > UNPACKED {
            return Err(std::io::Error::other("it unpacks to more than a terabyte"));
        }
        if block.iter().all(|&byte| byte == 0) {
            to.seek(SeekFrom::Start(size))?;
            continue;
        }
        stored += block.len() as u64;
        if stored > most {
            return Err(std::io::Error::other(format!(
                "it unpacks to more than {most} bytes that are no holes, too much for its size; if \
                 you trust it, decompress it yourself and take the plain file"
            )));
        }
        to.write_all(&block)?;
    }
}

/// Has the host's qemu-img convert a disk of another program's format.
fn converted(
    mut file: fs_err::File,
    path: &Path,
    format: &'static str,
    scratch: &Path,
) -> Result<Arc<dyn Medium>> {
    if format == "vmdk" {
        stands_alone(&mut file)?;
    }
    let raw = temporary(scratch)?;
    // A relative name could be taken for an option or a protocol.
    let path = std::path::absolute(path).map_err(|error| read_failure(&error))?;
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-q", "-f", format, "-O", "raw"]).arg(&path).arg(raw.path());
    let output = command.output().map_err(|error| {
        let doing = format!("{format} images are read by way of qemu-img, which cannot be run");
        Failure::wrap(Kind::Host, doing, &error)
            .hint("as root: apt-get install qemu-utils, or dnf install qemu-img")
    })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let message = format!("qemu-img cannot convert it from {format}: {}", text.trim());
        return Err(Failure::new(Kind::Verification, message).on_full_disk(
            "converting the image",
            scratch,
            &["free some, or use another -d"],
        ));
    }
    Ok(Arc::new(RawFile::open(raw.path()).map_err(|error| read_failure(&error))?))
}

/// Refuses a VMDK file that names others: a stranger's could name any file of this host.
pub(crate) fn stands_alone(file: &mut fs_err::File) -> Result<()> {
    let mut start = Vec::new();
    file.take(DESCRIPTOR).read_to_end(&mut start).map_err(|error| read_failure(&error))?;
    let parent = b"parentFileNameHint";
    let empty = start.starts_with(b"KDMV") && start.get(12..20).is_none_or(|size| size == [0; 8]);
    if empty || start.windows(parent.len()).any(|window| window == parent) {
        return Err(Failure::new(Kind::Usage, "the VMDK file names other files, which is refused")
            .hint("convert it, if you trust it: qemu-img convert -O qcow2 IMAGE x.qcow2"));
    }
    Ok(())
}

/// Takes out what belongs to the file systems and not to the system.
pub(crate) fn tidy(tree: &mut Tree, system: &System) {
    let lost: Vec<Vec<u8>> = system
        .mounts()
        .iter()
        .map(|(point, _)| format!("{}/lost+found", point.trim_matches('/')))
        .map(|path| path.trim_start_matches('/').as_bytes().to_vec())
        .collect();
    tree.remove_where(|entry| lost.iter().any(|path| entry.is_below(path)));
}

fn qcow2_failure(error: &Qcow2Error, path: &Path) -> Failure {
    let failure = Failure::wrap(Kind::Verification, "the qcow2 file", error);
    match error {
        Qcow2Error::BackingFile | Qcow2Error::ExternalData | Qcow2Error::ExtendedL2 => failure
            .hint(format!(
                "if you trust it, make one file of it: qemu-img convert -O qcow2 {} x.qcow2",
                path.display()
            )),
        Qcow2Error::Encrypted => {
            failure.hint("decrypt it first, by qemu-img convert --object secret,...")
        }
        Qcow2Error::MarkedCorrupt => {
            failure.hint(format!("qemu-img check -r all {}", path.display()))
        }
        _ => failure,
    }
}

pub(crate) fn system_failure(error: &SystemError) -> Failure {
    let SystemError::Nothing { unread, .. } = error else {
        return Failure::wrap(Kind::Verification, "the image", error);
    };
    let failure = Failure::new(Kind::Build, error.to_string());
    match unread {
        Some(Format::Luks) => {
            failure.hint("encrypted file systems cannot be read without their key")
        }
        Some(Format::Lvm) => {
            failure.hint("the physical volume belongs to no volume group that this disk describes")
        }
        Some(format) => failure.hint(format!("{format} is not read: put the system on ext4")),
        None => failure,
    }
}

impl Archive {
    /// The archive's bytes from its begin on, unpacked.
    pub(crate) fn stream(&mut self) -> Result<Box<dyn Read + '_>> {
        self.file.seek(SeekFrom::Start(0)).map_err(|error| read_failure(&error))?;
        Ok(match self.compression {
            None => Box::new(std::io::BufReader::new(&mut self.file)),
            Some(compression) => {
                decompress(&mut self.file, compression).map_err(|error| read_failure(&error))?
            }
        })
    }

    fn tree(&mut self, below: &[u8]) -> Result<Tree> {
        layer::select(self.stream()?, below, SELECTED)
            .map_err(|error| Failure::wrap(Kind::Verification, "the archive", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zeros cost nothing, however many there are; what is stored does.
    #[test]
    fn i11_a_bomb_is_told_from_a_sparse_disk_by_what_is_stored() {
        let copied = |stream: &mut dyn Read, most: u64| {
            let to = fs_err::File::from_parts(tempfile::tempfile().unwrap(), "x");
            copy_sparsely(&mut Box::new(stream), &to, most).map(|()| to.metadata().unwrap())
        };
        let zeros = || std::io::repeat(0).take(1 << 30);
        let data = |count: u64| std::io::repeat(7).take(count);
        let mut honest = data(1 << 16).chain(zeros()).chain(data(1 << 16));
        let made = copied(&mut honest, 2 << 16).unwrap();
        assert_eq!(made.len(), (1 << 30) + (2 << 16));
        let error = copied(&mut data((2 << 16) + 1), 2 << 16).unwrap_err();
        assert!(error.to_string().contains("more than 131072 bytes"), "{error}");
    }
}
