//! Mistakes in elements, found without running them: what diskimage-builder's own `dib-lint`
//! looks for (contract 1.6), data files that cannot be read, and what no sandbox allows.
//!
//! A line `# dib-lint: disable=NAME NAME` in a file turns checks off for it, `ignore` in the
//! section `[dib-lint]` of a tox.ini in the working directory for all files.

mod data;
mod file;
mod ignore;
mod python;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{base_yaml, inspect};
use crate::error::{Failure, Kind, Result};
pub use data::unreadable;
use file::File;
pub use ignore::ignored_checks;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file, or the element's directory when a file is missing.
    pub file: PathBuf,
    /// Its line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// Name of the check, as the opt-out comment spells it.
    pub check: &'static str,
    /// What is wrong.
    pub reason: String,
    /// What to do instead.
    pub instead: String,
}

/// What a run found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// The mistakes, by file and line.
    pub findings: Vec<Finding>,
    /// Checks that could not be made, and why.
    pub skipped: Vec<String>,
}

/// Checks elements, each given by its directory. `ignore` names checks that are off
/// everywhere.
///
/// # Errors
///
/// When a directory or file cannot be read.
pub fn lint(elements: &[PathBuf], ignore: &BTreeSet<String>) -> Result<Report> {
    let mut report = Report::default();
    let mut programs = Vec::new();
    for element in elements {
        let readme = element.join("README.rst");
        if !readme.is_file() && !ignore.contains("readme") {
            report.findings.push(Finding {
                file: element.clone(),
                line: 0,
                check: "readme",
                reason: "the element has no README.rst".to_owned(),
                instead: "say in README.rst what it does and which variables it reads".to_owned(),
            });
        }
        let files = files(element, ignore)?;
        let replaced = replaced(element);
        report.files += files.len();
        for file in &files {
            script::check(file, &mut report.findings);
            script::hook_name(file, &files, &mut report.findings);
            data::check(file, &mut report.findings);
            if !replaced.iter().any(|hook| file.inside.ends_with(hook)) {
                rootless(file, &mut report.findings);
            }
            if file.is_python() && !file.is_off("flake8") {
                programs.push(file.path.clone());
            }
        }
    }
    python::check(&programs, &mut report);
    report.findings.sort();
    Ok(report)
}

/// Hooks that goldsmith leaves out, because it makes the element's base itself.
fn replaced(element: &Path) -> Vec<String> {
    let base = base_yaml::read(&element.join("base.yaml"), &BTreeMap::new());
    base.ok().flatten().map(|base| base.replaces().to_vec()).unwrap_or_default()
}

/// What stands against running the file's commands in a sandbox.
fn rootless(file: &File, findings: &mut Vec<Finding>) {
    let Some(place) = inspect::place(&file.inside) else { return };
    if !inspect::is_shell(&file.text, &file.inside) {
        return;
    }
    for obstacle in inspect::obstacles(&file.text, place) {
        let check = if obstacle.package.is_some() { "host-command" } else { "rootless" };
        file.report(findings, obstacle.line, check, obstacle.reason, obstacle.instead);
    }
}

/// The element's files that git does not ignore, in the order of their names.
fn files(element: &Path, ignore: &BTreeSet<String>) -> Result<Vec<File>> {
    let mut paths = Vec::new();
    for entry in walkdir::WalkDir::new(element).sort_by_file_name() {
        let entry =
            entry.map_err(|error| Failure::wrap(Kind::Configuration, "an element", &error))?;
        if entry.file_type().is_file() {
            paths.push(entry.into_path());
        }
    }
    let hidden = ignore::by_git(element, &paths);
    paths
        .into_iter()
        .filter(|path| !hidden.contains(path))
        .map(|path| File::read(element, path, ignore))
        .collect()
}

#[cfg(test)]
mod tests;
