//! What has come of a download that broke off: the next try, or the next build, goes on there.
//!
//! A part has a name that its address and its checksum give, and remembers by what the server
//! knows the state that it is of: another state is fetched anew (RFC 9110, `If-Range`).

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The ending of parts; that of what is remembered of one is longer.
const ENDING: &str = "part";

/// By what a server knows a state of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// A strong `ETag`, else `Last-Modified`.
    pub(super) validator: Option<String>,
}

/// Bytes that have come; writing appends.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    directory: PathBuf,
    /// Where it lies, unless it has no name.
    path: Option<PathBuf>,
    state: State,
    length: u64,
    /// Whether it was put together from more than one answer.
    joined: bool,
}

impl Partial {
    /// Opens what has come of `url` in `directory`. While somebody else is at it, this waits if it
    /// is known what is `expected`; else it is an empty file without a name, for nobody knows
    /// whether both will be given the same.
    pub(super) fn open(directory: &Path, url: &str, expected: &str) -> io::Result<Self> {
        let name = Digest::of(format!("{expected} {url}")).hex();
        let path = directory.join(format!("{name}.{ENDING}"));
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        loop {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(no_follow).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if !expected.is_empty() => file.lock()?,
                Err(TryLockError::WouldBlock) => {
                    let file = tempfile::tempfile_in(directory)?;
                    return Ok(Self::new(file, directory, None, State::default(), 0));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // It may have got its final name, or have been removed, before it was locked.
            let ours = file.metadata()?;
            if !fs_err::symlink_metadata(&path).is_ok_and(|there| there.ino() == ours.ino()) {
                continue;
            }
            let state = fs_err::read(note(&path)).ok();
            let state = state.and_then(|text| serde_json::from_slice(&text).ok());
            let state: State = state.unwrap_or_default();
            return Ok(Self::new(file, directory, Some(path), state, ours.len()));
        }
    }

    fn new(file: File, directory: &Path, path: Option<PathBuf>, state: State, length: u64) -> Self {
        Self { file, directory: directory.to_owned(), path, state, length, joined: false }
    }

    /// The directory that it is written to.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether it was put together from more than one answer.
    pub(super) fn is_joined(&self) -> bool {
        self.joined
    }

    /// Takes note that another answer goes on where the last one ended.
    pub(super) fn join(&mut self) {
        self.joined = true;
    }

    /// How many bytes have come.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// By what the server knows the state that they are of.
    pub(super) fn validator(&self) -> Option<&str> {
        self.state.validator.as_deref()
    }

    /// Begins again, with a state.
    pub(super) fn restart(&mut self, state: State) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.length, self.joined) = (0, false);
        if let Some(path) = &self.path {
            let text = serde_json::to_vec(&state).map_err(io::Error::other)?;
            fs_err::write(note(path), text)?;
        }
        self.state = state;
        Ok(())
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Hands the bytes out, from the first one.
    pub(super) fn read(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut chunk = vec![0; super::CHUNK];
        loop {
            match self.file.read(&mut chunk)? {
                0 => return Ok(()),
                count => each(&chunk[..count]),
            }
        }
    }

    /// Gives the file its name.
    pub(super) fn name(mut self, to: &Path) -> io::Result<()> {
        let Some(path) = self.path.take() else {
            let mut copy = tempfile::NamedTempFile::new_in(&self.directory)?;
            self.file.seek(SeekFrom::Start(0))?;
            io::copy(&mut self.file, &mut copy)?;
            return copy.persist(to).map(drop).map_err(|error| error.error);
        };
        fs_err::rename(&path, to)?;
        forget(&note(&path))
    }

    /// Throws the bytes away, for ever.
    pub(super) fn discard(self) -> io::Result<()> {
        let Some(path) = self.path else { return Ok(()) };
        forget(&path)?;
        forget(&note(&path))
    }
}

/// Where the state of a part is remembered.
fn note(path: &Path) -> PathBuf {
    path.with_extension("part.json")
}

fn forget(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
