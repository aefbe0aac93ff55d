//! An image of many of diskimage-builder's elements, and what each of them leaves there.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use goldsmith_tests::{TestEnv, Tree};

use crate::build_in;

/// An element, a path in the image, and a text that it holds, or after `!` that it does not.
/// An empty text: that it is there; `-`: that it is not.
pub(crate) type Mark = (&'static str, &'static str, &'static str);

pub(crate) fn check(tree: &Tree, marks: &[Mark]) -> Result<()> {
    let mut wrong = Vec::new();
    for (element, path, text) in marks {
        let right = match *text {
            "-" => !tree.has(path),
            "" => tree.has(path),
            text if text.starts_with('!') => {
                tree.text(path).is_ok_and(|content| !content.contains(&text[1..]))
            }
            text => tree.text(path).is_ok_and(|content| content.contains(text)),
        };
        if !right {
            wrong.push(format!("{element}: {path} {text:?} {:?}", tree.text(path).ok()));
        }
    }
    ensure!(wrong.is_empty(), "not as the elements make it:\n{}", wrong.join("\n"));
    Ok(())
}

/// Builds an archive, and what else `types` names, of `os` and the elements that `marks` names;
/// keys of who builds are there.
pub(crate) fn image(
    place: &TestEnv,
    types: &str,
    os: &[&str],
    marks: &[Mark],
    variables: &[(&str, &str)],
) -> Result<Tree> {
    fs_err::create_dir_all(place.path(".ssh"))?;
    fs_err::write(place.path(".ssh/authorized_keys"), "ssh-ed25519 AAAA who@builds\n")?;
    fs_err::write(place.path(".ssh/id_rsa.pub"), "ssh-rsa BBBB who@builds\n")?;
    let mut elements: Vec<&str> = Vec::new();
    for (element, ..) in marks {
        if !elements.contains(element) {
            elements.push(element);
        }
    }
    let words: Vec<_> =
        ["-t", types, "-o", "x"].iter().chain(os).copied().chain(elements).collect();
    let variables: BTreeMap<_, _> =
        variables.iter().copied().chain([("DIB_PYTHON_VERSION", "3")]).collect();
    build_in(place, "disk-image-create", &words, &variables)?;
    let keep = ["/etc/*", "/home/*", "/root/*", "/usr/local/*", "/opt/*", "/srv/*"];
    Tree::read(&place.path("x.tar"), &keep)
}
