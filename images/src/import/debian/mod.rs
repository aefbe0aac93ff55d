//! Native bootstrap from a Debian archive.
//!
//! [`resolve`] verifies what the archive signs and chooses packages, [`download`] fetches
//! them, [`unpack`] lays them into a root directory and writes dpkg's database, and
//! [`configure_script`] is what then runs inside, because maintainer scripts are programs
//! of the image.

mod ar;
mod archive_keys;
mod database;
mod index;
mod memory;
mod overlap;
mod pool;
mod relation;
mod release;
mod solve;
#[cfg(test)]
mod tests;
mod unpack;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fetch::{Client, Expect, FetchError};
pub use crate::openpgp::{Keyring, KeyringError};

pub use release::ReleaseError;
pub use solve::SolveError;
pub use unpack::{UnpackError, configure_script, copy_file, unpack};

/// Which packages a bootstrap begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Essential and required packages, and apt: debootstrap's `minbase`.
    Minbase,
    /// Essential packages and apt: mmdebstrap's `apt`.
    Apt,
    /// `Minbase` and everything of priority important.
    Important,
}

/// One suite of one archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suite {
    /// The archive's address, without a slash at the end.
    pub mirror: String,
    /// The suite's name or code name, as its directory below `dists` is called.
    pub name: String,
    /// The components, for instance `main`.
    pub components: Vec<String>,
}

/// What to bootstrap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveSpec {
    /// The suites; the highest version over all of them wins, as with apt.
    pub suites: Vec<Suite>,
    /// dpkg's name of the architecture.
    pub arch: String,
    /// What to begin with.
    pub variant: Variant,
    /// Packages beside that.
    pub include: Vec<String>,
    /// Packages that must not come in.
    pub exclude: Vec<String>,
}

/// A release file that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The suite.
    pub suite: Suite,
    /// Digest of the signed text.
    pub digest: Digest,
    /// When the archive made it, in seconds since the epoch.
    pub date: i64,
    /// Digests of the package indices by their path below the suite: the plain, `.gz` and
    /// `.xz` ones of the components and architecture asked for.
    pub(crate) indices: Vec<(String, Digest, u64)>,
}

impl Release {
    /// A release that was verified at another time: its packages are known, its indices are
    /// not needed.
    pub fn known(suite: Suite, digest: Digest, date: i64) -> Self {
        Self { suite, digest, date, indices: Vec::new() }
    }
}

/// A package of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its address.
    pub url: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest.
    pub digest: Digest,
}

/// What a bootstrap consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The verified releases, in the specification's order.
    pub releases: Vec<Release>,
    /// The packages, sorted by name.
    pub packages: Vec<Package>,
}

/// Why a bootstrap cannot be planned or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebianError {
    /// Something cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A release file does not verify.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The packages do not fit together.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// An index cannot be read.
    #[error("{path} of {suite} cannot be read")]
    Index {
        /// The index's path.
        path: String,
        /// The suite.
        suite: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Receives how far downloads are.
pub trait Progress: Sync {
    /// So many of so many bytes are here.
    fn bytes(&self, done: u64, total: u64);
}

/// Fetches and verifies the release files of a specification.
///
/// # Errors
///
/// When one cannot be had, is not signed by a key of `keyring`, or has expired at `now`
/// (seconds since the epoch).
pub fn releases(
    spec: &ArchiveSpec,
    keyring: &Keyring,
    client: &Client,
    now: i64,
) -> Result<Vec<Release>, DebianError> {
    spec.suites
        .iter()
        .map(|suite| {
            let url = format!("{}/dists/{}/InRelease", suite.mirror, suite.name);
            let text = client.bytes(&url, 16 << 20)?;
            Ok(release::verify(&text, &url, suite, &spec.arch, keyring, now)?)
        })
        .collect()
}

/// Chooses the packages of a specification.
///
/// # Errors
///
/// When an index cannot be had or packages do not fit together.
pub fn resolve(
    spec: &ArchiveSpec,
    releases: Vec<Release>,
    client: &Client,
    downloads: &Path,
) -> Result<Resolution, DebianError> {
    let mut pool = pool::Pool::default();
    for release in &releases {
        for component in &release.suite.components {
            let text = index::fetch(release, component, &spec.arch, client, downloads)?;
            pool.add(&text, &release.suite.mirror, &spec.arch);
        }
    }
    let packages = solve::solve(&pool, spec)?;
    Ok(Resolution { releases, packages })
}

/// Fetches the packages of a resolution, several at once, and returns their paths in its
/// order. What is there already is only verified.
///
/// # Errors
///
/// When one cannot be had.
pub fn download(
    resolution: &Resolution,
    client: &Client,
    downloads: &Path,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>, DebianError> {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    let total = resolution.packages.iter().map(|package| package.size).sum();
    let paths: Vec<_> =
        resolution.packages.iter().map(|package| path_of(package, downloads)).collect();
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let failed = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(package) = resolution.packages.get(at)
                    && failed.lock().is_ok_and(|failed| failed.is_none())
                {
                    let expect = Expect { digest: package.digest, size: package.size };
                    if let Err(error) = client.file(&package.url, &expect, &paths[at])
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.get_or_insert(error);
                    }
                    let bytes = done.fetch_add(package.size, Ordering::Relaxed) + package.size;
                    progress.bytes(bytes, total);
                }
            });
        }
    });
    match failed.into_inner() {
        Ok(Some(error)) => Err(error.into()),
        _ => Ok(paths),
    }
}

/// Where [`download`] puts a package.
pub fn path_of(package: &Package, downloads: &Path) -> PathBuf {
    downloads.join(format!("{}.deb", package.digest.hex()))
}

/// Paths that differ between two runs of the same bootstrap and that nothing misses.
pub fn volatile_paths() -> Vec<String> {
    [
        "var/log/alternatives.log",
        "var/log/apt/*",
        "var/log/bootstrap.log",
        "var/log/dpkg.log",
        "var/cache/apt/*.bin",
        "var/cache/debconf/*-old",
        "var/cache/ldconfig/aux-cache",
        "var/lib/apt/lists/*",
        "var/lib/dpkg/*-old",
        "var/lib/dpkg/lock*",
        "var/lib/dpkg/triggers/Lock",
        "var/lib/systemd/random-seed",
        "etc/.pwd.lock",
        "tmp/*",
        "run/*",
    ]
    .map(str::to_owned)
    .to_vec()
}
