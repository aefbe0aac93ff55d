//! Digests of a finished image file.

use std::io;
use std::path::Path;

use fs_err::File;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::{DiskSink, copy_raw, len_of};

/// What a hole is hashed from.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// What a finished file hashes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksums {
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// MD5 in lower-case hexadecimal, or nothing when it was not asked for.
    pub md5: Option<String>,
}

/// Reads a file once and hashes it, both digests in parallel. Holes are hashed, not read.
///
/// A sink writes out of order (the qcow2 header last), so digests are taken
/// from the finished file, most of which the page cache still holds.
///
/// # Errors
///
/// The file cannot be read.
pub fn checksums(path: &Path, with_md5: bool) -> io::Result<Checksums> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut hasher = Hasher { sha256: Sha256::new(), md5: with_md5.then(Md5::new) };
    copy_raw(&file, len, &mut hasher)?;
    Ok(Checksums {
        sha256: hex::encode(hasher.sha256.finalize()),
        md5: hasher.md5.map(|m| hex::encode(m.finalize())),
    })
}

/// Takes a file in order.
struct Hasher {
    sha256: Sha256,
    md5: Option<Md5>,
}

impl DiskSink for Hasher {
    fn data(&mut self, _offset: u64, bytes: &[u8]) -> io::Result<()> {
        let Self { sha256, md5 } = self;
        rayon::join(
            || sha256.update(bytes),
            || {
                if let Some(md5) = md5 {
                    md5.update(bytes);
                }
            },
        );
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let mut rest = len;
        while rest > 0 {
            let now = ZEROS.get(..len_of(rest)).unwrap_or(&ZEROS);
            self.data(offset, now)?;
            rest -= super::offset_of(now.len());
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
