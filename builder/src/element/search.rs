//! The search path (contract 3.2): every sub-directory of an entry is an element, earlier
//! entries override later ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Element;
use crate::error::{Failure, Kind, Result};

/// What the search path offers.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// By name.
    pub elements: BTreeMap<String, Element>,
    /// The entries, in order.
    pub search_path: Vec<PathBuf>,
    /// Elements that an earlier entry hides, for a warning.
    pub overridden: Vec<(String, PathBuf)>,
}

/// Reads the search path.
///
/// # Errors
///
/// When an entry is no directory or a file of an element cannot be read.
pub fn scan(search_path: &[PathBuf]) -> Result<Catalogue> {
    let mut catalogue = Catalogue { search_path: search_path.to_vec(), ..Catalogue::default() };
    for (entry, directory) in search_path.iter().enumerate().rev() {
        let list = fs_err::read_dir(directory).map_err(|error| {
            Failure::wrap(Kind::Configuration, "ELEMENTS_PATH", &error)
                .hint("every entry of ELEMENTS_PATH must be a directory of elements")
        })?;
        for item in list {
            let path = item
                .map_err(|error| Failure::wrap(Kind::Configuration, "ELEMENTS_PATH", &error))?
                .path();
            // Python leaves its cache in the tree that pip installs.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let hidden = name.starts_with('.') || name == "__pycache__";
            if hidden || !path.is_dir() {
                continue;
            }
            let element = read(&path, entry)?;
            if let Some(old) = catalogue.elements.insert(element.name.clone(), element) {
                catalogue.overridden.push((old.name, old.path));
            }
        }
    }
    Ok(catalogue)
}

/// Files that only elements have.
const FILES: [&str; 6] = [
    "element-deps",
    "element-provides",
    "package-installs.yaml",
    "package-installs.json",
    "base.yaml",
    "block-device-default.yaml",
];

/// Directories beside those of phases that elements have.
const DIRECTORIES: [&str; 6] =
    ["bin", "environment.d", "init-scripts", "static", "test-elements", "yum.repos.d"];

/// Whether a directory looks like one element, rather than like a directory of elements.
pub fn is_element(directory: &Path) -> bool {
    let phases = crate::phase::table::PHASES.iter().map(|phase| phase.directory);
    let has = |name: &str| directory.join(name);
    FILES.iter().any(|name| has(name).is_file())
        || DIRECTORIES.iter().copied().chain(phases).any(|name| has(name).is_dir())
        || has("README.rst").is_file()
            && !walkdir::WalkDir::new(directory)
                .min_depth(2)
                .max_depth(2)
                .into_iter()
                .flatten()
                .any(|entry| entry.file_name() == "README.rst")
}

fn read(path: &Path, entry: usize) -> Result<Element> {
    let failed = |error: std::io::Error| Failure::wrap(Kind::Configuration, "an element", &error);
    let path = fs_err::canonicalize(path).map_err(failed)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lines = |file: &str| -> Result<Vec<String>> {
        let file = path.join(file);
        if !file.exists() {
            return Ok(Vec::new());
        }
        let text = fs_err::read_to_string(&file).map_err(failed)?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    };
    Ok(Element {
        deps: lines("element-deps")?,
        provides: lines("element-provides")?,
        name,
        entry,
        path,
    })
}
