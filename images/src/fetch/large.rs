//! Files whose size nobody tells beforehand: images.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256, Sha512};

use super::{CHUNK, Client, FetchError, retry};
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
    let mut file = fs_err::File::open(path)?;
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
    /// that is `expected`, if something is. A file that is there already and has it is kept.
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
        if let Some(sum) = expected
            && sum_of(&place(sum), sum.algorithm()).is_ok_and(|found| found == *sum)
        {
            return Ok((place(sum), sum.clone()));
        }
        retry::retry(|| {
            let (aside, sum) = self.large_once(url, expected, limit, directory, progress)?;
            let to = place(&sum);
            let persisted = aside.persist(&to);
            persisted
                .map_err(|error| FetchError::Write { path: to.clone(), source: error.error })?;
            Ok((to, sum))
        })
    }

    fn large_once(
        &self,
        url: &str,
        expected: Option<&Sum>,
        limit: u64,
        directory: &Path,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(tempfile::NamedTempFile, Sum), FetchError> {
        let read_error = |source| FetchError::Io { url: url.to_owned(), source };
        let write_error = |source| FetchError::Write { path: directory.to_owned(), source };
        let mut aside = tempfile::NamedTempFile::new_in(directory).map_err(write_error)?;
        let (mut body, total) = self.open_for(url, PATIENCE)?;
        let mut hasher = Hasher::new(expected.map_or(Algorithm::Sha256, Sum::algorithm));
        let (mut chunk, mut done) = (vec![0; CHUNK], 0);
        loop {
            match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    done += count as u64;
                    if done > limit {
                        return Err(FetchError::TooLarge { url: url.to_owned(), limit });
                    }
                    hasher.update(&chunk[..count]);
                    aside.write_all(&chunk[..count]).map_err(write_error)?;
                    progress(done, total);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(error)),
            }
        }
        let actual = hasher.finish();
        if let Some(sum) = expected
            && sum.to_string() != actual
        {
            return Err(FetchError::Mismatch {
                url: url.to_owned(),
                what: "the digest",
                expected: sum.to_string(),
                actual,
            });
        }
        let sum = actual.parse::<Sum>().map_err(|error| read_error(io::Error::other(error)))?;
        Ok((aside, sum))
    }
}
