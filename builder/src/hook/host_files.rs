//! Files of the build host that hooks see.
//!
//! Those that a variable names are shown to all phases, and the variable says where. Hooks of
//! host phases read others by fixed names: elements take the public keys of who builds, or a CI
//! system's list of mirrors. Such a file is shown where hooks look for it, read-only, and only
//! when an element mentions it: no other build then depends on who runs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::element::ElementGraph;
use crate::error::{Failure, Kind, Result};

/// Where files that variables name are shown, in a directory for each.
const FILES: &str = "/goldsmith/files";

/// The home of host phases.
const HOME: &str = "/root";
/// What a CI system of OpenStack leaves on its machines.
const MIRRORS: &str = "/etc/ci/mirror_info.sh";

/// Variables that name a directory, whose files are shown together.
const DIRECTORIES: [&str; 2] = ["DIB_YUM_MINIMAL_BOOTSTRAP_REPOS", "DIB_YUM_MINIMAL_EXTRA_REPOS"];

/// Pairs of the path that hooks know and the file of the host.
pub type Shown = Vec<(PathBuf, PathBuf)>;

/// The files that elements of `graph` mention and that the host has; `home` is the caller's.
pub fn mentioned(graph: &ElementGraph, home: Option<&str>) -> Shown {
    let (mut keys, mut mirrors) = (false, false);
    for text in texts(graph) {
        keys |= text.contains("/.ssh/");
        mirrors |= text.contains(MIRRORS);
    }
    let mut shown = Shown::new();
    if let Some(home) = home.filter(|_| keys) {
        shown.extend(public_keys(&Path::new(home).join(".ssh")));
    }
    if mirrors && Path::new(MIRRORS).is_file() {
        shown.push((MIRRORS.into(), MIRRORS.into()));
    }
    shown
}

/// Public keys and `authorized_keys` of a directory: a private key is never shown.
fn public_keys(directory: &Path) -> Shown {
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    let mut shown: Shown = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension().is_some_and(|end| end == "pub") || path.ends_with("authorized_keys")
        })
        .filter(|path| path.is_file())
        .filter_map(|path| {
            Some((Path::new(HOME).join(".ssh").join(path.file_name()?), path.clone()))
        })
        .collect();
    shown.sort();
    shown
}

/// Files that hooks of host phases are made of, as far as they are text.
fn texts(graph: &ElementGraph) -> impl Iterator<Item = String> {
    graph.elements.iter().flat_map(|element| {
        let entries = walkdir::WalkDir::new(&element.path).min_depth(2).max_depth(2);
        entries
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_file())
            .filter_map(|entry| fs_err::read_to_string(entry.path()).ok())
    })
}

/// Rewrites `DIB_` variables that name a file of the host, or a list of files, to places
/// inside. Returns the files, and a digest of them and of `shown`.
///
/// # Errors
///
/// When a file cannot be read.
pub fn expose(variables: &mut BTreeMap<String, String>, shown: &Shown) -> Result<(Shown, String)> {
    let mut files = Shown::new();
    let mut hasher = Sha256::new();
    for (inside, outside) in shown {
        let name = inside.display().to_string();
        hasher.update((name.len() as u64).to_le_bytes());
        digest(&mut hasher, &name, outside)?;
    }
    for (name, value) in variables.iter_mut().filter(|(name, _)| name.starts_with("DIB_")) {
        let within = if DIRECTORIES.contains(&name.as_str()) { inside(value) } else { Vec::new() };
        if !within.is_empty() {
            let directory = Path::new(FILES).join(files.len().to_string());
            for path in within {
                let file = path.file_name().unwrap_or_default().to_owned();
                digest(&mut hasher, &format!("{name}/{}", file.display()), &path)?;
                files.push((directory.join(file), path));
            }
            *value = directory.display().to_string();
            continue;
        }
        let paths = named(value);
        if paths.is_empty() {
            continue;
        }
        let mut words = Vec::new();
        for path in paths {
            digest(&mut hasher, name, &path)?;
            let file = path.file_name().unwrap_or_default();
            let inside = Path::new(FILES).join(files.len().to_string()).join(file);
            words.push(inside.display().to_string());
            files.push((inside, path));
        }
        *value = words.join(" ");
    }
    Ok((files, hex::encode(hasher.finalize())))
}

/// The file that a value names, or the files of a list in which each word is one.
fn named(value: &str) -> Vec<PathBuf> {
    let file = |word: &str| Some(PathBuf::from(word)).filter(|p| p.is_absolute() && p.is_file());
    if let Some(file) = file(value) {
        return vec![file];
    }
    value.split_whitespace().map(file).collect::<Option<_>>().unwrap_or_default()
}

/// The files in the directory that a value names.
fn inside(value: &str) -> Vec<PathBuf> {
    if !Path::new(value).is_absolute() {
        return Vec::new();
    }
    let entries = fs_err::read_dir(value).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|p| p.is_file()).collect();
    files.sort();
    files
}

fn digest(hasher: &mut Sha256, name: &str, path: &Path) -> Result<()> {
    let bytes =
        fs_err::read(path).map_err(|error| Failure::wrap(Kind::Configuration, name, &error))?;
    hasher.update(name.as_bytes());
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

    #[test]
    fn files_of_a_directory_are_shown_together() {
        let place = tempfile::tempdir().unwrap();
        for name in ["b.repo", "a.repo"] {
            fs_err::write(place.path().join(name), name).unwrap();
        }
        let name = "DIB_YUM_MINIMAL_BOOTSTRAP_REPOS";
        let value = place.path().display().to_string();
        let given: BTreeMap<_, _> =
            [(name.to_owned(), value.clone()), ("DIB_OTHER".to_owned(), value.clone())].into();
        let mut variables = given.clone();
        let (shown, before) = expose(&mut variables, &Vec::new()).unwrap();
        assert_eq!(variables[name], "/goldsmith/files/0");
        assert_eq!(variables["DIB_OTHER"], value);
        let paths: Vec<_> = shown.iter().map(|(inside, _)| inside.display().to_string()).collect();
        assert_eq!(paths, ["/goldsmith/files/0/a.repo", "/goldsmith/files/0/b.repo"]);
        fs_err::write(place.path().join("b.repo"), "changed").unwrap();
        let (_, after) = expose(&mut given.clone(), &Vec::new()).unwrap();
        assert_ne!(before, after);
    }

    #[test]
    fn files_and_lists_of_files_are_shown() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = place.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, name).unwrap();
            path.display().to_string()
        };
        let (one, other, spaced) = (file("a/x.repo"), file("b/x.repo"), file("a b/x.repo"));
        let half = format!("quiet {one}");
        let mut variables: BTreeMap<_, _> = [
            ("DIB_A", format!("{one}  {other}")),
            ("DIB_B", spaced.clone()),
            ("DIB_C", half.clone()),
            ("DIB_D", String::new()),
            ("OTHER", one.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let (files, digest) = expose(&mut variables, &Shown::new()).unwrap();
        assert_eq!(variables["DIB_A"], "/goldsmith/files/0/x.repo /goldsmith/files/1/x.repo");
        assert_eq!(variables["DIB_B"], "/goldsmith/files/2/x.repo");
        assert_eq!((&*variables["DIB_C"], &*variables["OTHER"]), (&*half, &*one));
        let outside: Vec<_> = files.iter().map(|(_, path)| path.display().to_string()).collect();
        assert_eq!(outside, [&*one, &*other, &*spaced]);
        fs_err::write(&other, "changed").unwrap();
        let mut again = BTreeMap::from([("DIB_A".to_owned(), format!("{one} {other}"))]);
        assert_ne!(expose(&mut again, &Shown::new()).unwrap().1, digest);
    }

    #[test]
    fn keys_are_shown_to_elements_that_ask_and_private_ones_never() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = place.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        for file in ["id_rsa", "id_rsa.pub", "authorized_keys", "config"] {
            write(&format!("home/.ssh/{file}"), file);
        }
        write("asks/extra-data.d/10-x", "cat ~/.ssh/id_rsa.pub");
        write("does-not/extra-data.d/10-x", "true");
        let home = place.path().join("home");
        let shown = |name: &str| {
            let element = Element {
                name: name.into(),
                path: place.path().join(name),
                entry: 0,
                deps: Vec::new(),
                provides: Vec::new(),
            };
            let graph = ElementGraph { elements: vec![element], search_path: Vec::new() };
            let shown = mentioned(&graph, home.to_str());
            shown.iter().map(|(inside, _)| inside.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(shown("asks"), ["/root/.ssh/authorized_keys", "/root/.ssh/id_rsa.pub"]);
        assert!(shown("does-not").is_empty());
    }
}
