//! The packages of an archive, and which of them satisfy a relation.

use std::collections::{BTreeMap, HashMap};

use debversion::Version;

use super::Package;
use super::relation::{Relation, clauses};
use crate::digest::Digest;

/// All packages of all suites, the highest version of each name.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) packages: Vec<Candidate>,
    by_name: HashMap<String, usize>,
    /// Virtual names: who provides them, in which version.
    provided: BTreeMap<String, Vec<(usize, Option<Version>)>>,
}

#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) package: Package,
    version: Version,
    pub(super) essential: bool,
    pub(super) priority: String,
    pub(super) depends: String,
    pub(super) conflicts: String,
    pub(super) provides: String,
}

impl Pool {
    /// Adds the packages of an index.
    pub(super) fn add(&mut self, text: &str, mirror: &str, arch: &str) {
        for paragraph in deb822_fast::borrowed::iter_paragraphs_borrowed(text) {
            let Ok(paragraph) = paragraph else { continue };
            let get = |name: &str| paragraph.get_field(name).map(|field| field.join());
            let Some(candidate) = candidate(&get, mirror, arch) else { continue };
            match self.by_name.get(&candidate.package.name) {
                Some(&at) if self.packages[at].version >= candidate.version => {}
                Some(&at) => self.packages[at] = candidate,
                None => {
                    self.by_name.insert(candidate.package.name.clone(), self.packages.len());
                    self.packages.push(candidate);
                }
            }
        }
        self.index_provides();
    }

    fn index_provides(&mut self) {
        self.provided.clear();
        for (at, candidate) in self.packages.iter().enumerate() {
            for relation in clauses(&candidate.provides).into_iter().flatten() {
                let version = relation.version.map(|(_, version)| version);
                self.provided.entry(relation.name).or_default().push((at, version));
            }
        }
        for providers in self.provided.values_mut() {
            // As apt does: awk is mawk, which the archive requires, not gawk.
            providers.sort_by_key(|(at, _)| {
                let candidate = &self.packages[*at];
                (rank(&candidate.priority), candidate.package.name.clone())
            });
        }
    }

    /// The package of that name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The real packages that satisfy a relation, the one of that name first.
    pub(super) fn satisfying(&self, relation: &Relation) -> Vec<usize> {
        let mut found = Vec::new();
        if let Some(&at) = self.by_name.get(&relation.name)
            && relation.version.as_ref().is_none_or(|(operator, version)| {
                operator.holds(&self.packages[at].version, version)
            })
        {
            found.push(at);
        }
        for (at, version) in self.provided.get(&relation.name).into_iter().flatten() {
            let fits = match (&relation.version, version) {
                (None, _) => true,
                (Some((operator, want)), Some(have)) => operator.holds(have, want),
                (Some(_), None) => false,
            };
            if fits && !found.contains(at) {
                found.push(*at);
            }
        }
        found
    }
}

/// The order of priorities, the weightiest first.
fn rank(priority: &str) -> usize {
    let order = ["required", "important", "standard", "optional"];
    order.iter().position(|name| *name == priority).unwrap_or(order.len())
}

fn candidate(get: &impl Fn(&str) -> Option<String>, mirror: &str, arch: &str) -> Option<Candidate> {
    let of_arch = get("Architecture")?;
    if of_arch != arch && of_arch != "all" {
        return None;
    }
    let (version, filename) = (get("Version")?, get("Filename")?);
    // A name that climbs would be fetched from, and named after, something else.
    if filename.starts_with('/') || filename.split('/').any(|part| part == "..") {
        return None;
    }
    let package = Package {
        name: get("Package")?,
        url: format!("{mirror}/{filename}"),
        size: get("Size")?.parse().ok()?,
        digest: Digest::from_hex(&get("SHA256")?).ok()?,
        version: version.clone(),
    };
    let join = |one: &str, two: &str| {
        [get(one), get(two)].into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    Some(Candidate {
        package,
        version: version.parse().ok()?,
        essential: get("Essential").is_some_and(|value| value == "yes"),
        priority: get("Priority").unwrap_or_default(),
        depends: join("Pre-Depends", "Depends"),
        conflicts: join("Conflicts", "Breaks"),
        provides: get("Provides").unwrap_or_default(),
    })
}
