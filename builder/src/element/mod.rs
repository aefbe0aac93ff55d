//! Elements: search path, dependencies, virtual names.

pub mod audit;
pub mod base_yaml;
mod graph;
pub mod inspect;
pub mod lint;
mod resolve;
mod search;
pub mod selftest;
pub mod shipped;

use std::path::PathBuf;

pub use graph::{dot, svg};
pub use resolve::resolve;
pub use search::{Catalogue, is_element, scan};

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// Index of the search path's entry that holds it.
    pub entry: usize,
    /// What it depends on.
    pub deps: Vec<String>,
    /// Virtual names that it provides.
    pub provides: Vec<String>,
}

/// The elements of a build, dependencies included, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementGraph {
    /// In the order they were found, breadth first from what the user named.
    pub elements: Vec<Element>,
    /// The entries of the search path.
    pub search_path: Vec<PathBuf>,
}

impl ElementGraph {
    /// The element of that name.
    pub fn get(&self, name: &str) -> Option<&Element> {
        self.elements.iter().find(|element| element.name == name)
    }

    /// The names, separated by blanks, as `IMAGE_ELEMENT` has them.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.elements.iter().map(|element| element.name.as_str()).collect();
        names.join(" ")
    }

    /// Where hooks see an element.
    pub fn inside(&self, element: &Element) -> String {
        format!("{}/{}/{}", crate::phase::paths::ELEMENTS, element.entry, element.name)
    }
}
