//! Content digests.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A text that names no digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DigestError {
    /// Only sha256 is known.
    #[error("{text:?} is no digest: it must be sha256: and 64 lower-case hexadecimal digits")]
    Malformed {
        /// The text.
        text: String,
    },
}

/// The sha256 of some bytes, written `sha256:HEX` (OCI image specification, descriptors).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digests `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digits without the algorithm: safe as a file name.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads 64 hexadecimal digits, as checksum files have them.
    ///
    /// # Errors
    ///
    /// When they are not that.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed { text: text.to_owned() };
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(malformed());
        }
        let mut bytes = [0; 32];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(malformed()),
        }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.strip_prefix("sha256:") {
            Some(digits) => Self::from_hex(digits),
            None => Err(DigestError::Malformed { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digests what passes through, in either direction.
#[derive(Debug)]
pub struct Digesting<T> {
    inner: T,
    hasher: Sha256,
    bytes: u64,
}

impl<T> Digesting<T> {
    /// Wraps a reader or writer.
    pub fn new(inner: T) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// How many bytes passed.
    pub fn passed(&self) -> u64 {
        self.bytes
    }

    /// Returns what was wrapped and the digest of what passed.
    pub fn finish(self) -> (T, Digest) {
        (self.inner, Digest(self.hasher.finalize().into()))
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.note(&buffer[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.note(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_a_digest() {
        let good = Digest::of(b"").to_string();
        assert_eq!(good, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(good.parse::<Digest>(), Ok(Digest::of(b"")));
        for bad in [
            "",
            "sha256:",
            "sha256:../../x",
            "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            &good.to_uppercase(),
            &good[..70],
            &format!("{good}0"),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn both_directions_are_digested() {
        let mut writer = Digesting::new(Vec::new());
        writer.write_all(b"abc").unwrap();
        let (bytes, written) = writer.finish();
        let mut reader = Digesting::new(&bytes[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!(reader.passed(), 3);
        assert_eq!(reader.finish().1, written);
        assert_eq!(written, Digest::of(b"abc"));
    }
}
