//! A file in the making: one writes it, and whoever else wants it waits.
//!
//! It lies beside its final name and is locked as long as it is written. What a killed process
//! left is written over by the next one.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The ending of its name, behind that of the file that it becomes.
const ENDING: &str = ".part";

/// A file without content whose lock we hold; it goes with the value unless it got its name.
#[derive(Debug)]
pub(super) struct Aside {
    file: File,
    /// Nothing when it has its final name.
    path: Option<PathBuf>,
}

impl Aside {
    /// Opens it for `to`, waiting for whoever else writes it, in this process or another.
    pub(super) fn open(to: &Path) -> io::Result<Self> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(ENDING);
        let path = to.with_file_name(name);
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        loop {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(no_follow).open(&path)?;
            file.lock()?;
            // It may have got its final name, or have been removed, before it was ours.
            let ours = file.metadata()?;
            if fs_err::symlink_metadata(&path).is_ok_and(|there| there.ino() == ours.ino()) {
                return Ok(Self { file, path: Some(path) });
            }
        }
    }

    /// Throws away what was written.
    pub(super) fn empty(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Where the bytes go.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its final name.
    pub(super) fn name(mut self, to: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs_err::rename(path, to)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = fs_err::remove_file(path)
        {
            tracing::debug!(%error, "what was not fetched stays behind");
        }
    }
}
