//! Chooses packages: the closure of dependencies, first alternatives preferred, in the order
//! in which apt goes for a fresh system without recommendations. A test compares the two.

use std::collections::{BTreeMap, BTreeSet};

use super::pool::Pool;
use super::relation::{Relation, clauses};
use super::{ArchiveSpec, Package, Variant};

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

/// Chooses the packages that `spec` asks for, sorted by name.
pub(super) fn solve(pool: &Pool, spec: &ArchiveSpec) -> Result<Vec<Package>, SolveError> {
    let wanted = wanted(pool, spec)?;
    let mut choice = Choice {
        pool,
        excluded: spec.exclude.iter().filter_map(|name| pool.named(name)).collect(),
        chosen: wanted.iter().copied().collect(),
        refused: Vec::new(),
    };
    choice.refused = wanted.iter().flat_map(|&at| choice.refusals(at)).collect();
    let mut followed = BTreeSet::new();
    for at in wanted {
        choice.follow(at, &mut followed)?;
    }
    let chosen = choice.chosen;
    check_conflicts(pool, &chosen)?;
    let mut packages: Vec<_> = chosen.iter().map(|&at| pool.packages[at].package.clone()).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// A choice in the making.
struct Choice<'a> {
    pool: &'a Pool,
    excluded: BTreeSet<usize>,
    chosen: BTreeSet<usize>,
    /// What chosen packages exclude.
    refused: Vec<Relation>,
}

impl Choice<'_> {
    /// Chooses what a package needs, and what that needs before its next need: as apt goes,
    /// for the order decides which alternatives are there already.
    fn follow(&mut self, at: usize, followed: &mut BTreeSet<usize>) -> Result<(), SolveError> {
        let pool = self.pool;
        let needs = |at: usize| (at, clauses(&pool.packages[at].depends).into_iter());
        if !followed.insert(at) {
            return Ok(());
        }
        let mut open = vec![needs(at)];
        while let Some((at, clauses)) = open.last_mut() {
            let at = *at;
            let Some(clause) = clauses.next() else {
                open.pop();
                continue;
            };
            if let Some(next) = self.satisfy(at, &clause)?
                && followed.insert(next)
            {
                open.push(needs(next));
            }
        }
        Ok(())
    }

    /// Chooses a package for a clause of `at`, unless one of them is there.
    fn satisfy(&mut self, at: usize, clause: &[Relation]) -> Result<Option<usize>, SolveError> {
        let pool = self.pool;
        let options: Vec<usize> = clause
            .iter()
            .flat_map(|relation| pool.satisfying(relation))
            .filter(|option| !self.excluded.contains(option))
            .collect();
        if options.iter().any(|option| self.chosen.contains(option)) {
            return Ok(None);
        }
        let fitting = match options.as_slice() {
            [_, _, ..] => options.iter().find(|&&option| self.fits(option)),
            _ => None,
        };
        let Some(&choice) = fitting.or(options.first()) else {
            let needs: Vec<_> = clause.iter().map(|relation| relation.name.as_str()).collect();
            return Err(SolveError::Unsatisfied {
                package: pool.packages[at].package.name.clone(),
                needs: needs.join(" | "),
            });
        };
        self.chosen.insert(choice);
        self.refused.extend(self.refusals(choice));
        Ok(Some(choice))
    }

    fn refusals(&self, at: usize) -> Vec<Relation> {
        clauses(&self.pool.packages[at].conflicts).into_iter().flatten().collect()
    }

    /// Whether a package and those that are chosen do not exclude each other.
    fn fits(&self, option: usize) -> bool {
        let candidate = &self.pool.packages[option];
        let names: BTreeSet<_> = clauses(&candidate.provides)
            .into_iter()
            .flatten()
            .map(|relation| relation.name)
            .chain([candidate.package.name.clone()])
            .collect();
        let refused = self.refused.iter().any(|relation| {
            names.contains(&relation.name) && self.pool.satisfying(relation).contains(&option)
        });
        !refused
            && !self.refusals(option).iter().any(|relation| {
                let others = self.pool.satisfying(relation);
                others.iter().any(|other| *other != option && self.chosen.contains(other))
            })
    }
}

/// The packages that are asked for: those of the variant by their names, then the others as
/// they are listed.
fn wanted(pool: &Pool, spec: &ArchiveSpec) -> Result<Vec<usize>, SolveError> {
    let mut roots = BTreeMap::new();
    for (at, candidate) in pool.packages.iter().enumerate() {
        let by_priority = match spec.variant {
            Variant::Apt => false,
            Variant::Minbase => candidate.priority == "required",
            Variant::Important => matches!(candidate.priority.as_str(), "required" | "important"),
        };
        if candidate.essential || by_priority {
            roots.insert(candidate.package.name.as_str(), at);
        }
    }
    let named = |name: &str| {
        let relation = Relation { name: name.to_owned(), version: None };
        let at = pool.satisfying(&relation).first().copied();
        at.ok_or_else(|| SolveError::Unknown { name: name.to_owned() })
    };
    roots.insert("apt", named("apt")?);
    let mut wanted: Vec<usize> = roots.into_values().collect();
    for name in &spec.include {
        wanted.push(named(name)?);
    }
    wanted.retain(|at| !spec.exclude.contains(&pool.packages[*at].package.name));
    Ok(wanted)
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
    use crate::digest::Digest;

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
    fn needs_of_needs_come_before_the_next_need() {
        let list = [
            APT,
            ("libc", "2", "Essential: yes"),
            ("awk", "1", ""),
            ("rotate", "1", "Depends: cron | init"),
            ("server", "1", "Depends: init-base, rotate"),
            ("init-base", "1", "Depends: init"),
            ("init", "1", ""),
            ("cron", "1", ""),
        ];
        assert_eq!(
            names(&list, &["server"]).unwrap(),
            ["apt", "awk", "init", "init-base", "libc", "rotate", "server"]
        );
        // What is asked for by name counts as there, in whatever order.
        assert!(names(&list, &["rotate", "server"]).unwrap().contains(&"cron".to_owned()));
        let asked = names(&list, &["rotate", "init"]).unwrap();
        assert!(!asked.contains(&"cron".to_owned()), "{asked:?}");
    }

    #[test]
    fn alternatives_that_exclude_what_is_there_are_passed_over() {
        let list = [
            APT,
            ("libc", "2", "Essential: yes"),
            ("awk", "1", ""),
            ("exim", "1", "Provides: mta\nConflicts: mta"),
            ("postfix", "1", "Provides: mta\nConflicts: mta"),
            ("cronlike", "1", "Depends: exim | postfix"),
            ("reader", "1", "Depends: sendmail | nomail"),
            ("sendmail", "1", ""),
            ("nomail", "1", ""),
            ("quiet", "1", "Breaks: sendmail"),
            ("mailer", "1", "Depends: mta (>= 1) | exim"),
        ];
        let has = |include: &[&str], name: &str| {
            names(&list, include).unwrap().contains(&name.to_owned())
        };
        assert!(!has(&["postfix", "cronlike"], "exim"));
        assert!(has(&["cronlike"], "exim"));
        assert!(has(&["quiet", "reader"], "nomail"));
        // A name that is provided without a version satisfies no versioned need.
        assert!(has(&["mailer"], "exim"));
    }

    #[test]
    fn versioned_provides_satisfy_versioned_needs() {
        let list = [
            APT,
            ("libc", "2", "Essential: yes"),
            ("awk", "1", ""),
            ("user", "1", "Depends: api (>= 2)"),
            ("old", "9", "Provides: api (= 1)"),
            ("new", "1", "Provides: api (= 2:1)"),
        ];
        let found = names(&list, &["user"]).unwrap();
        assert_eq!(found, ["apt", "awk", "libc", "new", "user"]);
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
