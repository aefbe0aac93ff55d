//! `goldsmith plan`.

use std::path::Path;

use clap::Args;

use super::build::BuildArgs;
use crate::base::{Emulation, Source};
use crate::error::{Failure, Kind, Result};
use crate::phase::chain::Chain;
use crate::phase::outlook::{Outlook, outlook};
use crate::phase::prepare::{Prepared, prepare};
use crate::phase::session::Session;
use crate::phase::table::{PHASES, Phase};
use crate::report::{Options, Reporter};
use crate::request::Request;

/// What `plan` takes.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    build: BuildArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb: prints elements, steps with their keys and what the cache holds of them,
/// hooks in their order, and the disk. Nothing is run; the archive is asked for its release
/// files as a build asks for them.
///
/// # Errors
///
/// When an element or a configuration file is wrong, or the archive cannot be reached.
pub fn run(args: &PlanArgs, cache: &Path) -> Result<u8> {
    let request = args.build.request()?;
    let reporter = Reporter::new(Options { quiet: true, ..Options::default() });
    let session = super::session(cache, reporter, &request)?;
    let prepared = prepare(&session, &request)?;
    let request = crate::compat::settled(&request, &prepared.graph);
    let steps = steps(&session, &request, &prepared)?;
    let text = if args.json {
        format!("{:#}\n", json(&request, &prepared, &steps))
    } else {
        text(&request, &prepared, &steps)
    };
    crate::report::print(&text);
    Ok(0)
}

/// The steps, or why their keys cannot be known.
enum Steps {
    Known(Vec<Outlook>, Option<Source>, Option<String>),
    Unknown(Failure),
}

/// Without its release files an archive has no key; a plan without the network is still
/// worth its other parts.
fn steps(session: &Session, request: &Request, prepared: &Prepared) -> Result<Steps> {
    match Chain::new(session, request, prepared) {
        Ok(chain) => {
            let source = chain.base.as_ref().and_then(|base| base.source()).cloned();
            let emulation = chain.bootstrap.emulation.as_ref().map(Emulation::describe);
            Ok(Steps::Known(outlook(session, request, &chain)?, source, emulation))
        }
        Err(failure) if request.isolated && failure.kind == Kind::Build => {
            Ok(Steps::Unknown(failure))
        }
        Err(failure) if failure.kind == Kind::Build => {
            Err(failure.hint("--offline plans with what was fetched before"))
        }
        Err(failure) => Err(failure),
    }
}

/// Phases that have hooks, each with names and elements of the hooks.
fn phases(prepared: &Prepared) -> Vec<(Phase, Vec<(String, String)>)> {
    PHASES
        .into_iter()
        .map(|phase| (phase, prepared.hooks.hooks(phase.directory)))
        .filter(|(_, hooks)| !hooks.is_empty())
        .collect()
}

fn json(request: &Request, prepared: &Prepared, steps: &Steps) -> serde_json::Value {
    let phases: Vec<_> = phases(prepared)
        .iter()
        .map(|(phase, hooks)| {
            let hooks: Vec<_> = hooks
                .iter()
                .map(|(name, element)| serde_json::json!({"name": name, "element": element}))
                .collect();
            let place = format!("{:?}", phase.place).to_lowercase();
            serde_json::json!({"phase": phase.name(), "place": place, "hooks": hooks})
        })
        .collect();
    let elements: Vec<_> = prepared.graph.elements.iter().map(|element| &element.name).collect();
    let mut value = serde_json::json!({
        "arch": request.arch, "elements": elements, "phases": phases,
        "fstab": prepared.disk.fstab(),
    });
    match steps {
        Steps::Known(list, source, emulation) => {
            value["emulator"] = serde_json::json!(emulation);
            value["steps"] = serde_json::json!(list);
            if let Some(source) = source {
                value["base_image"] = serde_json::json!(source);
            }
        }
        Steps::Unknown(failure) => {
            value["steps"] = serde_json::Value::Null;
            value["steps_unknown"] = failure.message.clone().into();
        }
    }
    value
}

fn text(request: &Request, prepared: &Prepared, steps: &Steps) -> String {
    let mut text =
        format!("architecture  {}\nelements      {}\n", request.arch, prepared.graph.names());
    match steps {
        Steps::Known(list, source, emulation) => {
            if let Some(emulation) = emulation {
                text.push_str(&format!("programs run  by {emulation}\n"));
            }
            if let Some(source) = source {
                text.push_str(&format!("base image    {}\n", source.describe()));
            }
            text.push_str(&format!("\n{:16} {:12}  CACHE\n", "STEP", "KEY"));
            for Outlook { step, key, cache } in list {
                text.push_str(&format!("{step:16} {}  {}\n", key.short(), cache.word()));
            }
        }
        Steps::Unknown(failure) => {
            text.push_str(&format!("\nsteps are not known: {failure}\n"));
            for hint in &failure.hints {
                text.push_str(&format!("  {hint}\n"));
            }
        }
    }
    for (phase, hooks) in phases(prepared) {
        text.push_str(&format!("\n{} ({:?})\n", phase.name(), phase.place).to_lowercase());
        for (name, element) in hooks {
            text.push_str(&format!("  {name:44} {element}\n"));
        }
    }
    text.push_str(&format!("\n/etc/fstab\n{}", prepared.disk.fstab()));
    text
}
