//! `goldsmith outdated`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Failure, Kind, Result};
use crate::lock::document::Document;
use crate::lock::news::{self, News};
use crate::phase::chain::Chain;
use crate::phase::prepare::prepare;
use crate::report::{Options, Reporter};
use crate::request::Request;

/// What `outdated` takes.
#[derive(Debug, Args)]
pub struct OutdatedArgs {
    /// The lock file
    #[arg(short = 'f', long = "file", value_name = "FILE", default_value = crate::lock::NAME)]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb: asks every server what it has now, and prints what the lock has otherwise.
/// Nothing is built, nothing is changed.
///
/// # Errors
///
/// When the lock cannot be read, or an archive or registry cannot be reached.
pub fn run(args: &OutdatedArgs, cache: &Path) -> Result<u8> {
    let cwd = super::caller_request()?.cwd;
    let document = Document::read(&cwd.join(&args.file))?;
    let (_, request) = super::update::again(&document)?;
    // The mirror that the lock was made with; not the lock.
    let request = Request {
        native: false,
        refresh: true,
        mirror: Some(document.build.mirror.clone()),
        ..request
    };
    let reporter = Reporter::new(Options { quiet: true, ..Options::default() });
    let session = super::session(cache, reporter, &request)?;
    let prepared = prepare(&session, &request)?;
    let request = crate::compat::settled(&request, &prepared.graph);
    let chain = Chain::new(&session, &request, &prepared)?;
    let tools = chain.bootstrap.pin_tools(&chain.tools)?;
    let mut list = news::of_archive("tools", &document.tools, &tools);
    if let Some(locked) = &document.emulator
        && let Some(now) = chain.bootstrap.pin_emulator()?
    {
        list.extend(news::of_archive("emulator", locked, &now));
    }
    if let (Some(locked), Some(plan)) = (&document.base, &chain.base) {
        list.extend(news::of_base(locked, &chain.bootstrap.pin(plan)?));
    }
    let upstream = crate::lock::upstream(&request)?;
    list.extend(news::of_fetches(&document, &upstream, &session.store.downloads()));
    let text = if args.json { json(&list)? } else { text(&list) };
    crate::report::print(&text);
    Ok(0)
}

fn json(list: &[News]) -> Result<String> {
    let text = serde_json::to_string_pretty(list)
        .map_err(|error| Failure::wrap(Kind::Internal, "the list", &error))?;
    Ok(format!("{text}\n"))
}

fn text(list: &[News]) -> String {
    if list.is_empty() {
        return "everything is as upstream has it\n".to_owned();
    }
    let lines = list.iter().map(|news| {
        let line = format!("{}  {} -> {}", news.name, news.locked, news.upstream);
        format!("{}\n", crate::report::printable(line.as_bytes()))
    });
    lines.collect()
}
