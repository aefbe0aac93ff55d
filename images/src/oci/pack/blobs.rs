//! Writes the members of an archive, those with a digest as name included.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use tar::{EntryType, Header};

use crate::digest::{Digest, Digesting};
use crate::oci::codec::Encoder;
use crate::oci::{Compression, Descriptor};

/// An archive in the making.
pub(super) struct Blobs {
    file: BufWriter<File>,
    epoch: u64,
}

const BLOCK: u64 = 512;

impl Blobs {
    pub(super) fn new(file: File, epoch: i64) -> Self {
        let epoch = u64::try_from(epoch).unwrap_or_default();
        Self { file: BufWriter::with_capacity(1 << 20, file), epoch }
    }

    /// Writes a blob that `fill` makes: returns its digest, its size, and the digest of what
    /// was compressed.
    pub(super) fn stream(
        &mut self,
        compression: Compression,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<(Digest, u64, Digest)> {
        let at = self.file.stream_position()?;
        self.file.write_all(&[0; 512])?;
        let encoder = Encoder::new(compression, Digesting::new(&mut self.file))?;
        let mut writer = Digesting::new(encoder);
        fill(&mut writer)?;
        let (encoder, diff_id) = writer.finish();
        let inner = encoder.finish()?;
        let size = inner.passed();
        let (_, digest) = inner.finish();
        self.pad(size)?;
        let end = self.file.stream_position()?;
        self.file.seek(SeekFrom::Start(at))?;
        let header = self.header(&format!("blobs/sha256/{}", digest.hex()), size)?;
        self.file.write_all(header.as_bytes())?;
        self.file.seek(SeekFrom::Start(end))?;
        Ok((digest, size, diff_id))
    }

    /// Writes a blob.
    pub(super) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> io::Result<Descriptor> {
        let descriptor = Descriptor::of(media_type, bytes);
        self.file(&format!("blobs/sha256/{}", descriptor.digest.hex()), bytes)?;
        Ok(descriptor)
    }

    /// Writes a file.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let header = self.header(name, bytes.len() as u64)?;
        self.file.write_all(header.as_bytes())?;
        self.file.write_all(bytes)?;
        self.pad(bytes.len() as u64)
    }

    /// Ends the archive.
    pub(super) fn end(mut self) -> io::Result<File> {
        self.file.write_all(&[0; 1024])?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// Writes the directories of blobs: tools that unpack the archive as an ordinary user give
    /// those that they make themselves to root.
    pub(super) fn directories(&mut self) -> io::Result<()> {
        for name in ["blobs/", "blobs/sha256/"] {
            let header = self.header(name, 0)?;
            self.file.write_all(header.as_bytes())?;
        }
        Ok(())
    }

    /// A name with a slash at its end is a directory's.
    fn header(&self, name: &str, size: u64) -> io::Result<Header> {
        let directory = name.ends_with('/');
        let mut header = Header::new_gnu();
        header.set_entry_type(if directory { EntryType::Directory } else { EntryType::Regular });
        header.set_path(name)?;
        header.set_mode(if directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.epoch);
        header.set_size(size);
        header.set_cksum();
        Ok(header)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = usize::try_from(size.wrapping_neg() % BLOCK).unwrap_or(0);
        self.file.write_all(&[0; 512][..padding])
    }
}
