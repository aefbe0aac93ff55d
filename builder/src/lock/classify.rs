//! Sorts what hooks fetched: release files, packages, repositories, the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use super::document::{Document, Fetch, Repository};
use super::tape::body_path;

/// How git's protocol over HTTP ends addresses.
const PACK: &str = "/git-upload-pack";
/// The same for what is asked first.
const REFS: &str = "/info/refs?service=git-upload-pack";
/// The largest body that is searched for commits, in bytes.
const LIMIT: u64 = 64 << 20;

/// Lays answers down in the lists of a document; `sent` are bodies of requests.
pub(super) fn sort(document: &mut Document, answers: Vec<Fetch>, bodies: &Path) {
    let mut repositories: BTreeMap<String, Vec<Fetch>> = BTreeMap::new();
    for mut fetch in answers {
        let file = file_name(&fetch.url);
        if let Some(url) = repository(&fetch.url) {
            repositories.entry(url.to_owned()).or_default().push(fetch);
        } else if let Some((name, version)) = package(&file).filter(|_| fetch.status == 200) {
            (fetch.name, fetch.version) = (Some(name), Some(version));
            document.package.push(fetch);
        } else if is_index(&fetch.url, &file) {
            document.release.push(fetch);
        } else {
            document.url.push(fetch);
        }
    }
    document.git = repositories
        .into_iter()
        .map(|(url, request)| Repository { commits: commits(&request, bodies), url, request })
        .collect();
}

/// The repository that an address of git's protocol is about.
pub(super) fn repository(url: &str) -> Option<&str> {
    url.strip_suffix(PACK).or_else(|| url.strip_suffix(REFS))
}

fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Name and version of a Debian or rpm package, by the name of its file.
fn package(file: &str) -> Option<(String, String)> {
    let decoded = file
        .replace("%3a", ":")
        .replace("%3A", ":")
        .replace("%2b", "+")
        .replace("%2B", "+")
        .replace("%7e", "~")
        .replace("%7E", "~");
    if let Some(stem) = decoded.strip_suffix(".deb").or_else(|| decoded.strip_suffix(".udeb")) {
        let mut parts = stem.splitn(3, '_');
        return Some((parts.next()?.to_owned(), parts.next()?.to_owned()));
    }
    let (stem, _arch) = decoded.strip_suffix(".rpm")?.rsplit_once('.')?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    Some((name.to_owned(), format!("{version}-{release}")))
}

/// Whether a file tells which packages an archive has.
fn is_index(url: &str, file: &str) -> bool {
    let plain = file.split('.').next().unwrap_or_default();
    (url.contains("/dists/") || matches!(plain, "InRelease" | "Release" | "Packages"))
        || url.contains("/repodata/")
}

/// The commits that requests of git's protocol want, in either version of it.
fn commits(requests: &[Fetch], bodies: &Path) -> Vec<String> {
    let mut found = BTreeSet::new();
    for body in requests.iter().filter_map(|one| one.sent) {
        let Some(bytes) = read(&body_path(bodies, &body)) else { continue };
        for at in bytes.windows(5).enumerate().filter_map(|(at, w)| (w == b"want ").then_some(at)) {
            let digits: String = bytes[at + 5..].iter().take(40).map(|b| char::from(*b)).collect();
            if digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                found.insert(digits);
            }
        }
    }
    found.into_iter().collect()
}

/// A body, unpacked: git packs long requests.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(path).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).take(LIMIT).read_to_end(&mut plain).ok()?;
        bytes = plain;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_packages_tell_name_and_version() {
        for (file, expected) in [
            ("hello_2.10-3_amd64.deb", Some(("hello", "2.10-3"))),
            ("login_1%3a4.13%2bdfsg1-1_amd64.deb", Some(("login", "1:4.13+dfsg1-1"))),
            ("bash-completion-2.16-1.fc42.noarch.rpm", Some(("bash-completion", "2.16-1.fc42"))),
            ("x.tar.gz", None),
            ("odd.deb", None),
        ] {
            let found = package(file);
            let found = found.as_ref().map(|(name, version)| (name.as_str(), version.as_str()));
            assert_eq!(found, expected, "{file}");
        }
        assert!(is_index("http://h/debian/dists/x/InRelease", "InRelease"));
        assert!(is_index("http://h/flat/Packages.gz", "Packages.gz"));
        assert!(!is_index("http://h/Release-notes", "Release-notes"));
        assert_eq!(
            repository("https://h/r.git/info/refs?service=git-upload-pack"),
            Some("https://h/r.git")
        );
        assert_eq!(repository("https://h/r.git/git-upload-pack"), Some("https://h/r.git"));
        assert_eq!(repository("https://h/r.git"), None);
    }
}
