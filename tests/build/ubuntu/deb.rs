//! Packages in the form that Ubuntu gives them.

use std::io::{Cursor, Read as _};

use anyhow::{Context, Result, bail, ensure};

/// A package: its control file, and its two archives, uncompressed.
pub(super) struct Deb {
    pub(super) control: String,
    scripts: Vec<u8>,
    data: Vec<u8>,
}

/// An entry of an archive: path, what a link leads to, content.
pub(super) type Entry<'a> = (&'a str, Option<&'a str>, &'a str);

impl Deb {
    /// Reads a package as Debian publishes it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let (mut scripts, mut data) = (Vec::new(), Vec::new());
        let mut rest = bytes.strip_prefix(b"!<arch>\n").context("no ar archive")?;
        while let Some((header, after)) = rest.split_at_checked(60) {
            let field = |from: usize, to: usize| std::str::from_utf8(&header[from..to]);
            let size: usize = field(48, 58)?.trim_end().parse()?;
            let content = after.get(..size).context("a short member")?;
            let name = field(0, 16)?.trim_end().trim_end_matches('/');
            let plain = match name.rsplit_once('.') {
                _ if name == "debian-binary" => Vec::new(),
                Some((_, "xz")) => {
                    let mut plain = Vec::new();
                    liblzma::read::XzDecoder::new(content).read_to_end(&mut plain)?;
                    plain
                }
                Some((_, "zst")) => zstd::decode_all(content)?,
                _ => bail!("the compression of {name}"),
            };
            match name.split('.').next() {
                Some("control") => scripts = plain,
                Some("data") => data = plain,
                _ => {}
            }
            rest = after.get(size + size % 2..).unwrap_or_default();
        }
        let control = member(&scripts, "control")?;
        Ok(Self { control, scripts, data })
    }

    /// Makes a package of a control file and nothing else.
    pub(super) fn new(control: &str) -> Result<Self> {
        Self::with(control, &[])
    }

    /// Makes a package of a control file and scripts.
    pub(super) fn with(control: &str, scripts: &[Entry<'_>]) -> Result<Self> {
        // dpkg's audit misses a list of sums, be it an empty one.
        let own = [("./control", None, control), ("./md5sums", None, "")];
        let scripts = archive(&[&own[..], scripts].concat())?;
        Ok(Self { control: control.to_owned(), scripts, data: archive(&[])? })
    }

    /// Adds entries to what the package installs; directories end with a slash.
    pub(super) fn add(&mut self, entries: &[Entry<'_>]) -> Result<()> {
        let end = self.data.chunks(512).rposition(|block| block.iter().any(|&byte| byte != 0));
        self.data.truncate(end.map_or(0, |block| (block + 1) * 512));
        self.data.extend(archive(entries)?);
        Ok(())
    }

    /// A field of the control file.
    pub(super) fn field(&self, name: &str) -> Result<&str> {
        let line =
            self.control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.with_context(|| format!("no {name}"))
    }

    /// The package's file, both archives compressed by Zstandard.
    pub(super) fn pack(&self) -> Result<Vec<u8>> {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, content) in [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.zst", zstd::encode_all(self.scripts.as_slice(), 1)?),
            ("data.tar.zst", zstd::encode_all(self.data.as_slice(), 1)?),
        ] {
            let header = format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                100_644,
                content.len()
            );
            ensure!(header.len() == 60, "{header}");
            bytes.extend(header.as_bytes());
            bytes.extend(&content);
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        Ok(bytes)
    }
}

/// A file of an archive.
fn member(tar: &[u8], name: &str) -> Result<String> {
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        if entry.path()?.file_name().is_some_and(|file| file == name) {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(text);
        }
    }
    bail!("no {name}")
}

fn archive(entries: &[Entry<'_>]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, link, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        match link {
            Some(to) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, to)?;
            }
            None => {
                if path.ends_with('/') {
                    header.set_entry_type(tar::EntryType::Directory);
                }
                builder.append_data(&mut header, path, Cursor::new(content))?;
            }
        }
    }
    Ok(builder.into_inner()?)
}
