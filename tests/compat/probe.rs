//! What hooks saw, line by line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use goldsmith_tests::Tree;

use crate::elements::PHASES;

/// Facts that differ on purpose, and why.
const KNOWN: &[(&str, &str)] = &[
    ("dev/pts", "the host's is bound there, of the image's tree here"),
    ("proc", "a fresh one, of which parts are read-only, as in every container"),
    ("resolv.conf", "it puts its own into the tree, here it is mounted"),
    ("function _ps4", "for its own trace"),
    ("variable DIB_DEBIAN_SECURITY_MIRROR", "chosen as the main mirror is; hooks learn it"),
    ("variable GOLDSMITH_INSTALL_TYPE", "our own"),
    ("variable LC_CTYPE", "python's, which started its shell"),
    ("variable LOGNAME", "a user's variable, here always root"),
    ("variable OUT_IMAGE_PATH", "empty at all times"),
    ("variable PS4", "for its own trace"),
    ("variable SHELL", "sudo's"),
    ("variable SOURCE_DATE_EPOCH", "the build's clock"),
    ("variable SUDO_COMMAND", "sudo's"),
    ("variable TERM", "sudo's"),
    ("variable TMPDIR", "the caller's; here /tmp"),
    ("variable USER", "as LOGNAME"),
];

/// Variables whose values differ: only that both have them is compared.
const VALUES: &[(&str, &str)] = &[
    ("variable DIB_BLOCK_DEVICE_PARAMS_YAML", "a path"),
    ("variable DIB_ENV", "all others in one"),
    ("variable DIB_IMAGE_CACHE", "a path"),
    ("variable DIB_LOCKFILES", "a path"),
    ("variable DIB_PYTHON_EXEC", "a path"),
    ("variable ELEMENTS_PATH", "paths"),
    ("variable HOME", "the caller's; here root's"),
    ("variable IMAGE_ELEMENT_YAML", "the same mapping in another style, with paths"),
    ("variable PATH", "its own has no shims, and in the image a literal $PATH"),
    ("variable PWD", "a path"),
    ("variable SHLVL", "one shell less"),
    ("variable TARGET_ROOT", "a path"),
    ("variable TMP_BUILD_DIR", "a path"),
    ("variable TMP_HOOKS_PATH", "a path"),
    ("variable TMP_IMAGE_DIR", "a path"),
    ("variable TMP_MOUNT_PATH", "a path"),
    ("variable _LIB", "a path"),
];

/// The value of a variable in a hook's report.
pub(crate) fn variable(report: &str, name: &str) -> Option<String> {
    facts(report).remove(&format!("variable {name}"))
}

fn facts(report: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let split = if line.starts_with("variable ") { "=" } else { ": " };
        let (name, value) = line.split_once(split).unwrap_or((line, ""));
        let value = match name {
            // In random order there.
            "variable IMAGE_ELEMENT" => {
                let mut elements: Vec<_> = value.split_whitespace().collect();
                elements.sort_unstable();
                elements.join(" ")
            }
            // In blocks of whatever file system each was built on.
            "variable DIB_IMAGE_SIZE" => String::new(),
            _ => value.trim().to_owned(),
        };
        (name.to_owned(), value)
    };
    report.lines().map(pair).collect()
}

/// Compares the reports of all phases.
pub(crate) fn compare(theirs: &Tree, ours: &Tree) -> Result<()> {
    let mut unknown = Vec::new();
    let mut used = BTreeSet::new();
    for phase in PHASES {
        if phase == "block-device.d" {
            // Theirs is lost; see the list of paths.
            continue;
        }
        let name = format!("/probe/{phase}");
        let (theirs, ours) = (facts(theirs.text(&name)?), facts(ours.text(&name)?));
        let names: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
        for name in names {
            let (one, other) = (theirs.get(name), ours.get(name));
            if one == other {
                continue;
            }
            let both = one.is_some() && other.is_some();
            let known = KNOWN.iter().chain(VALUES.iter().filter(|_| both));
            match known.map(|(known, _)| known).find(|known| *known == name) {
                Some(known) => drop(used.insert(known)),
                None => unknown.push(format!("{phase} {name}: {one:?} / {other:?}")),
            }
        }
    }
    ensure!(unknown.is_empty(), "hooks see other things:\n{}", unknown.join("\n"));
    let stale: Vec<_> =
        KNOWN.iter().chain(VALUES).filter(|(name, _)| !used.contains(name)).collect();
    ensure!(stale.is_empty(), "these are the same by now: {stale:?}");
    Ok(())
}
