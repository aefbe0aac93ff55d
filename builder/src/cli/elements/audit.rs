//! `goldsmith elements audit`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use goldsmith_images::store::Store;

use crate::element::audit::{audit, markdown, plain};
use crate::element::{scan, shipped};
use crate::error::{Failure, Kind, Result};
use crate::phase::session::store_failure;
use crate::request::Request;

/// What `audit` takes.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print a table in Markdown
    #[arg(long)]
    markdown: bool,
    /// A directory of elements; what they depend on is also looked for in ELEMENTS_PATH and among
    /// the shipped elements
    #[arg(value_name = "TREE")]
    tree: PathBuf,
}

/// Runs the verb.
///
/// # Errors
///
/// When an element cannot be read.
pub(super) fn run(args: &AuditArgs, request: &Request, cache: &Path) -> Result<u8> {
    let tree = request.cwd.join(&args.tree);
    if crate::element::is_element(&tree) {
        let message = format!("{} is one element", args.tree.display());
        return Err(Failure::new(Kind::Usage, message).hint("name the directory that it lies in"));
    }
    let store = Store::open(cache).map_err(|error| store_failure(&error))?;
    let own = shipped::unpack(&store.elements())?.elements;
    let ours: BTreeMap<_, _> = scan(std::slice::from_ref(&own))?
        .elements
        .into_values()
        .map(|element| (element.name, element.path))
        .collect();
    let mut path = vec![tree.clone()];
    path.extend(request.elements_path.iter().cloned());
    if !request.no_builtin_elements {
        path.push(own);
    }
    let verdicts = audit(&tree, &scan(&path)?, &ours)?;
    crate::report::print(&if args.json {
        let text = serde_json::to_string_pretty(&verdicts);
        text.map_err(|error| Failure::wrap(Kind::Internal, "the verdicts", &error))? + "\n"
    } else if args.markdown {
        markdown(&verdicts)
    } else {
        plain(&verdicts)
    });
    Ok(0)
}
