//! `goldsmith plan`.

use std::path::Path;

use clap::Args;

use super::build::BuildArgs;
use crate::error::Result;
use crate::phase::prepare::prepare;
use crate::phase::table::PHASES;
use crate::report::{Options, Reporter};

/// What `plan` takes.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    build: BuildArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb: prints elements, hooks in their order, and the disk.
///
/// # Errors
///
/// When an element or a configuration file is wrong.
pub fn run(args: &PlanArgs, cache: &Path) -> Result<u8> {
    let request = args.build.request()?;
    let reporter = Reporter::new(Options { quiet: true, ..Options::default() });
    let session = super::session(cache, reporter, &request)?;
    let prepared = prepare(&session, &request)?;
    let phases: Vec<_> = PHASES
        .iter()
        .map(|phase| (phase, prepared.hooks.hooks(phase.directory)))
        .filter(|(_, hooks)| !hooks.is_empty())
        .collect();
    if args.json {
        let phases: Vec<_> = phases
            .iter()
            .map(|(phase, hooks)| {
                let hooks: Vec<_> = hooks
                    .iter()
                    .map(|(name, element)| serde_json::json!({"name": name, "element": element}))
                    .collect();
                serde_json::json!({"phase": phase.name(), "place": format!("{:?}", phase.place).to_lowercase(), "hooks": hooks})
            })
            .collect();
        let elements: Vec<_> =
            prepared.graph.elements.iter().map(|element| &element.name).collect();
        let value = serde_json::json!({
            "arch": request.arch, "elements": elements, "phases": phases,
            "fstab": prepared.disk.fstab(),
        });
        crate::report::print(&format!("{value:#}\n"));
        return Ok(0);
    }
    let mut text =
        format!("architecture  {}\nelements      {}\n", request.arch, prepared.graph.names());
    for (phase, hooks) in phases {
        text.push_str(&format!("\n{} ({:?})\n", phase.name(), phase.place).to_lowercase());
        for (name, element) in hooks {
            text.push_str(&format!("  {name:44} {element}\n"));
        }
    }
    text.push_str(&format!("\n/etc/fstab\n{}", prepared.disk.fstab()));
    crate::report::print(&text);
    Ok(0)
}
