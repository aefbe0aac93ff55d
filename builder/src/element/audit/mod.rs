//! What can be said of every element of a tree without running it: whether a test of ours
//! builds it, what keeps it from being built where the tests run, or what no sandbox allows.
//!
//! Only the first is a promise. The other two come from reading scripts, and a script can do
//! what nobody reads.

mod evidence;
mod hooks;
mod needs;
mod table;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Catalogue, Element};
use crate::error::Result;
pub use evidence::{Evidence, digest, embedded};
pub use table::{markdown, plain};

/// What is known of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A test of goldsmith builds this very element.
    Exercised,
    /// Nothing was found that a sandbox refuses, but nothing here builds it.
    NotExercised,
    /// A sandbox refuses what it does.
    NotRootless,
}

/// Why, with where it can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The element whose file it is, when that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// The file below that element.
    pub file: PathBuf,
    /// Its line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// What stands there and means that.
    pub reason: String,
}

/// The verdict on one element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The element.
    pub element: String,
    /// What is known of it.
    pub class: Class,
    /// The test that builds it, for [`Class::Exercised`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Why it is not exercised; empty when no reason was found.
    pub reasons: Vec<Reason>,
    /// Digest of what the element does, for the list of what tests build.
    pub digest: String,
}

/// Judges every element of `tree`; what they depend on is looked for in `catalogue`, which
/// has the tree itself first. `shipped` are goldsmith's own elements, by name.
///
/// # Errors
///
/// When a file cannot be read.
pub fn audit(
    tree: &Path,
    catalogue: &Catalogue,
    shipped: &BTreeMap<String, PathBuf>,
) -> Result<Vec<Verdict>> {
    let own = super::scan(&[tree.to_path_buf()])?;
    let mut facts = BTreeMap::new();
    for element in catalogue.elements.values() {
        facts.insert(element.name.clone(), hooks::read(element)?);
    }
    let evidence = embedded()?;
    let mut verdicts = Vec::new();
    for element in own.elements.values() {
        let digest = digest(&element.path)?;
        let ours = match shipped.get(&element.name) {
            Some(path) => evidence::digest(path)? == digest,
            None => false,
        };
        if let Some(test) = evidence.test(&element.name, &digest, ours) {
            verdicts.push(Verdict {
                element: element.name.clone(),
                class: Class::Exercised,
                test: Some(test),
                reasons: Vec::new(),
                digest,
            });
            continue;
        }
        let around = dependencies(element, catalogue);
        let (mut reasons, lacks) = hooks::refused(element, &around, &facts);
        let mut class = Class::NotRootless;
        if reasons.is_empty() {
            class = Class::NotExercised;
            reasons = lacks;
            reasons.extend(needs::missing(element, &around, &facts));
            if let Some(lacks) = evidence.lacks(&element.name, &digest) {
                reasons.retain(|reason| reason.reason != lacks.reason);
                reasons.insert(0, lacks);
            }
        }
        let element = element.name.clone();
        verdicts.push(Verdict { element, class, test: None, reasons, digest });
    }
    Ok(verdicts)
}

/// What an element comes with.
struct Around<'a> {
    /// Everything it depends on, the nearest first, without itself.
    elements: Vec<&'a Element>,
    /// Names that nothing is or provides, with the element that asks for each.
    dangling: Vec<(&'a Element, String)>,
}

fn dependencies<'a>(element: &'a Element, catalogue: &'a Catalogue) -> Around<'a> {
    let provided: BTreeSet<_> =
        catalogue.elements.values().flat_map(|element| element.provides.iter()).collect();
    let mut around = Around { elements: Vec::new(), dangling: Vec::new() };
    let mut seen = BTreeSet::from([element.name.as_str()]);
    let mut queue = VecDeque::from([element]);
    while let Some(next) = queue.pop_front() {
        for name in &next.deps {
            if !seen.insert(name) {
                continue;
            }
            match catalogue.elements.get(name) {
                Some(dependency) => {
                    around.elements.push(dependency);
                    queue.push_back(dependency);
                }
                None if provided.contains(name) => {}
                None => around.dangling.push((next, name.clone())),
            }
        }
    }
    around
}

#[cfg(test)]
mod tests;
