//! `goldsmith elements`.

mod audit;
mod lint;
mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::compat::implicit_elements;
use crate::element::{Catalogue, Element, ElementGraph, dot, resolve, scan, shipped, svg};
use crate::error::{Failure, Kind, Result};
use crate::hook::collect;
use crate::phase::session::store_failure;
use crate::phase::table::PHASES;
use crate::request::Request;

/// Where elements are looked for.
#[derive(Debug, Clone, Args)]
pub struct Search {
    /// Directories of elements, before those of ELEMENTS_PATH
    #[arg(short = 'E', long, value_name = "DIR")]
    elements_path: Vec<PathBuf>,
    /// Leave the shipped elements out
    #[arg(long)]
    no_builtin_elements: bool,
}

/// What can be asked of elements.
#[derive(Debug, Subcommand)]
pub enum ElementsVerb {
    /// List every element of the search path, and which copies are hidden by an earlier entry
    List {
        /// Where they are looked for
        #[command(flatten)]
        search: Search,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what one element is: its files, hooks, dependencies, and who depends on it
    Show {
        /// Where they are looked for
        #[command(flatten)]
        search: Search,
        /// The element
        #[arg(value_name = "ELEMENT")]
        name: String,
    },
    /// Draw what a list of elements brings along, as a graph for `dot`
    Graph {
        /// Where they are looked for
        #[command(flatten)]
        search: Search,
        /// Do not add the element `base`
        #[arg(short = 'n', long)]
        skip_base: bool,
        /// Write to this file instead of standard output; a picture when it ends in .svg
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The elements
        #[arg(required = true, value_name = "ELEMENT")]
        elements: Vec<String>,
    },
    /// Find mistakes in elements without running them; status 1 when there are any
    Lint(lint::LintArgs),
    /// Say of every element of a tree whether a test of goldsmith builds it, and if not, what is
    /// known to stand against it
    Audit(audit::AuditArgs),
    /// Run the tests that elements bring along; status 1 when one fails
    Test(test::TestArgs),
}

/// Runs the verb.
///
/// # Errors
///
/// When an element cannot be read or found.
pub fn run(verb: &ElementsVerb, cache: &Path) -> Result<u8> {
    let mut request = super::caller_request()?;
    match verb {
        ElementsVerb::Audit(args) => return audit::run(args, &request, cache),
        ElementsVerb::Test(args) => return test::run(args, &mut request, cache),
        ElementsVerb::Lint(args) => return lint::run(args, &mut request, cache),
        ElementsVerb::List { search, json } => {
            let catalogue = catalogue(&mut request, search, cache)?;
            crate::report::print(&if *json {
                listing_json(&catalogue)
            } else {
                listing(&catalogue)
            });
        }
        ElementsVerb::Show { search, name } => {
            let catalogue = catalogue(&mut request, search, cache)?;
            crate::report::print(&show(&catalogue, name)?);
        }
        ElementsVerb::Graph { search, skip_base, output, elements } => {
            let catalogue = catalogue(&mut request, search, cache)?;
            request.elements.clone_from(elements);
            request.skip_base = *skip_base;
            let wanted = implicit_elements(&request);
            let graph = dot(&resolve(&catalogue, &wanted)?, &wanted);
            match output {
                Some(file) if file.extension().is_some_and(|ending| ending == "svg") => {
                    fs_err::write(file, svg(&graph)?)
                        .map_err(|error| Failure::wrap(Kind::Usage, "the picture", &error))?;
                }
                Some(file) => fs_err::write(file, graph)
                    .map_err(|error| Failure::wrap(Kind::Usage, "the graph", &error))?,
                None => crate::report::print(&graph),
            }
        }
    }
    Ok(0)
}

pub(super) fn catalogue(request: &mut Request, search: &Search, cache: &Path) -> Result<Catalogue> {
    let mut path: Vec<_> = search.elements_path.iter().map(|dir| request.cwd.join(dir)).collect();
    path.append(&mut request.elements_path);
    if !search.no_builtin_elements && !request.no_builtin_elements {
        let store =
            goldsmith_images::store::Store::open(cache).map_err(|error| store_failure(&error))?;
        path.push(shipped::unpack(&store.elements())?.elements);
    }
    if path.is_empty() {
        return Err(Failure::new(Kind::Configuration, "no directory of elements is named")
            .hint("name one by -E or ELEMENTS_PATH"));
    }
    scan(&path)
}

fn listing(catalogue: &Catalogue) -> String {
    let mut text = String::new();
    for element in catalogue.elements.values() {
        text.push_str(&format!("{:32} {}\n", element.name, element.path.display()));
    }
    for (name, path) in &catalogue.overridden {
        text.push_str(&format!("{name:32} {} (hidden)\n", path.display()));
    }
    text
}

fn listing_json(catalogue: &Catalogue) -> String {
    let elements: Vec<_> = catalogue
        .elements
        .values()
        .map(|element| {
            serde_json::json!({
                "name": element.name, "path": element.path, "deps": element.deps,
                "provides": element.provides,
            })
        })
        .collect();
    let hidden: Vec<_> = catalogue
        .overridden
        .iter()
        .map(|(name, path)| serde_json::json!({"name": name, "path": path}))
        .collect();
    format!("{:#}\n", serde_json::json!({"elements": elements, "hidden": hidden}))
}

fn show(catalogue: &Catalogue, name: &str) -> Result<String> {
    let element = catalogue.get(name)?;
    let words = |list: &[String]| if list.is_empty() { "-".to_owned() } else { list.join(" ") };
    let users: Vec<_> = catalogue
        .elements
        .values()
        .filter(|other| other.deps.iter().any(|dep| dep == name))
        .map(|other| other.name.clone())
        .collect();
    let mut text = format!(
        "name       {}\npath       {}\nneeds      {}\nprovides   {}\nneeded by  {}\n",
        element.name,
        element.path.display(),
        words(&element.deps),
        words(&element.provides),
        words(&users)
    );
    let hooks = collect(&alone(catalogue, element), &[])?;
    for phase in &PHASES {
        let list = hooks.hooks(phase.directory);
        if !list.is_empty() {
            text.push_str(&format!("\n{}\n", phase.directory));
            for (hook, _) in list {
                text.push_str(&format!("  {hook}\n"));
            }
        }
    }
    for file in ["README.rst", "README.md"] {
        if let Ok(readme) = fs_err::read_to_string(element.path.join(file)) {
            text.push_str(&format!("\n{readme}"));
            break;
        }
    }
    Ok(text)
}

fn alone(catalogue: &Catalogue, element: &Element) -> ElementGraph {
    ElementGraph { elements: vec![element.clone()], search_path: catalogue.search_path.clone() }
}
