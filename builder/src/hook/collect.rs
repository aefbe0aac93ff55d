//! Generates the hooks tree from the elements (contract 2.4).

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use regex::Regex;
use sha2::{Digest as _, Sha256};

use crate::element::ElementGraph;
use crate::error::{Failure, Kind, Result};
use crate::phase::table::PHASES;

/// The hooks tree, as a list of what goes where.
#[derive(Debug, Clone, Default)]
pub struct HookTree {
    /// Files and links by their path in the tree.
    files: BTreeMap<PathBuf, Source>,
    /// `RUN_PARTS_REGEX`: names of hooks, instead of the usual ones.
    names: Option<Regex>,
}

#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    element: String,
}

/// Directories of an element that are no hooks and no data.
const NOT_COPIED: [&str; 2] = ["tests", "__pycache__"];

/// Collects the files of all elements but those that `left_out` names as
/// `ELEMENT/DIRECTORY/NAME`.
///
/// # Errors
///
/// When two elements have a file of one name in one directory; the failure names both.
pub fn collect(graph: &ElementGraph, left_out: &[String]) -> Result<HookTree> {
    let mut tree = HookTree::default();
    for element in &graph.elements {
        for path in list(&element.path)? {
            let name = file_name(&path);
            if !path.is_dir() {
                if !name.ends_with(".pyc") {
                    let source = Source { path, element: element.name.clone() };
                    tree.files.insert(PathBuf::from(name), source);
                }
                continue;
            }
            if NOT_COPIED.contains(&name.as_str()) {
                continue;
            }
            for inner in list(&path)? {
                let to = Path::new(&name).join(file_name(&inner));
                if left_out.contains(&format!("{}/{}", element.name, to.display())) {
                    continue;
                }
                tree.add(&to, &inner, &element.name)?;
            }
        }
    }
    Ok(tree)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn failed(error: std::io::Error) -> Failure {
    Failure::wrap(Kind::Configuration, "an element", &error)
}

/// The visible entries of a directory, sorted.
fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !file_name(&path).starts_with('.') {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

impl HookTree {
    /// Adds an entry of an element's directory: a file may be there once, directories merge.
    fn add(&mut self, to: &Path, from: &Path, element: &str) -> Result<()> {
        if from.is_dir() && !from.is_symlink() {
            for entry in walkdir::WalkDir::new(from).sort_by_file_name() {
                let entry = entry.map_err(|error| failed(error.into()))?;
                if entry.file_type().is_dir() {
                    continue;
                }
                let rest = entry.path().strip_prefix(from).unwrap_or(entry.path());
                let source =
                    Source { path: entry.path().to_path_buf(), element: element.to_owned() };
                self.files.insert(to.join(rest), source);
            }
            return Ok(());
        }
        let source = Source { path: from.to_path_buf(), element: element.to_owned() };
        if let Some(other) = self.files.insert(to.to_path_buf(), source) {
            let message = format!(
                "elements {} and {element} both have a file {}",
                other.element,
                to.display()
            );
            return Err(Failure::new(Kind::Configuration, message).hint(format!(
                "rename one of {} and {}",
                other.path.display(),
                from.display()
            )));
        }
        Ok(())
    }

    /// The same tree where hooks are what `RUN_PARTS_REGEX` says, as for `dib-run-parts`.
    ///
    /// # Errors
    ///
    /// When it is no regular expression.
    pub fn named_by(mut self, regex: &str) -> Result<Self> {
        let regex = Regex::new(regex).map_err(|error| {
            Failure::new(Kind::Configuration, format!("RUN_PARTS_REGEX: {error}"))
                .hint("an extended regular expression for the names of hooks")
        })?;
        self.names = Some(regex);
        Ok(self)
    }

    fn runs(&self, name: &str) -> bool {
        self.names.as_ref().map_or_else(|| super::order::runs(name), |names| names.is_match(name))
    }

    /// The hooks of a phase in the order they run, each with its element.
    pub fn hooks(&self, directory: &str) -> Vec<(String, String)> {
        let mut names: Vec<String> = Vec::new();
        let mut by: BTreeMap<String, String> = BTreeMap::new();
        for (path, source) in &self.files {
            let mut parts = path.components();
            let in_phase = parts.next().is_some_and(|part| part.as_os_str() == directory);
            let (Some(name), None) = (parts.next(), parts.next()) else { continue };
            let name = name.as_os_str().to_string_lossy().into_owned();
            if in_phase && self.runs(&name) && is_executable(&source.path) {
                by.insert(name.clone(), source.element.clone());
                names.push(name);
            }
        }
        super::in_order(&mut names);
        names
            .into_iter()
            .map(|name| (by.remove(&name).unwrap_or_default(), name))
            .map(|(e, n)| (n, e))
            .collect()
    }

    /// Files that would be hooks if they were executable, as `DIRECTORY/NAME`, each with its
    /// element.
    pub fn not_executable(&self) -> impl Iterator<Item = (&Path, &str)> {
        let in_phase = |path: &Path| {
            let parent = path.parent().and_then(Path::to_str);
            PHASES.iter().any(|phase| parent == Some(phase.directory))
        };
        self.files
            .iter()
            .filter(move |(path, source)| {
                in_phase(path)
                    && self.runs(&file_name(path))
                    && source.path.is_file()
                    && !is_executable(&source.path)
            })
            .map(|(path, source)| (path.as_path(), source.element.as_str()))
    }

    /// The element that a hook comes from, given as `DIRECTORY/NAME`, and its file there.
    pub fn origin(&self, hook: &str) -> Option<(&str, &Path)> {
        let source = self.files.get(Path::new(hook))?;
        Some((&source.element, &source.path))
    }

    /// An element that has files in this directory.
    pub fn element_of(&self, directory: &str) -> Option<&str> {
        let source = self.files.iter().find(|(path, _)| path.starts_with(directory))?.1;
        Some(&source.element)
    }

    /// The text of every file directly in a directory that `wanted` takes; files that are no
    /// text are skipped.
    pub fn texts(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let in_wanted = |path: &Path| path.parent().and_then(Path::to_str).is_some_and(&wanted);
        let files = self.files.iter().filter(|(path, _)| in_wanted(path));
        files.filter_map(|(_, source)| fs_err::read_to_string(&source.path).ok()).collect()
    }

    /// Digests what a phase can see: its own hooks, environment.d and everything that is no
    /// hook, names, modes and bytes.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn digest(&self, directory: &str) -> Result<String> {
        let mut hasher = Sha256::new();
        for (path, source) in &self.files {
            let first = path
                .components()
                .next()
                .map(|part| part.as_os_str().to_string_lossy().into_owned());
            let first = first.unwrap_or_default();
            let other_phase =
                first != directory && PHASES.iter().any(|phase| phase.directory == first);
            if !other_phase {
                hash_file(path, &source.path, &mut hasher)?;
            }
        }
        Ok(hex::encode(hasher.finalize()))
    }

    /// Digests the whole tree.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn whole_digest(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        for (path, source) in &self.files {
            hash_file(path, &source.path, &mut hasher)?;
        }
        Ok(hex::encode(hasher.finalize()))
    }

    /// Writes the tree below `to`, with the two programs that run a phase beside it.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written.
    pub fn write(&self, to: &Path, lib: &Path) -> Result<()> {
        let io = |error: std::io::Error| Failure::wrap(Kind::Host, "the hooks tree", &error);
        for (path, source) in &self.files {
            let at = path.to_string_lossy();
            let path = to.join(path);
            if let Some(parent) = path.parent() {
                fs_err::create_dir_all(parent).map_err(io)?;
            }
            let own = crate::compat::REPLACED.iter().find(|(name, _)| *name == at);
            if let Some((_, own)) = own {
                fs_err::copy(lib.join(own), &path).map_err(io)?;
                fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).map_err(io)?;
                continue;
            }
            if source.path.is_symlink() {
                let target = fs_err::read_link(&source.path).map_err(io)?;
                if target.is_relative() {
                    fs_err::os::unix::fs::symlink(target, &path).map_err(io)?;
                    continue;
                }
            }
            fs_err::copy(&source.path, &path).map_err(io)?;
            let mode = if is_executable(&source.path) { 0o755 } else { 0o644 };
            fs_err::set_permissions(&path, PermissionsExt::from_mode(mode)).map_err(io)?;
        }
        for (from, name) in [
            ("dib-run-parts", "dib-run-parts"),
            ("driver/target-phase", "goldsmith-target-phase"),
            ("driver/break-points", "goldsmith-break-points"),
        ] {
            let path = to.join(name);
            fs_err::copy(lib.join(from), &path).map_err(io)?;
            fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).map_err(io)?;
        }
        Ok(())
    }
}

fn is_executable(path: &Path) -> bool {
    fs_err::metadata(path)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn hash_file(path: &Path, source: &Path, hasher: &mut Sha256) -> Result<()> {
    let mut field = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    field(path.as_os_str().as_bytes());
    if source.is_symlink() {
        field(b"link");
        field(fs_err::read_link(source).map_err(failed)?.as_os_str().as_bytes());
    }
    field(if is_executable(source) { b"x" } else { b"-" });
    field(&fs_err::read(source).map_err(failed)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

    fn element(root: &Path, name: &str, files: &[(&str, &str, u32)]) -> Element {
        for (path, text, mode) in files {
            let path = root.join(name).join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, text).unwrap();
            fs_err::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
        }
        Element {
            name: name.to_owned(),
            path: root.join(name),
            entry: 0,
            deps: Vec::new(),
            provides: Vec::new(),
        }
    }

    #[test]
    fn directories_merge_files_collide_and_data_counts() {
        let directory = tempfile::tempdir().unwrap();
        let a = element(
            directory.path(),
            "a",
            &[
                ("install.d/10-x", "x", 0o755),
                ("install.d/2-y", "y", 0o755),
                ("install.d/20-off", "", 0o644),
                ("static/etc/a", "a", 0o644),
                ("tests/t", "", 0o644),
                ("pkg-map", "{}", 0o644),
            ],
        );
        let b = element(
            directory.path(),
            "b",
            &[("static/etc/b", "b", 0o644), ("post-install.d/1-z", "z", 0o755)],
        );
        let c = element(directory.path(), "c", &[("install.d/10-x", "other", 0o755)]);
        let graph = |list: &[&Element]| ElementGraph {
            elements: list.iter().map(|element| (*element).clone()).collect(),
            search_path: Vec::new(),
        };
        let tree = collect(&graph(&[&a, &b]), &[]).unwrap();
        let names: Vec<_> = tree.hooks("install.d").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["2-y", "10-x"]);
        assert!(!tree.files.contains_key(Path::new("tests/t")));
        let off: Vec<_> = tree.not_executable().collect();
        assert_eq!(off, [(Path::new("install.d/20-off"), "a")]);
        let named = tree.clone().named_by("^[0-9]+-y$").unwrap();
        assert_eq!(named.hooks("install.d"), [("2-y".to_owned(), "a".to_owned())]);
        assert!(tree.clone().named_by("(").unwrap_err().message.starts_with("RUN_PARTS_REGEX: "));
        let error = collect(&graph(&[&a, &c]), &[]).unwrap_err();
        assert!(error.message.contains("elements a and c both have a file install.d/10-x"));
        let left = collect(&graph(&[&a, &c]), &["c/install.d/10-x".to_owned()]).unwrap();
        assert_eq!(left.hooks("install.d").len(), 2);
        let before = (tree.digest("install.d").unwrap(), tree.digest("post-install.d").unwrap());
        fs_err::write(directory.path().join("b/post-install.d/1-z"), "changed").unwrap();
        let after = (tree.digest("install.d").unwrap(), tree.digest("post-install.d").unwrap());
        assert_eq!(before.0, after.0);
        assert_ne!(before.1, after.1);
    }
}
