//! What has come of a download that broke off: the next try, or the next build, goes on there.
//!
//! A part has a name that its address and its checksum give, and remembers by what the server
//! knows the state that it is of: another state is fetched anew (RFC 9110, `If-Range`).

use std::fs::File;
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
    /// Where it lies.
    path: PathBuf,
    state: State,
    length: u64,
    /// Whether it was put together from more than one answer.
    joined: bool,
}

/// What [`Partial::open`] comes to.
#[derive(Debug)]
pub(super) enum Opened {
    /// Bytes to go on with, perhaps none.
    Part(Partial),
    /// All of it: somebody else has fetched it while this waited.
    Whole(File),
}

impl Partial {
    /// Opens what has come of `url` in `directory`. While somebody else is at it, this waits. Where
    /// nobody knows what is `expected`, whoever waited takes what the other got.
    pub(super) fn open(directory: &Path, url: &str, expected: &str) -> io::Result<Opened> {
        let name = Digest::of(format!("{expected} {url}")).hex();
        let path = directory.join(format!("{name}.{ENDING}"));
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        loop {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(no_follow).open(&path)?;
            file.lock()?;
            // It may have got its final name, or have been removed, before it was locked.
            let ours = file.metadata()?;
            if !fs_err::symlink_metadata(&path).is_ok_and(|there| there.ino() == ours.ino()) {
                if expected.is_empty() && ours.nlink() > 0 {
                    return Ok(Opened::Whole(file));
                }
                continue;
            }
            let state = fs_err::read(note(&path)).ok();
            let state = state.and_then(|text| serde_json::from_slice(&text).ok());
            let state: State = state.unwrap_or_default();
            let (directory, length) = (directory.to_owned(), ours.len());
            let part = Self { file, directory, path, state, length, joined: false };
            return Ok(Opened::Part(part));
        }
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
        let text = serde_json::to_vec(&state).map_err(io::Error::other)?;
        fs_err::write(note(&self.path), text)?;
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
    pub(super) fn name(self, to: &Path) -> io::Result<()> {
        fs_err::rename(&self.path, to)?;
        forget(&note(&self.path))
    }

    /// Throws the bytes away, for ever.
    pub(super) fn discard(self) -> io::Result<()> {
        forget(&self.path)?;
        forget(&note(&self.path))
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
