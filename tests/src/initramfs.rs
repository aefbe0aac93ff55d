//! What an initial RAM disk holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The files of an initial RAM disk that gzip compressed.
#[derive(Debug)]
pub struct Initramfs {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    mtime: u32,
    content: Vec<u8>,
}

impl Initramfs {
    /// Reads one, in the format that cpio calls newc.
    ///
    /// # Errors
    ///
    /// When it is none, or gzip is missing.
    pub fn read(path: &Path) -> Result<Self> {
        let output = Command::new("gzip").arg("-dc").arg(path).output().context("gzip")?;
        ensure!(output.status.success(), "{}: {:?}", path.display(), output.status);
        let bytes = output.stdout;
        let mut entries = BTreeMap::new();
        let mut at = 0;
        loop {
            let header = bytes.get(at..at + 110).context("the archive ends early")?;
            ensure!(header.starts_with(b"070701"), "no header at {at}");
            let header = std::str::from_utf8(header)?;
            let field = |index: usize| u32::from_str_radix(&header[6 + 8 * index..][..8], 16);
            let (name_size, size) = (field(11)? as usize, field(6)? as usize);
            let name = bytes.get(at + 110..at + 110 + name_size - 1).context("a name is cut")?;
            let name = String::from_utf8_lossy(name).trim_start_matches("./").to_owned();
            let start = (at + 110 + name_size).next_multiple_of(4);
            let content = bytes.get(start..start + size).context("a file is cut")?.to_vec();
            if name == "TRAILER!!!" {
                return Ok(Self { entries });
            }
            at = (start + size).next_multiple_of(4);
            entries.insert(name, Entry { mode: field(1)?, mtime: field(5)?, content });
        }
    }

    /// Whether there is a file or a link whose path ends so.
    pub fn has(&self, ending: &str) -> bool {
        self.entries.iter().any(|(name, entry)| {
            entry.mode & 0o170_000 != 0o040_000 && format!("/{name}").ends_with(ending)
        })
    }

    /// The text of the file at this path.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn text(&self, path: &str) -> Result<String> {
        let entry = self.entries.get(path).with_context(|| format!("no {path}"))?;
        Ok(String::from_utf8_lossy(&entry.content).into_owned())
    }

    /// The latest time of all entries, in seconds since the epoch.
    pub fn latest(&self) -> u32 {
        self.entries.values().map(|entry| entry.mtime).max().unwrap_or_default()
    }
}
