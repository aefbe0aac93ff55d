//! `goldsmith elements lint`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Search, catalogue};
use crate::element::is_element;
use crate::element::lint::{Report, ignored_checks, lint};
use crate::error::{Failure, Kind, Result};
use crate::request::Request;

/// What `lint` takes.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// Where elements are looked for
    #[command(flatten)]
    search: Search,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Elements by name, or directories: of one element or of many. Without any, all elements of
    /// your search path; the shipped ones when you have none
    #[arg(value_name = "ELEMENT|DIR")]
    targets: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
///
/// When an element cannot be read or found.
pub(super) fn run(args: &LintArgs, request: &mut Request, cache: &Path) -> Result<u8> {
    let ignore = ignored_checks(&request.cwd);
    let elements = targets(args, request, cache)?;
    let report = lint(&elements, &ignore)?;
    crate::report::print(&if args.json {
        let text = serde_json::to_string_pretty(&report);
        text.map_err(|error| Failure::wrap(Kind::Internal, "the findings", &error))? + "\n"
    } else {
        table(&report, elements.len())
    });
    Ok(u8::from(!report.findings.is_empty()))
}

/// The directories of the elements to look at.
fn targets(args: &LintArgs, request: &mut Request, cache: &Path) -> Result<Vec<PathBuf>> {
    let mut elements = Vec::new();
    if args.targets.is_empty() {
        let catalogue = catalogue(request, &args.search, cache)?;
        let own =
            args.search.elements_path.len() + super::super::caller_request()?.elements_path.len();
        let all = catalogue.elements.into_values();
        elements.extend(
            all.filter(|element| own == 0 || element.entry < own).map(|element| element.path),
        );
        return Ok(elements);
    }
    let (directories, names): (Vec<_>, Vec<_>) =
        args.targets.iter().partition(|target| request.cwd.join(target).is_dir());
    for directory in directories {
        let path = PathBuf::from(directory);
        if is_element(&path) {
            elements.push(path);
            continue;
        }
        let failed = |error: std::io::Error| Failure::wrap(Kind::Configuration, "elements", &error);
        let mut below = Vec::new();
        for entry in fs_err::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?.path();
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if entry.is_dir() && !name.starts_with('.') && name != "__pycache__" {
                below.push(entry);
            }
        }
        if below.is_empty() {
            let message = format!("{directory}: neither an element nor a directory of elements");
            return Err(Failure::new(Kind::Usage, message));
        }
        below.sort();
        elements.extend(below);
    }
    if !names.is_empty() {
        let catalogue = catalogue(request, &args.search, cache)?;
        for name in names {
            elements.push(catalogue.get(name)?.path.clone());
        }
    }
    Ok(elements)
}

fn table(report: &Report, elements: usize) -> String {
    let mut text = String::new();
    for found in &report.findings {
        let line = if found.line == 0 { String::new() } else { format!("{}:", found.line) };
        text.push_str(&format!(
            "{}:{line} {}: {}; instead: {}\n",
            found.file.display(),
            found.check,
            found.reason,
            found.instead
        ));
    }
    for why in &report.skipped {
        text.push_str(&format!("skipped: {why}\n"));
    }
    let many =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    text.push_str(&format!(
        "{}, {}, {}\n",
        many(elements, "element"),
        many(report.files, "file"),
        many(report.findings.len(), "finding")
    ));
    text
}
