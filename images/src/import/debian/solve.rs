//! Chooses packages: the closure of dependencies, first alternatives preferred, as apt
//! does for a fresh system without recommendations.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use debversion::Version;

use super::relation::{Relation, clauses};
use super::{ArchiveSpec, Package, Variant};
use crate::digest::Digest;

/// Why no set of packages fits.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// Somebody asked for a package that is not there.
    #[error("package {name} is in none of the suites")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// No alternative of a dependency can be had.
    #[error("package {package} needs {needs}, which cannot be had")]
    Unsatisfied {
        /// Who needs it.
        package: String,
        /// The clause.
        needs: String,
    },
    /// Two chosen packages exclude each other.
    #[error("packages {one} and {other} exclude each other")]
    Conflict {
        /// The one that says so.
        one: String,
        /// The other.
        other: String,
    },
}

/// All packages of all suites, the highest version of each name.
#[derive(Debug, Default)]
pub(super) struct Pool {
    packages: Vec<Candidate>,
    by_name: HashMap<String, usize>,
    /// Virtual names: who provides them, in which version.
    provided: BTreeMap<String, Vec<(usize, Option<Version>)>>,
}

#[derive(Debug)]
struct Candidate {
    package: Package,
    version: Version,
    essential: bool,
    priority: String,
    depends: String,
    conflicts: String,
    provides: String,
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

    /// The real packages that satisfy a relation, the one of that name first.
    fn satisfying(&self, relation: &Relation) -> Vec<usize> {
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

/// Chooses the packages that `spec` asks for, sorted by name.
pub(super) fn solve(pool: &Pool, spec: &ArchiveSpec) -> Result<Vec<Package>, SolveError> {
    let mut chosen = BTreeSet::new();
    let mut queue = VecDeque::new();
    let excluded = |at: usize| spec.exclude.contains(&pool.packages[at].package.name);
    let choose = |at: usize, chosen: &mut BTreeSet<usize>, queue: &mut VecDeque<usize>| {
        if chosen.insert(at) {
            queue.push_back(at);
        }
    };
    for at in wanted(pool, spec)? {
        choose(at, &mut chosen, &mut queue);
    }
    while let Some(at) = queue.pop_front() {
        for clause in clauses(&pool.packages[at].depends) {
            let options: Vec<usize> = clause
                .iter()
                .flat_map(|relation| pool.satisfying(relation))
                .filter(|&option| !excluded(option))
                .collect();
            if options.iter().any(|option| chosen.contains(option)) {
                continue;
            }
            // A later package of the roots may satisfy the clause as well as any other.
            let Some(&first) = options.first() else {
                let needs: Vec<_> = clause.iter().map(|relation| relation.name.as_str()).collect();
                return Err(SolveError::Unsatisfied {
                    package: pool.packages[at].package.name.clone(),
                    needs: needs.join(" | "),
                });
            };
            choose(first, &mut chosen, &mut queue);
        }
    }
    check_conflicts(pool, &chosen)?;
    let mut packages: Vec<_> = chosen.iter().map(|&at| pool.packages[at].package.clone()).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// The packages that are asked for by name or by variant, in a fixed order.
fn wanted(pool: &Pool, spec: &ArchiveSpec) -> Result<Vec<usize>, SolveError> {
    let mut roots = BTreeMap::new();
    for (at, candidate) in pool.packages.iter().enumerate() {
        let by_priority = match spec.variant {
            Variant::Apt => false,
            Variant::Minbase => candidate.priority == "required",
            Variant::Important => matches!(candidate.priority.as_str(), "required" | "important"),
        };
        if candidate.essential || by_priority {
            roots.insert(candidate.package.name.clone(), at);
        }
    }
    for name in ["apt"].into_iter().map(str::to_owned).chain(spec.include.iter().cloned()) {
        let relation = Relation { name: name.clone(), version: None };
        let at = pool.satisfying(&relation).first().copied();
        let at = at.ok_or(SolveError::Unknown { name: name.clone() })?;
        roots.insert(name, at);
    }
    roots.retain(|_, at| !spec.exclude.contains(&pool.packages[*at].package.name));
    Ok(roots.into_values().collect())
}

fn check_conflicts(pool: &Pool, chosen: &BTreeSet<usize>) -> Result<(), SolveError> {
    for &at in chosen {
        for relation in clauses(&pool.packages[at].conflicts).into_iter().flatten() {
            let other =
                pool.satisfying(&relation).into_iter().find(|&o| o != at && chosen.contains(&o));
            if let Some(other) = other {
                return Err(SolveError::Conflict {
                    one: pool.packages[at].package.name.clone(),
                    other: pool.packages[other].package.name.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(list: &[(&str, &str, &str)]) -> Pool {
        let mut text = String::new();
        for (name, version, rest) in list {
            let digest = Digest::of(name).hex();
            text.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: p/{name}.deb\nSize: 1\nSHA256: {digest}\n{rest}\n\n"
            ));
        }
        let mut pool = Pool::default();
        pool.add(&text, "http://m", "amd64");
        pool
    }

    fn names(list: &[(&str, &str, &str)], include: &[&str]) -> Result<Vec<String>, SolveError> {
        let spec = ArchiveSpec {
            suites: Vec::new(),
            arch: "amd64".into(),
            variant: Variant::Apt,
            include: include.iter().map(|name| (*name).to_owned()).collect(),
            exclude: vec!["never".into()],
        };
        let packages = solve(&pool(list), &spec)?;
        Ok(packages.into_iter().map(|package| package.name).collect())
    }

    const APT: (&str, &str, &str) = ("apt", "1", "Depends: libc (>= 2), awk");

    #[test]
    fn alternatives_and_virtual_names() {
        let list = [
            APT,
            ("libc", "2.1", "Essential: yes"),
            ("mawk", "1", "Provides: awk"),
            ("gawk", "1", "Provides: awk"),
            ("tool", "1", "Depends: never | gawk (>= 1)"),
            ("never", "1", ""),
        ];
        assert_eq!(names(&list, &[]).unwrap(), ["apt", "gawk", "libc"]);
        assert_eq!(names(&list, &["mawk"]).unwrap(), ["apt", "libc", "mawk"]);
        let mut weighty = list;
        weighty[2].2 = "Provides: awk\nPriority: required";
        assert_eq!(names(&weighty, &[]).unwrap(), ["apt", "libc", "mawk"]);
        assert_eq!(names(&list, &["tool"]).unwrap(), ["apt", "gawk", "libc", "tool"]);
    }

    #[test]
    fn the_highest_version_wins_and_failures_say_why() {
        let list = [APT, ("libc", "1", ""), ("libc", "3", ""), ("awk", "1", "Conflicts: bad")];
        assert_eq!(names(&list, &[]).unwrap(), ["apt", "awk", "libc"]);
        assert!(matches!(names(&list, &["nope"]), Err(SolveError::Unknown { .. })));
        let old = [APT, ("libc", "1", ""), ("awk", "1", "")];
        assert!(matches!(names(&old, &[]), Err(SolveError::Unsatisfied { .. })));
        let clash = [APT, ("libc", "2", ""), ("awk", "1", "Conflicts: bad"), ("bad", "1", "")];
        assert!(matches!(names(&clash, &["bad"]), Err(SolveError::Conflict { .. })));
    }
}
