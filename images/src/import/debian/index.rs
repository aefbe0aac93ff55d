//! Package indices.

use std::io::{self, Read};
use std::path::Path;

use super::{DebianError, Release};
use crate::fetch::{Client, Expect, FetchError};

/// The largest index that is unpacked; main has 60 MB.
const LIMIT: u64 = 1 << 30;

/// Fetches an index by its digest, unpacks it and returns its text.
pub(super) fn fetch(
    release: &Release,
    component: &str,
    arch: &str,
    client: &Client,
    downloads: &Path,
) -> Result<String, DebianError> {
    let base = format!("{component}/binary-{arch}/Packages");
    let suite = &release.suite;
    let failed = |path: &str, source: io::Error| DebianError::Index {
        path: path.to_owned(),
        suite: suite.name.clone(),
        source,
    };
    for ending in [".xz", ".gz", ""] {
        let path = format!("{base}{ending}");
        let found = release.indices.iter().find(|(listed, ..)| *listed == path);
        let Some((_, digest, size)) = found else { continue };
        let expect = Expect { digest: *digest, size: *size };
        let to = downloads.join(format!("{}.index", digest.hex()));
        let dists = format!("{}/dists/{}", suite.mirror, suite.name);
        // By digest first: a mirror that is being updated has both old and new there.
        let by_hash = format!("{dists}/{component}/binary-{arch}/by-hash/SHA256/{}", digest.hex());
        match client.file(&by_hash, &expect, &to) {
            Ok(()) => {}
            Err(FetchError::Status { .. } | FetchError::Mismatch { .. }) => {
                client.file(&format!("{dists}/{path}"), &expect, &to)?;
            }
            Err(error) => return Err(error.into()),
        }
        let file = fs_err::File::open(&to).map_err(|error| failed(&path, error))?;
        let mut reader: Box<dyn Read> = match ending {
            ".xz" => Box::new(crate::xz::unpack(file).map_err(|error| failed(&path, error))?),
            ".gz" => Box::new(flate2::read::GzDecoder::new(file)),
            _ => Box::new(file),
        };
        let mut text = String::new();
        (&mut reader)
            .take(LIMIT)
            .read_to_string(&mut text)
            .map_err(|error| failed(&path, error))?;
        return Ok(text);
    }
    let missing = io::Error::new(io::ErrorKind::NotFound, "the release file does not list it");
    Err(failed(&base, missing))
}
