//! The log file: raw bytes, always timestamped, appended.

use std::io::Write;
use std::path::Path;

/// A log that raw lines are appended to.
#[derive(Debug)]
pub struct LogFile {
    file: std::io::BufWriter<fs_err::File>,
}

impl LogFile {
    /// Opens `path` for appending.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or created; the error names it.
    pub fn append(path: &Path) -> std::io::Result<Self> {
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: std::io::BufWriter::new(file) })
    }

    /// Appends one line with the time in front.
    pub(super) fn line(&mut self, line: &[u8]) {
        let stamp = super::plain::timestamp();
        let written = self
            .file
            .write_all(stamp.as_bytes())
            .and_then(|()| self.file.write_all(b" | "))
            .and_then(|()| self.file.write_all(line))
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.flush());
        if let Err(error) = written {
            tracing::warn!(%error, "the log file cannot be written");
        }
    }
}
