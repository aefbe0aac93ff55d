//! What an element needs that cannot be had where the tests run: all they have is an archive
//! of Debian.

use std::collections::BTreeMap;

use super::hooks::Facts;
use super::{Around, Reason};
use crate::element::Element;
use crate::element::inspect::{self, Place};

/// The family whose packages can be had.
const FAMILY: &str = "debian";

/// Package managers of other families.
const OTHERS: [(&str, &str); 8] = [
    ("dnf", "Red Hat"),
    ("microdnf", "Red Hat"),
    ("rpm", "Red Hat or SUSE"),
    ("subscription-manager", "Red Hat"),
    ("yum", "Red Hat"),
    ("zypper", "SUSE"),
    ("emerge", "Gentoo"),
    ("apk", "Alpine"),
];

/// What stands in the way of building the element, or anything it depends on, there.
pub(super) fn missing(
    element: &Element,
    around: &Around<'_>,
    facts: &BTreeMap<String, Facts>,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for one in std::iter::once(&element).chain(&around.elements) {
        let Some(read) = facts.get(&one.name) else { continue };
        let whose = Some(one.name.clone()).filter(|name| *name != element.name);
        for (file, line, reason) in of_element(read) {
            reasons.push(Reason { element: whose.clone(), file, line, reason });
        }
    }
    reasons
}

fn of_element(read: &Facts) -> Vec<(std::path::PathBuf, usize, String)> {
    let mut found: Vec<(std::path::PathBuf, usize, String)> = Vec::new();
    for script in &read.hooks {
        let mut add = |line: usize, reason: String| {
            if !found.iter().any(|(.., known)| *known == reason) {
                found.push((script.file.clone(), line, reason));
            }
        };
        for (index, line) in script.text.lines().enumerate() {
            let assigned = line.trim().trim_start_matches("export ").strip_prefix("DISTRO_NAME=");
            let name = assigned.map(|name| name.trim_matches(['"', '\'']));
            if let Some(name) = name.filter(|name| !name.contains('$') && *name != FAMILY) {
                add(index + 1, format!("it takes an archive of {name}"));
            }
        }
        for call in script.calls.iter().filter(|call| !call.tolerated && !call.conditional) {
            let inside = call.in_image || script.place == Place::Target;
            let family = OTHERS.iter().find(|(name, _)| inside && *name == call.program);
            if let Some((name, family)) = family {
                add(call.line, format!("it takes an image of the {family} family ({name})"));
            }
            let python = matches!(call.program.as_str(), "pip" | "pip2" | "pip3" | "virtualenv");
            if python && call.arguments.iter().any(|word| word == "install") {
                add(call.line, "it takes packages from PyPI".to_owned());
            }
        }
        for (line, host) in inspect::hosts(&script.text) {
            if !can_be_had(&host) {
                add(line, format!("it downloads from {host}"));
            }
        }
    }
    for (file, line, text) in &read.sources {
        for (_, host) in inspect::hosts(text) {
            if !can_be_had(&host) {
                found.push((file.clone(), *line, format!("it downloads from {host}")));
            }
        }
    }
    found
}

fn can_be_had(host: &str) -> bool {
    host == "debian.org" || host.ends_with(".debian.org") || host.starts_with("127.")
}
