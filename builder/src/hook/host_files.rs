//! Files of the build host that hooks of host phases read by fixed names.
//!
//! Elements take the public keys of who builds, or a CI system's list of mirrors. Such a file
//! is shown where hooks look for it, read-only, and only when an element mentions it: no other
//! build then depends on who runs it.

use std::path::{Path, PathBuf};

use crate::element::ElementGraph;

/// The home of host phases.
const HOME: &str = "/root";
/// What a CI system of OpenStack leaves on its machines.
const MIRRORS: &str = "/etc/ci/mirror_info.sh";

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

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
