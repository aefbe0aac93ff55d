//! Files whose size nobody tells beforehand: images.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256, Sha512};

use super::partial::{Opened, Partial, State};
use super::{CHUNK, Client, FetchError, local, retry};
use crate::sums::{Algorithm, Sum};

/// How long the whole of it may take.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Computes a checksum of what passes.
enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Box::new(Sha512::new())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => format!("sha256:{}", hex::encode(hasher.finalize())),
            Self::Sha512(hasher) => format!("sha512:{}", hex::encode(hasher.finalize())),
        }
    }
}

/// The checksum of a file.
///
/// # Errors
///
/// When it cannot be read.
pub fn sum_of(path: &Path, algorithm: Algorithm) -> io::Result<Sum> {
    sum(fs_err::File::open(path)?, algorithm)
}

fn sum(mut file: impl Read, algorithm: Algorithm) -> io::Result<Sum> {
    let mut hasher = Hasher::new(algorithm);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return hasher.finish().parse::<Sum>().map_err(io::Error::other),
            count => hasher.update(&chunk[..count]),
        }
    }
}

impl Client {
    /// Fetches `url` into `directory`, where it appears, named after its checksum, only when
    /// that is `expected`, if something is. A file that is there already and has it is kept; while
    /// somebody else fetches it, this waits, and where nothing is expected takes what that one got;
    /// a download that broke off is gone on with, if the server can and still has the same.
    /// `progress` learns how many bytes of how many are here; 0 when nobody knows.
    ///
    /// # Errors
    ///
    /// When it cannot be had, is not what was expected or has more than `limit` bytes.
    pub fn large(
        &self,
        url: &str,
        expected: Option<&Sum>,
        limit: u64,
        directory: &Path,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(PathBuf, Sum), FetchError> {
        let place = |sum: &Sum| directory.join(sum.to_string().replace(':', "-"));
        let found = || {
            let sum = expected?;
            let there = sum_of(&place(sum), sum.algorithm()).is_ok_and(|found| found == *sum);
            there.then(|| {
                crate::store::touch(&place(sum));
                (place(sum), sum.clone())
            })
        };
        if let Some(found) = found() {
            return Ok(found);
        }
        let write_error = |source| FetchError::Write { path: directory.to_owned(), source };
        let wanted = expected.map(Sum::to_string).unwrap_or_default();
        let mut part = loop {
            match Partial::open(directory, url, &wanted).map_err(write_error)? {
                Opened::Part(part) => break part,
                Opened::Whole(file) => {
                    if file.metadata().map_err(write_error)?.len() > limit {
                        return Err(FetchError::TooLarge { url: url.to_owned(), limit });
                    }
                    let sum = sum(file, Algorithm::Sha256).map_err(write_error)?;
                    // Unless somebody has removed it since.
                    if place(&sum).exists() {
                        return Ok((place(&sum), sum));
                    }
                }
            }
        };
        // Whoever had it before us may have fetched the file.
        if let Some(found) = found() {
            part.discard().map_err(write_error)?;
            return Ok(found);
        }
        let algorithm = expected.map_or(Algorithm::Sha256, Sum::algorithm);
        // An earlier try may have been killed when all was there.
        let mut known = part.length() > 0 && expected.is_some();
        loop {
            if !known
                && let Err(error) =
                    self.complete(url, &mut part, expected.is_some(), limit, progress)
            {
                if matches!(error, FetchError::TooLarge { .. }) {
                    part.discard().map_err(write_error)?;
                }
                return Err(error);
            }
            let mut hasher = Hasher::new(algorithm);
            part.read(|bytes| hasher.update(bytes)).map_err(write_error)?;
            let actual = hasher.finish();
            if expected.is_none_or(|_| wanted == actual) {
                let sum = actual.parse::<Sum>();
                let sum = sum.map_err(|error| write_error(io::Error::other(error)))?;
                let to = place(&sum);
                part.name(&to).map_err(|source| FetchError::Write { path: to.clone(), source })?;
                return Ok((to, sum));
            }
            if !std::mem::take(&mut known) && !part.is_joined() {
                part.discard().map_err(write_error)?;
                let (url, what) = (url.to_owned(), "the digest");
                return Err(FetchError::Mismatch { url, what, expected: wanted, actual });
            }
            if part.is_joined() {
                // What an earlier try left was of another file.
                part.restart(State::default()).map_err(write_error)?;
            }
        }
    }

    /// Fetches until all is there. As long as more of it comes there is another try.
    fn complete(
        &self,
        url: &str,
        part: &mut Partial,
        certain: bool,
        limit: u64,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(), FetchError> {
        loop {
            let before = part.length();
            let done = retry::retry(|| self.more(url, part, certain, limit, progress));
            match done {
                Err(FetchError::Io { .. }) if part.length() > before => {}
                done => return done,
            }
        }
    }

    /// Asks for what is missing and takes what comes. Without a checksum (`certain`) nothing is
    /// put behind bytes whose state the server cannot name.
    fn more(
        &self,
        url: &str,
        part: &mut Partial,
        certain: bool,
        limit: u64,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(), FetchError> {
        let read_error = |source| FetchError::Io { url: url.to_owned(), source };
        let directory = part.directory().to_owned();
        let write_error = |source| FetchError::Write { path: directory.clone(), source };
        let mut from = Some(part.length()).filter(|length| *length > 0);
        if local(url).is_some() || (part.validator().is_none() && !certain) {
            from = None;
        }
        let mut body = self.open_from(url, PATIENCE, from, part.validator())?;
        let goes_on = from.is_some() && body.begins == from.unwrap_or_default();
        let same = body.state.validator.as_deref() == part.validator();
        if goes_on && (same || (certain && part.validator().is_none())) {
            part.join();
        } else {
            if body.begins > 0 {
                // A part of another state: the whole, then.
                part.restart(State::default()).map_err(write_error)?;
                body = self.open_from(url, PATIENCE, None, None)?;
            }
            part.restart(std::mem::take(&mut body.state)).map_err(write_error)?;
        }
        let total = body.left.map_or(0, |left| part.length() + left);
        let mut chunk = vec![0; CHUNK];
        loop {
            match body.reader.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    if part.length() + count as u64 > limit {
                        return Err(FetchError::TooLarge { url: url.to_owned(), limit });
                    }
                    part.push(&chunk[..count]).map_err(write_error)?;
                    progress(part.length(), total);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(error)),
            }
        }
    }
}
