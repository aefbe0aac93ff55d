//! Dependencies and virtual names (contract 3.2).

use std::collections::{BTreeMap, VecDeque};

use super::{Catalogue, Element, ElementGraph};
use crate::error::{Failure, Kind, Result};

/// The virtual name that one element of every build provides.
const OPERATING_SYSTEM: &str = "operating-system";

/// Finds everything that `wanted` needs, breadth first; the order is the same every time.
///
/// # Errors
///
/// For an unknown element, for two that provide one name, for one that is named although
/// another provides it, and when nothing provides an operating system.
pub fn resolve(catalogue: &Catalogue, wanted: &[String]) -> Result<ElementGraph> {
    let mut provided: BTreeMap<String, String> = BTreeMap::new();
    let mut found: Vec<Element> = Vec::new();
    let mut queue: VecDeque<(String, Option<String>)> =
        wanted.iter().map(|name| (name.clone(), None)).collect();
    let mut seen: Vec<String> = wanted.to_vec();
    while let Some((name, by)) = queue.pop_front() {
        if provided.contains_key(&name) || found.iter().any(|element| element.name == name) {
            continue;
        }
        let element =
            catalogue.elements.get(&name).ok_or_else(|| catalogue.unknown(&name, by.as_deref()))?;
        for virtual_name in &element.provides {
            if let Some(other) = provided.insert(virtual_name.clone(), name.clone()) {
                let message = format!("elements {other} and {name} both provide {virtual_name}");
                return Err(Failure::new(Kind::Configuration, message)
                    .hint("name only one of them, or leave out what depends on the other"));
            }
        }
        for dep in &element.deps {
            if !seen.contains(dep) && !provided.contains_key(dep) {
                seen.push(dep.clone());
                queue.push_back((dep.clone(), Some(name.clone())));
            }
        }
        found.push(element.clone());
    }
    for name in wanted {
        if let Some(by) = provided.get(name).filter(|by| *by != name) {
            let message = format!("element {name} is named, but {by} provides it already");
            return Err(Failure::new(Kind::Configuration, message).hint("leave one of them out"));
        }
    }
    if !provided.contains_key(OPERATING_SYSTEM) {
        return Err(no_operating_system(catalogue));
    }
    found.retain(|element| !provided.contains_key(&element.name));
    Ok(ElementGraph { elements: found, search_path: catalogue.search_path.clone() })
}

impl Catalogue {
    /// The element of that name.
    ///
    /// # Errors
    ///
    /// When there is none; the failure names the search path and names that are near.
    pub fn get(&self, name: &str) -> Result<&Element> {
        self.elements.get(name).ok_or_else(|| self.unknown(name, None))
    }

    fn unknown(&self, name: &str, by: Option<&str>) -> Failure {
        let message = match by {
            Some(by) => format!("element {name}, which {by} depends on, is not found"),
            None => format!("element {name} is not found"),
        };
        let path: Vec<_> =
            self.search_path.iter().map(|entry| entry.display().to_string()).collect();
        let failure = Failure::new(Kind::Configuration, message)
            .hint(format!("elements are looked for in {}", path.join(", ")));
        let near: Vec<_> = self
            .elements
            .keys()
            .filter(|known| known.contains(name) || name.contains(known.as_str()))
            .take(5)
            .cloned()
            .collect();
        if near.is_empty() {
            failure
        } else {
            failure.hint(format!("did you mean {}?", near.join(", ")))
        }
    }
}

fn no_operating_system(catalogue: &Catalogue) -> Failure {
    let systems: Vec<_> = catalogue
        .elements
        .values()
        .filter(|element| element.provides.iter().any(|name| name == OPERATING_SYSTEM))
        .map(|element| element.name.clone())
        .collect();
    Failure::new(Kind::Configuration, "no element provides an operating system")
        .hint(format!("add one of: {}", systems.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(list: &[(&str, &[&str], &[&str])]) -> Catalogue {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut catalogue = Catalogue::default();
        for (name, deps, provides) in list {
            let element = Element {
                name: (*name).to_owned(),
                path: format!("/e/{name}").into(),
                entry: 0,
                deps: own(deps),
                provides: own(provides),
            };
            catalogue.elements.insert((*name).to_owned(), element);
        }
        catalogue
    }

    fn names(list: &[(&str, &[&str], &[&str])], wanted: &[&str]) -> Result<String> {
        let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
        resolve(&catalogue(list), &wanted).map(|graph| graph.names())
    }

    const OS: (&str, &[&str], &[&str]) = ("os", &["a"], &["operating-system"]);

    #[test]
    fn breadth_first_with_cycles_and_self_dependencies() {
        let list = [OS, ("a", &["b", "a"], &[]), ("b", &["a", "os"], &[])];
        assert_eq!(names(&list, &["b", "os"]).unwrap(), "b os a");
        assert_eq!(names(&list, &["os"]).unwrap(), "os a b");
    }

    #[test]
    fn a_provided_name_is_satisfied_and_a_real_element_of_it_dropped() {
        let list = [
            OS,
            ("a", &[], &[]),
            ("vm", &["block-device"], &[]),
            ("mbr", &[], &["block-device"]),
            ("gpt", &[], &["block-device"]),
        ];
        assert_eq!(names(&list, &["os", "mbr", "vm"]).unwrap(), "os mbr vm a");
        let both = names(&list, &["os", "mbr", "gpt"]).unwrap_err();
        assert!(both.message.contains("both provide block-device"), "{both}");
        let missing = names(&list, &["os", "vm"]).unwrap_err();
        assert!(missing.message.contains("block-device, which vm depends on"), "{missing}");
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let list = [OS, ("a", &[], &[]), ("x", &[], &["a"])];
        assert!(names(&list, &["a"]).unwrap_err().hints[0].contains("os"));
        assert!(names(&list, &["nope", "os"]).unwrap_err().message.contains("nope is not found"));
        assert!(names(&list, &["os", "a", "x"]).unwrap_err().message.contains("provides it"));
    }
}
