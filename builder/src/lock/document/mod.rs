//! `goldsmith.lock` as a value: what a build read, by digest.

use std::collections::BTreeMap;
use std::path::Path;

use goldsmith_images::digest::Digest;
use goldsmith_images::import::debian::{self, ArchiveSpec, Suite, Variant};
use serde::{Deserialize, Serialize};

use crate::base::Source;
use crate::error::{Failure, Kind, Result};

/// The only version of the format that there is.
pub const VERSION: u32 = 1;

/// The largest lock file, in bytes.
const LIMIT: u64 = 64 << 20;

/// What stands at the top of every lock file.
const HEAD: &str = "# Made by `goldsmith lock`: everything that the build read, by digest. `goldsmith update` makes\n# it anew; see docs/lock.md.\n\n";

/// A lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The format's version.
    pub version: u32,
    /// The version of goldsmith that wrote it.
    pub goldsmith: String,
    /// What was built.
    pub build: Build,
    /// The elements, dependencies included, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub element: Vec<Element>,
    /// What the tools container consists of.
    pub tools: Archive,
    /// What the emulator is from, when the image is for a machine that this one is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulator: Option<Archive>,
    /// The image's base, when an element asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// Release files and indices that package managers of hooks read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub release: Vec<Fetch>,
    /// Packages that hooks installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub package: Vec<Fetch>,
    /// Repositories that hooks cloned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub git: Vec<Repository>,
    /// Whatever else hooks fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub url: Vec<Fetch>,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The arguments of `goldsmith lock`, without `-f FILE`.
    pub arguments: Vec<String>,
    /// The elements that were asked for.
    pub elements: Vec<String>,
    /// dpkg's name of the architecture.
    pub arch: String,
    /// The Debian archive that was asked.
    pub mirror: String,
    /// The archive of its security updates.
    pub security: String,
}

/// An element's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Digest of names, kinds, execute bits and contents of its files.
    pub digest: Digest,
}

/// What was bootstrapped from a Debian archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// dpkg's name of the architecture.
    pub arch: String,
    /// What the choice began with.
    pub variant: Variant,
    /// Packages that were asked for beside that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Packages that were to stay out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// The release files.
    pub release: Vec<Release>,
    /// The packages.
    pub package: Vec<Package>,
}

/// A release file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The archive's address.
    pub mirror: String,
    /// The suite.
    pub suite: String,
    /// Its components.
    pub components: Vec<String>,
    /// When the archive made it, in seconds since the epoch.
    pub date: i64,
    /// Digest of the signed text.
    pub digest: Digest,
}

/// A package of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it was fetched from; ends with its architecture.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// Their digest.
    pub digest: Digest,
}

/// The image's base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// Packages of an archive.
    Debian(Archive),
    /// A published image.
    Image(PublishedImage),
    /// An image of a registry, also below what a container file makes.
    Oci(RegistryImage),
}

/// A published image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedImage {
    /// The address, as the element has it: a pattern of names, or a path.
    pub asked: String,
    /// What that stood for.
    pub source: Source,
}

/// An image of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryImage {
    /// Its name, as the element has it.
    pub reference: String,
    /// What that stood for: an index or a manifest.
    pub digest: Digest,
}

/// A repository that was cloned over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Its address.
    pub url: String,
    /// The commits that were asked for, sorted.
    pub commits: Vec<String>,
    /// What was said to fetch them.
    pub request: Vec<Fetch>,
}

/// One answer of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// A package's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A package's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The address.
    pub url: String,
    /// The method.
    #[serde(default = "get", skip_serializing_if = "is_get")]
    pub method: String,
    /// Digest of the body that was sent, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Digest>,
    /// The HTTP status.
    #[serde(default = "fine", skip_serializing_if = "is_fine")]
    pub status: u16,
    /// Header lines that say what the body is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Bytes of the body.
    pub size: u64,
    /// Their digest.
    pub digest: Digest,
}

fn get() -> String {
    "GET".to_owned()
}

fn is_get(method: &str) -> bool {
    method == "GET"
}

fn fine() -> u16 {
    200
}

fn is_fine(status: &u16) -> bool {
    *status == fine()
}

impl Archive {
    /// What `releases` and `packages` are of.
    pub fn new(spec: &ArchiveSpec, found: &debian::Resolution) -> Self {
        let release = |one: &debian::Release| Release {
            mirror: one.suite.mirror.clone(),
            suite: one.suite.name.clone(),
            components: one.suite.components.clone(),
            date: one.date,
            digest: one.digest,
        };
        let package = |one: &debian::Package| Package {
            name: one.name.clone(),
            version: one.version.clone(),
            url: one.url.clone(),
            size: one.size,
            digest: one.digest,
        };
        Self {
            arch: spec.arch.clone(),
            variant: spec.variant,
            include: spec.include.clone(),
            exclude: spec.exclude.clone(),
            release: found.releases.iter().map(release).collect(),
            package: found.packages.iter().map(package).collect(),
        }
    }

    /// What was asked for.
    pub fn spec(&self) -> ArchiveSpec {
        let suite = |one: &Release| Suite {
            mirror: one.mirror.clone(),
            name: one.suite.clone(),
            components: one.components.clone(),
        };
        ArchiveSpec {
            suites: self.release.iter().map(suite).collect(),
            arch: self.arch.clone(),
            variant: self.variant,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
        }
    }

    /// What was found.
    pub fn resolution(&self) -> debian::Resolution {
        let suites = self.spec().suites.into_iter();
        let releases = suites
            .zip(&self.release)
            .map(|(suite, one)| debian::Release::known(suite, one.digest, one.date));
        let package = |one: &Package| debian::Package {
            name: one.name.clone(),
            version: one.version.clone(),
            url: one.url.clone(),
            size: one.size,
            digest: one.digest,
        };
        debian::Resolution {
            releases: releases.collect(),
            packages: self.package.iter().map(package).collect(),
        }
    }
}

impl Document {
    /// Every answer that hooks got.
    pub fn fetches(&self) -> impl Iterator<Item = &Fetch> {
        let cloned = self.git.iter().flat_map(|one| &one.request);
        self.release.iter().chain(&self.package).chain(cloned).chain(&self.url)
    }

    /// Reads a lock file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is none; the message names file and line.
    pub fn read(path: &Path) -> Result<Self> {
        use std::io::Read as _;
        let mut text = String::new();
        let file = fs_err::File::open(path);
        file.and_then(|file| file.take(LIMIT).read_to_string(&mut text))
            .map_err(|error| Failure::wrap(Kind::Usage, "the lock file", &error))?;
        let shown = path.display();
        let wrong = |line: usize, what: &str| {
            Failure::new(Kind::Lock, format!("{shown}, line {line}: {what}"))
                .hint("`goldsmith lock` writes the file; it is not meant to be edited")
        };
        // The version comes first: what another one holds is unknown.
        let table: toml::Table =
            toml::from_str(&text).map_err(|error| fault(&text, &error, &wrong))?;
        if table.get("version").and_then(toml::Value::as_integer) != Some(i64::from(VERSION)) {
            let at = text.lines().position(|line| line.starts_with("version"));
            let what = format!("this goldsmith reads version {VERSION} of the format");
            return Err(wrong(at.unwrap_or(0) + 1, &what));
        }
        toml::from_str(&text).map_err(|error| fault(&text, &error, &wrong))
    }

    /// Writes the lock file, whole or not at all.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        use std::io::Write as _;
        let failed = |error: std::io::Error| Failure::wrap(Kind::Usage, "the lock file", &error);
        let text = toml::to_string(self)
            .map_err(|error| Failure::wrap(Kind::Internal, "the lock file", &error))?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut aside = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(failed)?;
        aside
            .write_all(HEAD.as_bytes())
            .and_then(|()| aside.write_all(text.as_bytes()))
            .map_err(failed)?;
        aside.as_file().sync_all().map_err(failed)?;
        aside.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn fault(text: &str, error: &toml::de::Error, wrong: &dyn Fn(usize, &str) -> Failure) -> Failure {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    wrong(line, error.message().trim())
}

#[cfg(test)]
pub(super) mod tests;
