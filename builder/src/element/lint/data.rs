//! Data files: whether they can be read, and whether what they say means anything
//! (contract 3.4 to 3.6 and 4).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::Finding;
use super::file::File;
use crate::element::base_yaml;

/// The file that maps names of packages; an element of that name reads it.
const PACKAGES: &str = "pkg-map";
/// The same for services.
const SERVICES: &str = "svc-map";

/// Where packages can be installed.
const PHASES: [&str; 3] = ["pre-install.d", "install.d", "post-install.d"];

/// What an entry of package-installs may say.
const PROPERTIES: [&str; 8] = [
    "phase",
    "uninstall",
    "build-only",
    "installtype",
    "arch",
    "not-arch",
    "dib_python_version",
    "when",
];

/// Sections of a map of packages, and how many levels of maps lie above the names.
const SECTIONS: [(&str, usize); 4] = [("default", 0), ("family", 1), ("distro", 1), ("release", 2)];

/// Data files that hooks read.
const READ_BY_HOOKS: [&str; 4] =
    ["package-installs.yaml", "package-installs.json", PACKAGES, SERVICES];

/// The data files of an element, given by its directory, that no hook can read: what
/// explains the failure of one that was to.
pub fn unreadable(element: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let paths = READ_BY_HOOKS.iter().map(|name| element.join(name));
    for path in paths.filter(|path| path.is_file()) {
        if let Ok(file) = File::read(element, path, &BTreeSet::new()) {
            check(&file, &mut findings);
        }
    }
    findings.retain(|finding| ["yaml", "json"].contains(&finding.check));
    findings
}

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let name = file.name();
    let top = file.inside.components().count() == 1;
    if top && name == "base.yaml" {
        // Not YAML until its variables are expanded.
        if let Err(failure) = base_yaml::read(&file.path, &BTreeMap::new()) {
            let line = number_in(&failure.message);
            let instead = failure.hints.join("; ");
            file.report(findings, line, "base-yaml", failure.message, instead);
        }
    } else if file.ends_in("yaml") || top && name.as_str() == SERVICES {
        if let Some(value) = yaml(file, findings) {
            structure(file, &value, findings);
        }
    } else if (file.inside.ends_with(PACKAGES) && !file.executable)
        || (top && name == "package-installs.json")
    {
        match serde_json::from_str::<Value>(&file.text) {
            Ok(value) => structure(file, &value, findings),
            Err(error) => {
                let reason = format!("no JSON: {error}");
                file.report(findings, error.line(), "json", reason, "mend the syntax");
            }
        }
    }
}

/// Parses YAML as PyYAML does: a key that stands twice has its last value.
fn yaml(file: &File, findings: &mut Vec<Finding>) -> Option<Value> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    match serde_saphyr::from_str_with_options::<Value>(&file.text, options) {
        Ok(value) => Some(value),
        Err(error) => {
            let line = error.location().map_or(0, |at| usize::try_from(at.line()).unwrap_or(0));
            let text = error.to_string();
            let text = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            file.report(findings, line, "yaml", format!("no YAML: {text}"), "mend the syntax");
            None
        }
    }
}

fn structure(file: &File, value: &Value, findings: &mut Vec<Finding>) {
    if file.inside.components().count() != 1 {
        return;
    }
    let name = file.name();
    let mut wrong: Vec<(&str, String, String)> = Vec::new();
    let check = match name.as_str() {
        "package-installs.yaml" | "package-installs.json" => {
            package_installs(value, &mut wrong);
            "package-installs-entry"
        }
        PACKAGES => {
            package_names(value, &mut wrong);
            "package-names"
        }
        SERVICES => {
            service_names(value, &mut wrong);
            "service-names"
        }
        _ if name.starts_with("block-device-") => {
            if let Some((line, words)) = crate::block_device::problem(&file.text) {
                let instead = "docs/disks.md says which layouts can be written";
                let line = usize::try_from(line).unwrap_or(0);
                file.report(findings, line, "block-device", words, instead);
            }
            return;
        }
        _ => return,
    };
    for (near, reason, instead) in wrong {
        file.report(findings, line_of(file, near), check, reason, instead);
    }
}

type Wrong<'a> = Vec<(&'a str, String, String)>;

fn map<'a>(value: &'a Value, what: &str, wrong: &mut Wrong<'_>) -> Option<&'a Map<String, Value>> {
    let map = value.as_object();
    if map.is_none() && !value.is_null() {
        let instead = format!("write {what}: VALUE, one a line");
        wrong.push(("", format!("the file is no map of {what}s"), instead));
    }
    map
}

fn package_installs<'a>(value: &'a Value, wrong: &mut Wrong<'a>) {
    for (package, entry) in map(value, "package", wrong).into_iter().flatten() {
        let entries = match entry {
            Value::Array(list) => list.as_slice(),
            other => std::slice::from_ref(other),
        };
        for entry in entries {
            match entry {
                Value::Object(entry) => properties(package, entry, wrong),
                Value::Null => {}
                Value::String(text) if text.is_empty() => {}
                other => {
                    let reason = format!("{package}: {other} is no map of properties");
                    let instead = "leave the value out, or write a map or a list of maps";
                    wrong.push((package, reason, instead.to_owned()));
                }
            }
        }
    }
}

fn properties<'a>(package: &'a str, entry: &'a Map<String, Value>, wrong: &mut Wrong<'a>) {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    for key in entry.keys().filter(|key| !PROPERTIES.contains(&key.as_str())) {
        let reason = format!("{package}: there is no property {key}");
        wrong.push((key, reason, format!("one of {}", PROPERTIES.join(", "))));
    }
    if let Some(phase) = text("phase").filter(|phase| !PHASES.contains(phase)) {
        let reason = format!("{package}: nothing is installed in phase {phase}");
        wrong.push((phase, reason, format!("one of {}", PHASES.join(", "))));
    }
    if entry.contains_key("arch") && entry.contains_key("not-arch") {
        let reason = format!("{package}: both arch and not-arch");
        wrong.push((package, reason, "keep one of them".to_owned()));
    }
    for key in ["arch", "not-arch"] {
        if let Some(list) = text(key).filter(|list| list.contains(", ")) {
            let reason = format!("{package}: {key}: the blank in {list:?} becomes part of a name");
            wrong.push((list, reason, "no blank after the comma".to_owned()));
        }
    }
    if entry.get("uninstall") == Some(&Value::Bool(false)) {
        let reason = format!("{package}: uninstall uninstalls, whatever its value");
        wrong.push((package, reason, "leave it out".to_owned()));
    }
    let conditions = match entry.get("when") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    for condition in conditions {
        let sides = condition.split_once("!=").or_else(|| condition.split_once('='));
        let name = sides.map(|(name, _)| name.trim()).unwrap_or_default();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let reason = format!("{package}: {condition:?} is no condition");
            wrong.push((condition, reason, "VARIABLE = value, or VARIABLE != value".to_owned()));
        }
    }
}

fn package_names<'a>(value: &'a Value, wrong: &mut Wrong<'a>) {
    for (section, names) in map(value, "section", wrong).into_iter().flatten() {
        if let Some((_, levels)) = SECTIONS.iter().find(|(known, _)| known == section) {
            leaves(section, names, *levels, wrong);
            continue;
        }
        let reason = format!("there is no section {section}: nobody reads it");
        let known = SECTIONS.map(|(name, _)| name).join(", ");
        wrong.push((section, reason, format!("one of {known}")));
    }
}

fn service_names<'a>(value: &'a Value, wrong: &mut Wrong<'a>) {
    for (service, names) in map(value, "service", wrong).into_iter().flatten() {
        leaves(service, names, 0, wrong);
    }
}

/// Asks for strings below `levels` levels of maps and one of names.
fn leaves<'a>(key: &'a str, value: &'a Value, levels: usize, wrong: &mut Wrong<'a>) {
    let Some(map) = value.as_object() else {
        let reason = format!("{key}: {value} is no map");
        wrong.push((key, reason, "a map of names".to_owned()));
        return;
    };
    for (name, inner) in map {
        if levels > 0 {
            leaves(name, inner, levels - 1, wrong);
        } else if !inner.is_string() {
            let reason = format!("{key}: {name}: {inner} is no string");
            let instead = "one string; several names with blanks between, none for nothing";
            wrong.push((name, reason, instead.to_owned()));
        }
    }
}

/// The first line that has `near` as a word of its own, 0 without one.
fn line_of(file: &File, near: &str) -> usize {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
    let has = |line: &str| {
        line.match_indices(near).any(|(at, _)| {
            !line[..at].ends_with(word) && !line[at + near.len()..].starts_with(word)
        })
    };
    if near.is_empty() {
        return 0;
    }
    file.text.lines().position(has).map_or(0, |index| index + 1)
}

/// The number after `line ` in a message.
fn number_in(message: &str) -> usize {
    let after = message.split_once("line ").map(|(_, rest)| rest).unwrap_or_default();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}
