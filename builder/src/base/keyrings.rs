//! Whose signatures of archives are believed.

use std::path::Path;

use goldsmith_images::import::debian::Keyring;

use crate::error::{Failure, Kind, Result};

/// Keyrings of the host that are believed when nobody names one: Debian's and Ubuntu's.
const HOST_KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
];

/// Keys for the image and for the tools container. The first are those of
/// `DIB_APT_KEYRING`, else the host's, else the shipped ones; the second always have
/// Debian's as well, since a keyring may be that of another distribution.
pub(super) fn choose(named: Option<&str>) -> Result<(Keyring, Keyring)> {
    let read = |path: &str| -> Result<Keyring> {
        let bytes = fs_err::read(path)
            .map_err(|error| Failure::wrap(Kind::Configuration, "the archive keyring", &error))?;
        Keyring::read(path, &bytes)
            .map_err(|error| Failure::wrap(Kind::Configuration, "the archive keyring", &error))
    };
    let [debian, ubuntu] = HOST_KEYRINGS;
    let mut usual = if Path::new(debian).exists() {
        read(debian)?
    } else {
        Keyring::shipped()
            .map_err(|error| Failure::wrap(Kind::Internal, "the shipped keyring", &error))?
    };
    if Path::new(ubuntu).exists() {
        usual = usual.and(read(ubuntu)?);
    }
    Ok(match named.filter(|path| !path.is_empty()) {
        Some(path) => (read(path)?, read(path)?.and(usual)),
        None => (usual.clone(), usual),
    })
}
