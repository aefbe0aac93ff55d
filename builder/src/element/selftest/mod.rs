//! Tests that elements bring along (contract 7): Python's in `tests/`, and elements in
//! `test-elements/` that are built together with the one they test.

mod child;
mod functional;
mod unit;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Catalogue;
use crate::error::Result;
pub use child::Interrupts;
pub use functional::Builder;

/// What a test does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Runs the element's `tests/` by Python's unittest.
    Unit,
    /// Builds the element with a test element as an image in these formats.
    Disk(Vec<String>),
    /// Builds both and expects an initial RAM disk.
    Ramdisk,
}

/// A test of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The element's name.
    pub element: String,
    /// The test element's name, or `tests`.
    pub name: String,
    /// The element's directory.
    pub path: PathBuf,
    /// What it does.
    pub what: What,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Why it failed; `None` when it passed.
    pub failure: Option<String>,
    /// What to say of a test that passed in an unusual way.
    pub remark: Option<&'static str>,
    /// The last lines of its output.
    pub tail: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Test {
    /// The name that people choose it by.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.element, self.name)
    }

    /// Says in a word what it does.
    pub fn describe(&self) -> String {
        match &self.what {
            What::Unit => "python".to_owned(),
            What::Disk(formats) => format!("disk {}", formats.join(",")),
            What::Ramdisk => "ramdisk".to_owned(),
        }
    }
}

/// The tests of all elements, in the order of their names.
pub fn discover(catalogue: &Catalogue) -> Vec<Test> {
    let mut tests = Vec::new();
    for element in catalogue.elements.values() {
        let test = |name: String, what: What| Test {
            element: element.name.clone(),
            path: element.path.clone(),
            name,
            what,
        };
        if names(&element.path.join("tests")).iter().any(|name| is_unit(name)) {
            tests.push(test("tests".to_owned(), What::Unit));
        }
        let below = element.path.join("test-elements");
        for name in names(&below) {
            let place = below.join(&name);
            if place.is_dir() && name != "__pycache__" {
                tests.push(test(name, kind(&place)));
            }
        }
    }
    tests
}

/// What `unittest discover` takes for tests.
fn is_unit(name: &str) -> bool {
    name.starts_with("test") && name.ends_with(".py")
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(list) = fs_err::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> =
        list.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn kind(test: &Path) -> What {
    let word = |file: &str| {
        let text = fs_err::read_to_string(test.join(file)).unwrap_or_default();
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    if word("element-type").is_some_and(|kind| kind == "ramdisk") {
        return What::Ramdisk;
    }
    let formats = word("test-output-formats").unwrap_or_else(|| "tar".to_owned());
    What::Disk(formats.split(',').map(|format| format.trim().to_owned()).collect())
}

/// Runs one test to its end; `log` gets all it prints.
///
/// # Errors
///
/// When it cannot be started, or the user interrupts it.
pub fn run(test: &Test, builder: &Builder, log: &Path, interrupts: &Interrupts) -> Result<Outcome> {
    match &test.what {
        What::Unit => unit::run(test, builder, log, interrupts),
        What::Disk(_) | What::Ramdisk => builder.run(test, log, interrupts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_with_what_they_ask_for() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a/tests/test_a.py", ""),
            ("a/tests/__pycache__/x", ""),
            ("a/test-elements/plain/element-deps", "base\n"),
            ("a/test-elements/both/test-output-formats", "tar, qcow2\n"),
            ("a/test-elements/ram/element-type", "ramdisk\n"),
            ("a/test-elements/README.rst", ""),
            ("b/tests/helper.py", ""),
        ] {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let catalogue = super::super::scan(&[directory.path().to_path_buf()]).unwrap();
        let found: Vec<_> = discover(&catalogue)
            .iter()
            .map(|test| format!("{} {}", test.full_name(), test.describe()))
            .collect();
        let expected =
            ["a/tests python", "a/both disk tar,qcow2", "a/plain disk tar", "a/ram ramdisk"];
        assert_eq!(found, expected);
    }
}
