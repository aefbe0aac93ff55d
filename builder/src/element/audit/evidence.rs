//! Which elements tests build: tests/compat/exercised.yaml, which travels in the binary.
//!
//! An element counts as exercised only when it is, byte for byte, the one that the test
//! builds; one of the same name in somebody's tree does not.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Reason;
use crate::error::{Failure, Kind, Result};

static LIST: &str = include_str!("../../../../tests/compat/exercised.yaml");

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Our own elements: the test that builds each.
    pub shipped: BTreeMap<String, String>,
    /// Elements of others.
    pub others: BTreeMap<String, Other>,
    /// What keeps tests from building elements of others, where their scripts do not tell it.
    pub lacking: BTreeMap<String, Lacking>,
}

/// What somebody's element takes that cannot be had where the tests run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lacking {
    /// Digest of the element that this was found in.
    pub digest: String,
    /// The file below the element where it is seen.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// What it takes.
    pub reason: String,
}

/// What is known of somebody's element.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// The test that builds it.
    pub test: String,
    /// Digest of what it does, as `goldsmith elements audit --json` prints it.
    pub digest: String,
}

impl Evidence {
    /// The test that builds the element of that name and digest; `ours` says whether it is
    /// the shipped one.
    pub fn test(&self, name: &str, digest: &str, ours: bool) -> Option<String> {
        let other = self.others.get(name).filter(|other| other.digest == digest);
        other
            .map(|other| other.test.clone())
            .or_else(|| self.shipped.get(name).filter(|_| ours).cloned())
    }

    /// Why no test builds the element of that name and digest, if somebody wrote it down.
    pub fn lacks(&self, name: &str, digest: &str) -> Option<Reason> {
        let lacking = self.lacking.get(name).filter(|lacking| lacking.digest == digest)?;
        let (file, line, reason) = (lacking.file.clone(), lacking.line, lacking.reason.clone());
        Some(Reason { element: None, file, line, reason })
    }
}

/// Reads the list that the program carries.
///
/// # Errors
///
/// When the program was built with a list that cannot be read.
pub fn embedded() -> Result<Evidence> {
    serde_saphyr::from_str(LIST)
        .map_err(|error| Failure::new(Kind::Internal, format!("exercised.yaml: {error}")))
}

/// Digest of an element's files but for its documents and tests: names, whether they are
/// programs, and contents. The first 16 hexadecimal digits.
///
/// # Errors
///
/// When a file cannot be read.
pub fn digest(element: &Path) -> Result<String> {
    let failed = |error: std::io::Error| Failure::wrap(Kind::Configuration, "an element", &error);
    let mut hasher = Sha256::new();
    let files = walkdir::WalkDir::new(element).follow_links(true).sort_by_file_name();
    let files = files.into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        !(entry.depth() == 1 && matches!(&*name, "tests" | "test-elements" | "README.rst")
            || name == "__pycache__")
    });
    for entry in files {
        let entry = entry.map_err(|error| Failure::wrap(Kind::Configuration, "element", &error))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let mode = fs_err::metadata(entry.path()).map_err(failed)?.permissions().mode();
        let content = fs_err::read(entry.path()).map_err(failed)?;
        let name = entry.path().strip_prefix(element).unwrap_or(entry.path());
        hasher.update(name.as_os_str().as_encoded_bytes());
        hasher.update([0, u8::from(mode & 0o111 != 0)]);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    let digest = hex::encode(hasher.finalize());
    Ok(digest[..16].to_owned())
}
