//! What elements are, by digest.

use std::path::Path;

use goldsmith_images::digest::{Digest, Digesting};

use super::document::Element;
use crate::element::ElementGraph;
use crate::error::{Failure, Kind, Result};

/// The elements of a build, sorted by name.
pub(super) fn all(graph: &ElementGraph) -> Result<Vec<Element>> {
    let mut list = Vec::new();
    for element in &graph.elements {
        list.push(Element { name: element.name.clone(), digest: digest(&element.path)? });
    }
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(list)
}

/// How the elements of a build differ from those of a lock, a sentence each.
pub(super) fn differences(locked: &[Element], now: &[Element]) -> Vec<String> {
    let mut said = Vec::new();
    for element in now {
        match locked.iter().find(|one| one.name == element.name) {
            None => said.push(format!("element {} is not in the lock", element.name)),
            Some(one) if one.digest != element.digest => said.push(format!(
                "element {} has changed: it is {}, not {}",
                element.name, element.digest, one.digest
            )),
            Some(_) => {}
        }
    }
    for one in locked.iter().filter(|one| !now.iter().any(|element| element.name == one.name)) {
        said.push(format!("element {} of the lock is not part of this build", one.name));
    }
    said
}

/// Digests names, kinds, execute bits and contents below a directory, in the order of names.
/// Times and owners are no part of it; what editors and Python leave behind neither.
fn digest(directory: &Path) -> Result<Digest> {
    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let failed =
        |error: std::io::Error| Failure::wrap(Kind::Configuration, directory.display(), &error);
    let mut hasher = Digesting::new(std::io::sink());
    let mut field = |bytes: &[u8]| -> std::io::Result<()> {
        hasher.write_all(&(bytes.len() as u64).to_le_bytes())?;
        hasher.write_all(bytes)
    };
    let walk = walkdir::WalkDir::new(directory).sort_by_file_name().min_depth(1);
    let kept = |entry: &walkdir::DirEntry| entry.file_name() != "__pycache__";
    for entry in walk.into_iter().filter_entry(kept) {
        let entry = entry.map_err(|error| failed(error.into()))?;
        let name = entry.path().strip_prefix(directory).unwrap_or(entry.path());
        field(name.as_os_str().as_bytes()).map_err(failed)?;
        let kind = entry.file_type();
        if kind.is_dir() {
            field(b"directory").map_err(failed)?;
        } else if kind.is_symlink() {
            let target = fs_err::read_link(entry.path()).map_err(failed)?;
            field(b"link").and_then(|()| field(target.as_os_str().as_bytes())).map_err(failed)?;
        } else {
            let data = entry.metadata().map_err(|error| failed(error.into()))?;
            let runs = data.permissions().mode() & 0o111 != 0;
            let content = fs_err::read(entry.path()).map_err(failed)?;
            field(if runs { b"program" } else { b"file" })
                .and_then(|()| field(&content))
                .map_err(failed)?;
        }
    }
    Ok(hasher.finish().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hooks_are_counts_and_when_they_were_written_does_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let make = |change: &dyn Fn(&Path)| {
            let place = tempfile::tempdir().unwrap();
            fs_err::create_dir_all(place.path().join("install.d")).unwrap();
            fs_err::write(place.path().join("install.d/10-x"), "#!/bin/sh\n").unwrap();
            change(place.path());
            digest(place.path()).unwrap()
        };
        let plain = make(&|_| ());
        assert_eq!(plain, make(&|_| ()));
        assert_eq!(plain, make(&|at| fs_err::create_dir(at.join("__pycache__")).unwrap()));
        let changes: [&dyn Fn(&Path); 4] = [
            &|at| fs_err::write(at.join("install.d/10-x"), "#!/bin/bash\n").unwrap(),
            &|at| {
                let mode = std::fs::Permissions::from_mode(0o755);
                fs_err::set_permissions(at.join("install.d/10-x"), mode).unwrap();
            },
            &|at| fs_err::rename(at.join("install.d"), at.join("finalise.d")).unwrap(),
            &|at| fs_err::os::unix::fs::symlink("x", at.join("link")).unwrap(),
        ];
        for change in changes {
            assert_ne!(plain, make(change));
        }
    }

    #[test]
    fn each_difference_is_named() {
        let element =
            |name: &str, text: &str| Element { name: name.into(), digest: Digest::of(text) };
        let locked = [element("gone", "1"), element("other", "1"), element("same", "1")];
        let now = [element("new", "1"), element("other", "2"), element("same", "1")];
        let said = differences(&locked, &now);
        assert_eq!(said.len(), 3, "{said:?}");
        for (said, word) in
            said.iter().zip(["new is not in", "other has changed", "gone of the lock"])
        {
            assert!(said.contains(word), "{said}");
        }
    }
}
