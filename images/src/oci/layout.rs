//! Image layouts as directories (OCI image specification, image-layout.md).

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

use super::archive::verified;
use super::{Archive, ArchiveError, BlobReader, Descriptor, Index, MANIFEST_LIMIT};

/// What every layout says of itself.
pub(super) const MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A layout whose blobs can be read in any order. Links in it are not followed.
#[derive(Debug)]
pub struct LayoutDirectory {
    root: OwnedFd,
    index: Index,
}

impl LayoutDirectory {
    /// Opens the layout in `directory`.
    ///
    /// # Errors
    ///
    /// When the directory is none.
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        use std::io::Read as _;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, directory, flags, Mode::empty()).map_err(io::Error::from)?;
        file(&root, "oci-layout")?;
        let mut bytes = Vec::new();
        file(&root, "index.json")?.0.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes)?;
        let index = Index::read(&bytes)?;
        Ok(Self { root, index })
    }

    /// What the layout holds.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The bytes of a blob, to be read once; not verified.
    ///
    /// # Errors
    ///
    /// When it is not there in the size that `descriptor` says.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ArchiveError> {
        let digest = descriptor.digest;
        let (file, length) = file(&self.root, &format!("blobs/sha256/{}", digest.hex()))?;
        if length != descriptor.size {
            return Err(ArchiveError::Mismatch { digest });
        }
        Ok(BlobReader::new(file, 0, length))
    }

    /// A document, verified.
    ///
    /// # Errors
    ///
    /// When it is missing, too long, or not what `descriptor` says.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ArchiveError> {
        verified(descriptor, || self.blob(descriptor))
    }
}

/// A regular file of a layout, and its length.
fn file(root: &OwnedFd, name: &str) -> Result<(File, u64), ArchiveError> {
    let missing = || ArchiveError::Missing { what: name.to_owned() };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let fd = match openat2(root, name, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(missing()),
        opened => opened.map_err(io::Error::from)?,
    };
    let stat = fstat(&fd).map_err(io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(missing());
    }
    Ok((fd.into(), u64::try_from(stat.st_size).unwrap_or_default()))
}

impl Archive {
    /// Writes the archive's content as a layout into `directory`, which is empty, and brings it
    /// to the disk.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn lay_out(&self, directory: &Path) -> Result<(), ArchiveError> {
        let blobs = directory.join("blobs/sha256");
        fs_err::create_dir_all(&blobs)?;
        for (digest, mut content) in self.blobs()? {
            let mut file = fs_err::File::create_new(blobs.join(digest.hex()))?;
            io::copy(&mut content, &mut file)?;
            finish(&file)?;
        }
        let index = serde_json::to_vec(self.index()).map_err(io::Error::from)?;
        for (name, bytes) in [("index.json", index.as_slice()), ("oci-layout", MARK)] {
            let mut file = fs_err::File::create_new(directory.join(name))?;
            file.write_all(bytes)?;
            finish(&file)?;
        }
        let mode: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        for place in [blobs.as_path(), &directory.join("blobs"), directory] {
            fs_err::set_permissions(place, mode.clone())?;
            fs_err::File::open(place)?.sync_all()?;
        }
        Ok(())
    }
}

/// Readable by everybody, as images are, whatever the caller's umask.
fn finish(file: &fs_err::File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.sync_all()
}
