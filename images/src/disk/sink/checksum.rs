//! Digests of a finished image file.

use std::io::{self, Read};
use std::path::Path;

use fs_err::File;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Bytes read at a time.
const STEP: usize = 1 << 20;

/// What a finished file hashes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// MD5 in lower-case hexadecimal, or nothing when it was not asked for.
    pub md5: Option<String>,
    /// Length of the file.
    pub len: u64,
}

/// Reads a file once and hashes it, both digests in parallel.
///
/// A sink writes out of order (the qcow2 header last), so digests are taken
/// from the finished file, most of which the page cache still holds.
///
/// # Errors
///
/// The file cannot be read.
pub fn checksums(path: &Path, with_md5: bool) -> io::Result<Checksums> {
    let mut file = File::open(path)?;
    let mut sha256 = Sha256::new();
    let mut md5 = with_md5.then(Md5::new);
    let mut len = 0;
    let mut buffer = vec![0; STEP];
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let bytes = buffer.get(..n).unwrap_or_default();
        rayon::join(
            || sha256.update(bytes),
            || {
                if let Some(md5) = &mut md5 {
                    md5.update(bytes);
                }
            },
        );
        len += super::offset_of(n);
    }
    Ok(Checksums {
        sha256: hex::encode(sha256.finalize()),
        md5: md5.map(|m| hex::encode(m.finalize())),
        len,
    })
}
