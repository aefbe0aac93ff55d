//! What hooks saw, line by line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use goldsmith_tests::Tree;

use crate::elements::{ORDER, PHASES};

/// Facts that differ on purpose, and why: `NAME`, or `PHASE NAME`; a `*` at the end stands for
/// any rest.
const KNOWN: &[(&str, &str)] = &[
    ("block-device.d dev", "there the image's tree is moved away first, here it stays"),
    ("block-device.d sys", "as dev"),
    ("block-device.d tmp", "as dev"),
    ("device console", "a container has none"),
    ("device ptmx", "a link to that of devpts"),
    ("function _ps4", "for its own trace"),
    ("in tmp", "its dib-run-parts measures times there"),
    ("mount /", "an overlay, until the disk is made; there a directory, then a disk"),
    ("mount /dev/*", "the nodes, which nobody can make in a user namespace"),
    ("mount /goldsmith/*", "resolv.conf, stand-ins of boot loaders and what these say"),
    ("mount /proc/*", "of which parts are read-only or covered, as in every container"),
    ("mount /sys/*", "as /proc"),
    ("mount /tmp/in_target.d", "the hooks tree is an overlay; both are read-only"),
    ("proc", "a fresh one, of which parts are read-only, as in every container"),
    ("resolv.conf", "it puts its own into the tree, here it is mounted"),
    ("root.d dev/pts", "as the nodes"),
    ("root.d device *", "mmdebstrap makes nodes in the tree; ours come with the mounts"),
    ("signals", "python's, which started its shell, ignores two"),
    ("top", "a mount point of ours; lost+found of its disk"),
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
    ("variable DIB_ENV", "all others in one"),
    ("variable DIB_LOCKFILES", "a path"),
    ("variable DIB_PYTHON_EXEC", "a path"),
    ("variable ELEMENTS_PATH", "paths"),
    ("variable HOME", "the caller's; here root's"),
    ("variable IMAGE_ELEMENT_YAML", "the same mapping in another style, with paths"),
    ("variable PATH", "its own has no shims, and in the image a literal $PATH"),
    ("variable SHLVL", "one shell less"),
    ("variable _LIB", "a path"),
];

/// Variables that hold directories which differ: paths below them are compared from there on.
const PLACES: [&str; 4] = ["TMP_BUILD_DIR", "TMP_IMAGE_DIR", "DIB_IMAGE_CACHE", "PWD"];

/// The value of a variable in a hook's report.
pub(crate) fn variable(report: &str, name: &str) -> Option<String> {
    let start = format!("variable {name}=");
    report.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
}

/// The facts of a report. Paths are told apart from names of variables by what those hold.
fn facts(report: &str) -> BTreeMap<String, String> {
    let split = |line: &str| {
        let between = if line.starts_with("variable ") { "=" } else { ": " };
        let (name, value) = line.split_once(between).unwrap_or((line, ""));
        (name.to_owned(), value.trim().to_owned())
    };
    let raw: BTreeMap<_, _> = report.lines().map(split).collect();
    let places: Vec<_> = PLACES
        .iter()
        .filter_map(|name| Some((*name, raw.get(&format!("variable {name}"))?.clone())))
        // In the image the last one is /.
        .filter(|(_, path)| path.len() > 1)
        .collect();
    let value = |(name, value): (String, String)| {
        let value = match name.as_str() {
            // In random order there.
            "variable IMAGE_ELEMENT" => {
                let mut elements: Vec<_> = value.split_whitespace().collect();
                elements.sort_unstable();
                elements.join(" ")
            }
            // Whichever loop device is free.
            "variable IMAGE_BLOCK_DEVICE" | "variable IMAGE_BLOCK_DEVICES" => {
                let parts = value.split("/dev/loop");
                let parts: Vec<_> = parts
                    .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
                    .collect();
                parts.join("/dev/loopN")
            }
            // In blocks of whatever file system each was built on.
            "variable DIB_IMAGE_SIZE" => String::new(),
            _ => places.iter().fold(value, |value, (place, path)| {
                value.replace(path.as_str(), &format!("${place}"))
            }),
        };
        (name, value)
    };
    raw.clone().into_iter().map(value).collect()
}

/// Compares the reports of all phases.
pub(crate) fn compare(theirs: &Tree, ours: &Tree) -> Result<()> {
    let mut unknown = Vec::new();
    let mut used = BTreeSet::new();
    for phase in PHASES {
        let name = format!("/probe/order-{phase}");
        for (whose, tree) in [("theirs", theirs), ("ours", ours)] {
            let order: Vec<_> = tree.text(&name)?.lines().collect();
            ensure!(order == ORDER, "{phase} of {whose} ran in the order {order:?}");
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
            let in_phase = format!("{phase} {name}");
            let is = |known: &&&str| matches(known, name) || matches(known, &in_phase);
            match known.map(|(known, _)| known).find(is) {
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

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}
