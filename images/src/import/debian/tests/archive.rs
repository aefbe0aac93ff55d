//! From the mirror's directory to packages on the disk.

use std::path::Path;

use super::super::{
    ArchiveSpec, DebianError, Keyring, Progress, Resolution, download, releases, resolve,
};
use super::fixture::{Archive, NOW};
use crate::fetch::{Client, FetchError, Proxies};

struct Silent;

impl Progress for Silent {
    fn bytes(&self, _done: u64, _total: u64) {}
}

const PACKAGES: &[(&str, &str, &str)] = &[
    ("apt", "2.6", "Depends: libc6 (>= 2.36)"),
    ("bash", "5.2", "Essential: yes\nPre-Depends: libc6"),
    ("libc6", "2.36", "Priority: optional"),
    ("login", "4.13", "Priority: required"),
    ("vim", "9.0", "Priority: optional"),
];

fn plan(
    spec: &ArchiveSpec,
    keyring: &Keyring,
    downloads: &Path,
) -> Result<Resolution, DebianError> {
    let client = Client::new(&Proxies::default()).unwrap();
    let releases = releases(spec, keyring, &client, NOW)?;
    resolve(spec, releases, &client, downloads)
}

fn bootstrap(archive: &Archive, downloads: &Path) -> Result<Vec<String>, DebianError> {
    let resolution = plan(&archive.spec(), &archive.key.keyring(), downloads)?;
    let client = Client::new(&Proxies::default()).unwrap();
    let paths = download(&resolution, &client, downloads, &Silent)?;
    Ok(paths.iter().map(|path| fs_err::read_to_string(path).unwrap()).collect())
}

/// No file but verified ones: their names are their digests.
#[track_caller]
fn nothing_unverified(downloads: &Path) {
    for entry in fs_err::read_dir(downloads).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let digest = crate::digest::Digest::of(fs_err::read(entry.path()).unwrap()).hex();
        assert_eq!(name.split('.').next().unwrap(), digest);
    }
}

#[test]
fn a_good_archive_gives_its_packages() {
    let archive = Archive::new(PACKAGES);
    let downloads = tempfile::tempdir().unwrap();
    let expected = ["apt 2.6", "bash 5.2", "libc6 2.36", "login 4.13"];
    assert_eq!(bootstrap(&archive, downloads.path()).unwrap(), expected);
    nothing_unverified(downloads.path());
    // The packages are here now; only the release file is asked for again.
    fs_err::remove_dir_all(archive.root.path().join("pool")).unwrap();
    fs_err::remove_dir_all(archive.by_hash()).unwrap();
    assert_eq!(bootstrap(&archive, downloads.path()).unwrap(), expected);
}

#[test]
fn packages_that_are_not_what_was_signed_do_not_appear() {
    let archive = Archive::new(PACKAGES);
    let package = archive.root.path().join("pool/login_4.13");
    for (content, what) in [("login 4.14", "the digest"), ("login", "the size"), ("", "the size")] {
        let downloads = tempfile::tempdir().unwrap();
        fs_err::write(&package, content).unwrap();
        match bootstrap(&archive, downloads.path()) {
            Err(DebianError::Fetch(FetchError::Mismatch { url, what: found, .. })) => {
                assert!(url.ends_with("/pool/login_4.13"), "{url}");
                assert_eq!(found, what);
            }
            other => panic!("{other:?}"),
        }
        nothing_unverified(downloads.path());
    }
    fs_err::remove_file(&package).unwrap();
    let downloads = tempfile::tempdir().unwrap();
    assert!(matches!(
        bootstrap(&archive, downloads.path()),
        Err(DebianError::Fetch(FetchError::Status { status: 404, .. }))
    ));
    nothing_unverified(downloads.path());
}

#[test]
fn either_copy_of_the_index_will_do_but_a_wrong_one_will_not() {
    let archive = Archive::new(PACKAGES);
    let by_hash = archive.by_hash();
    let copy = fs_err::read_dir(&by_hash).unwrap().next().unwrap().unwrap().path();
    let good = fs_err::read(&copy).unwrap();
    let plans = |archive: &Archive| {
        let downloads = tempfile::tempdir().unwrap();
        let planned = plan(&archive.spec(), &archive.key.keyring(), downloads.path());
        nothing_unverified(downloads.path());
        planned
    };
    // A mirror in the middle of an update: the plain name is newer than the release file.
    fs_err::write(archive.plain_index(), "newer").unwrap();
    plans(&archive).unwrap();
    // One without copies by digest, and one whose copy is damaged.
    fs_err::write(archive.plain_index(), &good).unwrap();
    fs_err::write(&copy, "damaged").unwrap();
    plans(&archive).unwrap();
    fs_err::remove_file(&copy).unwrap();
    plans(&archive).unwrap();
    let mut flipped = good.clone();
    flipped[12] ^= 1;
    for lie in [&flipped, &good[..good.len() - 1]] {
        fs_err::write(archive.plain_index(), lie).unwrap();
        match plans(&archive) {
            Err(DebianError::Fetch(FetchError::Mismatch { url, .. })) => {
                assert!(url.ends_with("main/binary-amd64/Packages.gz"), "{url}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_index_that_cannot_be_unpacked_is_named() {
    let archive = Archive::new(PACKAGES);
    archive.publish_as(b"signed, but not gzip");
    let downloads = tempfile::tempdir().unwrap();
    let error = bootstrap(&archive, downloads.path()).unwrap_err();
    let message = "main/binary-amd64/Packages.gz of trial cannot be read";
    assert_eq!(error.to_string(), message);

    let archive = Archive::new(PACKAGES);
    let mut spec = archive.spec();
    spec.arch = "s390x".into();
    let error = plan(&spec, &archive.key.keyring(), downloads.path()).unwrap_err();
    assert_eq!(error.to_string(), "main/binary-s390x/Packages of trial cannot be read");
}

#[test]
fn an_unbelievable_release_file_stops_everything() {
    let archive = Archive::new(PACKAGES);
    let downloads = tempfile::tempdir().unwrap();
    let good = fs_err::read_to_string(archive.release()).unwrap();
    let other = Archive::new(PACKAGES);
    let stolen = fs_err::read_to_string(other.release()).unwrap();
    for lie in [&good[..good.len() / 2], &good.replace("trial", "other"), &stolen, ""] {
        fs_err::write(archive.release(), lie).unwrap();
        let error = bootstrap(&archive, downloads.path()).unwrap_err();
        assert!(matches!(error, DebianError::Release(_)), "{error:?}");
    }
    fs_err::remove_file(archive.release()).unwrap();
    let error = bootstrap(&archive, downloads.path()).unwrap_err();
    let url = format!("{}/dists/trial/InRelease", archive.suite().mirror);
    assert_eq!(error.to_string(), format!("{url}: the server answers 404"));
    assert_eq!(fs_err::read_dir(downloads.path()).unwrap().count(), 0);
}

#[test]
fn the_highest_version_of_all_suites_wins() {
    let main = Archive::new(PACKAGES);
    let security =
        Archive::new(&[("login", "4.13+deb12u1", "Priority: required"), ("bash", "5.1", "")]);
    let keys = [main.key.binary(), security.key.binary()].concat();
    let keyring = Keyring::read("both", &keys).unwrap();
    let mut versions = Vec::new();
    for suites in [[&main, &security], [&security, &main]] {
        let downloads = tempfile::tempdir().unwrap();
        let spec =
            ArchiveSpec { suites: suites.iter().map(|one| one.suite()).collect(), ..main.spec() };
        let resolution = plan(&spec, &keyring, downloads.path()).unwrap();
        let named = resolution.packages.into_iter();
        versions.push(named.map(|one| format!("{} {}", one.name, one.version)).collect::<Vec<_>>());
    }
    assert_eq!(versions[0], ["apt 2.6", "bash 5.2", "libc6 2.36", "login 4.13+deb12u1"]);
    assert_eq!(versions[0], versions[1]);
}

#[test]
fn packages_may_not_climb_out_of_the_archive() {
    let archive = Archive::new(PACKAGES);
    for filename in ["../../etc/passwd", "/etc/passwd", "pool/../../x"] {
        let index = format!(
            "Package: apt\nVersion: 1\nArchitecture: amd64\nFilename: {filename}\nSize: 1\n\
             SHA256: {}\n\n",
            crate::digest::Digest::of("x").hex()
        );
        archive.publish(&index);
        let downloads = tempfile::tempdir().unwrap();
        let error = bootstrap(&archive, downloads.path()).unwrap_err();
        assert_eq!(error.to_string(), "package apt is in none of the suites");
    }
}
