//! Deterministic tar archives (POSIX pax).

use std::io::{self, Write};

use tar::{Builder, EntryType, Header};

use super::{Entry, Kind, Tree, sparse};

/// The longest name and link target that a ustar header holds.
const NAME: usize = 100;

impl Tree {
    /// Writes the tree as a tar archive: sorted, numeric owners, extended attributes as
    /// `SCHILY.xattr` records. Equal trees give equal bytes. Sockets are left out, as
    /// every tar does.
    ///
    /// # Errors
    ///
    /// When the writer fails or a file cannot be read.
    pub fn write_tar(&self, writer: impl Write) -> io::Result<()> {
        let mut builder = Builder::new(writer);
        self.append_all(&mut builder, b"./")?;
        builder.into_inner()?.flush()
    }

    /// Writes an image of appc's (ACI): the tree below `rootfs`, behind the manifest if there
    /// is one, which gets the time `epoch`.
    ///
    /// # Errors
    ///
    /// As [`write_tar`](Self::write_tar).
    pub fn write_aci(
        &self,
        manifest: Option<&[u8]>,
        epoch: i64,
        writer: impl Write,
    ) -> io::Result<()> {
        let mut builder = Builder::new(writer);
        if let Some(manifest) = manifest {
            let mut header = Header::new_ustar();
            header.set_path("manifest")?;
            header.set_mode(0o644);
            header.set_mtime(u64::try_from(epoch).unwrap_or(0));
            header.set_size(manifest.len() as u64);
            header.set_entry_type(EntryType::Regular);
            header.set_cksum();
            builder.append(&header, manifest)?;
        }
        self.append_all(&mut builder, b"rootfs/")?;
        builder.into_inner()?.flush()
    }

    /// Appends every entry, its name behind `top`.
    fn append_all(&self, builder: &mut Builder<impl Write>, top: &[u8]) -> io::Result<()> {
        let entries = self.entries.iter().filter(|entry| entry.kind != Kind::Socket);
        entries.into_iter().try_for_each(|entry| self.append(builder, top, entry))
    }

    fn append(
        &self,
        builder: &mut Builder<impl Write>,
        top: &[u8],
        entry: &Entry,
    ) -> io::Result<()> {
        let mut name = top.to_vec();
        name.extend_from_slice(&entry.path);
        if entry.kind == Kind::Dir && !entry.path.is_empty() {
            name.push(b'/');
        }
        let mut records: Vec<(String, Vec<u8>)> = Vec::new();
        let content = self.content(entry)?;
        let holes = content.as_ref().and_then(sparse::segments);
        let mut header = if holes.is_some() { Header::new_gnu() } else { Header::new_ustar() };
        header.set_mode(entry.mode);
        header.set_uid(entry.uid.into());
        header.set_gid(entry.gid.into());
        if let Ok(seconds) = u64::try_from(entry.mtime) {
            header.set_mtime(seconds);
        }
        if entry.mtime < 0 || entry.mtime_nsec != 0 {
            records.push(("mtime".into(), time(entry.mtime, entry.mtime_nsec).into_bytes()));
        }
        put(&mut header.as_old_mut().name, &name, "path", &mut records);
        let size = fill(&mut header, top, entry, &mut records)?;
        header.set_size(size);
        for (xattr, value) in &entry.xattrs {
            let key = format!("SCHILY.xattr.{}", String::from_utf8_lossy(xattr));
            records.push((key, value.clone()));
        }
        let map = match (&holes, &entry.kind) {
            (Some(holes), Kind::File { size, .. }) => sparse::describe(&mut header, holes, *size),
            _ => Vec::new(),
        };
        header.set_cksum();
        if !records.is_empty() {
            let pairs = records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            builder.append_pax_extensions(pairs)?;
        }
        if let (Some(holes), Some(content)) = (holes, content) {
            let size = header.entry_size()?;
            let stored = Exact { inner: sparse::stored(content, holes), left: size };
            // The map belongs to the header: its length is not part of the size.
            let out = builder.get_mut();
            out.write_all(header.as_bytes())?;
            out.write_all(&map)?;
            let copied = io::copy(&mut { stored }, out)?;
            let padding = usize::try_from(copied.wrapping_neg() % 512).unwrap_or(0);
            return out.write_all(&[0; 512][..padding]);
        }
        if size == 0 {
            return builder.append(&header, io::empty());
        }
        let mut exact = Exact { inner: self.open(entry)?, left: size };
        builder.append(&header, &mut exact)
    }
}

/// Sets type, link and device numbers; returns how many bytes follow.
fn fill(
    header: &mut Header,
    top: &[u8],
    entry: &Entry,
    records: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<u64> {
    let mut link = |header: &mut Header, kind: EntryType, to: &[u8]| {
        header.set_entry_type(kind);
        put(&mut header.as_old_mut().linkname, to, "linkpath", records);
    };
    match &entry.kind {
        Kind::File { size, .. } => {
            header.set_entry_type(EntryType::Regular);
            return Ok(*size);
        }
        Kind::Dir => header.set_entry_type(EntryType::Directory),
        Kind::Symlink(to) => link(header, EntryType::Symlink, to),
        Kind::Hardlink(to) => {
            let mut target = top.to_vec();
            target.extend_from_slice(to);
            link(header, EntryType::Link, &target);
        }
        Kind::Char { major, minor } => {
            header.set_entry_type(EntryType::Char);
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
        }
        Kind::Block { major, minor } => {
            header.set_entry_type(EntryType::Block);
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
        }
        Kind::Fifo | Kind::Socket => header.set_entry_type(EntryType::Fifo),
    }
    Ok(0)
}

/// A time as pax writes it: nanoseconds count onwards, also before 1970.
fn time(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        (0.., nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
        (before, nanoseconds) => {
            format!("-{}.{:09}", before.unsigned_abs() - 1, 1_000_000_000 - nanoseconds)
        }
    }
}

/// Puts a name into its header field, and into a pax record when it is too long.
fn put(field: &mut [u8; NAME], value: &[u8], key: &str, records: &mut Vec<(String, Vec<u8>)>) {
    let fits = value.len().min(NAME);
    field[..fits].copy_from_slice(&value[..fits]);
    if value.len() > NAME {
        records.push((key.to_owned(), value.to_vec()));
    }
}

/// Passes exactly `left` bytes on: a file that shrank meanwhile is an error, not a gap.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: io::Read> io::Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}
