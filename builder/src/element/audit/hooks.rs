//! What the scripts of an element do, and what of it a sandbox refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Around, Reason};
use crate::element::inspect::{self, Call, Place};
use crate::element::{Element, base_yaml};
use crate::error::{Failure, Kind, Result};

/// A script.
#[derive(Debug)]
pub(super) struct Script {
    /// Below the element.
    pub(super) file: PathBuf,
    pub(super) place: Place,
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
}

/// What was read of an element.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Hooks and fragments of the environment.
    pub(super) hooks: Vec<Script>,
    /// Programs in bin/.
    pub(super) programs: BTreeMap<String, Script>,
    /// Its layout of the disk, when that cannot be written: file, why.
    pub(super) layout: Option<(PathBuf, String)>,
    /// Lines of source-repository files.
    pub(super) sources: Vec<(PathBuf, usize, String)>,
}

pub(super) fn read(element: &Element) -> Result<Facts> {
    let failed = |error: std::io::Error| Failure::wrap(Kind::Configuration, "an element", &error);
    let base = base_yaml::read(&element.path.join("base.yaml"), &BTreeMap::new());
    let replaced = base.ok().flatten().map(|base| base.replaces().to_vec()).unwrap_or_default();
    let mut facts = Facts::default();
    for entry in walkdir::WalkDir::new(&element.path).follow_links(true).sort_by_file_name() {
        let Ok(entry) = entry else { continue };
        let file = entry.path().strip_prefix(&element.path).unwrap_or(entry.path()).to_path_buf();
        let own = crate::compat::REPLACED.iter().any(|(name, _)| file == Path::new(name))
            || crate::compat::REPLACED_HOOKS
                .iter()
                .any(|(of, hook)| element.name == *of && file == Path::new(hook));
        let ours = own || replaced.iter().any(|hook| file == Path::new(hook));
        if !entry.file_type().is_file() || ours {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let top = file.components().count() == 1;
        let place = inspect::place(&file);
        if !(top || place.is_some()) {
            continue;
        }
        let bytes = fs_err::read(entry.path()).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if top && name.starts_with("block-device-") {
            if let Some((_, why)) = crate::block_device::problem(&text) {
                facts.layout.get_or_insert((file, why));
            }
        } else if top && name.starts_with("source-repository-") {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
            facts
                .sources
                .extend(lines.map(|(index, line)| (file.clone(), index + 1, line.to_owned())));
        } else if let Some(place) = place
            && inspect::is_shell(&text, &file)
            && (runs(&entry, &name) || place == Place::Either)
        {
            let script = Script { place, calls: inspect::calls(&text), text, file };
            if script.file.starts_with("bin") {
                facts.programs.insert(name, script);
            } else {
                facts.hooks.push(script);
            }
        }
    }
    Ok(facts)
}

/// Whether a file of a phase is a hook (contract 2.5).
fn runs(entry: &walkdir::DirEntry, name: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = entry.metadata().is_ok_and(|data| data.permissions().mode() & 0o111 != 0);
    executable && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// What keeps the element, or anything it depends on, from running in sandboxes; and which
/// programs the tools container lacks for it.
pub(super) fn refused(
    element: &Element,
    around: &Around<'_>,
    facts: &BTreeMap<String, Facts>,
) -> (Vec<Reason>, Vec<Reason>) {
    let mut reasons = Vec::new();
    let mut lacks = Vec::new();
    for (asks, name) in &around.dangling {
        let deps = fs_err::read_to_string(asks.path.join("element-deps")).unwrap_or_default();
        let line = deps.lines().position(|line| line.trim() == name).map_or(0, |at| at + 1);
        reasons.push(Reason {
            element: Some(asks.name.clone()).filter(|asks| *asks != element.name),
            file: "element-deps".into(),
            line,
            reason: format!("no element is or provides {name}"),
        });
    }
    for one in std::iter::once(&element).chain(&around.elements) {
        let Some(read) = facts.get(&one.name) else { continue };
        let whose = Some(one.name.clone()).filter(|name| *name != element.name);
        if let Some((file, why)) = &read.layout {
            let (file, reason) = (file.clone(), why.clone());
            reasons.push(Reason { element: whose.clone(), file, line: 0, reason });
        }
        let mut seen = BTreeSet::new();
        for hook in &read.hooks {
            let mut todo = vec![(one.name.clone(), hook, hook.place)];
            while let Some((owner, script, place)) = todo.pop() {
                if !seen.insert((owner.clone(), script.file.clone(), place == Place::Host)) {
                    continue;
                }
                for obstacle in inspect::obstacles(&script.text, place) {
                    let reason = match obstacle.package {
                        Some(package) => format!("it takes --tools-package {package}"),
                        None => obstacle.reason,
                    };
                    let list = if obstacle.package.is_some() { &mut lacks } else { &mut reasons };
                    list.push(Reason {
                        element: Some(owner.clone()).filter(|owner| *owner != element.name),
                        file: script.file.clone(),
                        line: obstacle.line,
                        reason,
                    });
                }
                // Programs of elements that it calls, by path or by name.
                for call in script.calls.iter().filter(|call| !call.tolerated) {
                    let found = std::iter::once(&element).chain(&around.elements).find_map(|of| {
                        let program = facts.get(&of.name)?.programs.get(&call.program)?;
                        Some((of.name.clone(), program, place))
                    });
                    todo.extend(found);
                }
            }
        }
    }
    (tidied(reasons), tidied(lacks))
}

/// The element's own first, and the same of one file once.
fn tidied(mut reasons: Vec<Reason>) -> Vec<Reason> {
    reasons.sort_by_key(|reason| reason.element.is_some());
    let mut seen = BTreeSet::new();
    reasons.retain(|reason| {
        seen.insert((reason.element.clone(), reason.file.clone(), reason.reason.clone()))
    });
    reasons
}
