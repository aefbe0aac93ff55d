//! `goldsmith doctor`.

use clap::Args;

use crate::error::{Failure, Kind, Result};

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb: prints what was found; the status says whether builds can run.
///
/// # Errors
///
/// Only when the report cannot be written as JSON.
pub fn run(args: &DoctorArgs) -> Result<u8> {
    let report = goldsmith_runtime::probe();
    let status = if report.usable() { 0 } else { Kind::Host.exit_status() };
    if args.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| Failure::wrap(Kind::Internal, "the report", &error))?;
        crate::report::print(&format!("{text}\n"));
        return Ok(status);
    }
    let mut text = match report.mode {
        Some(mode) => format!("mode: {mode:?} - {}\n", report.why).to_string(),
        None => format!("no build can run here: {}\n", report.why),
    };
    for check in &report.checks {
        let mark = match (check.ok, check.required) {
            (true, _) => "ok  ",
            (false, true) => "MISS",
            (false, false) => "-   ",
        };
        text.push_str(&format!("{mark} {:30} {}\n", check.name, check.detail));
        if !check.ok && !check.fix.is_empty() {
            text.push_str(&format!("     mend it by: {}\n", check.fix));
        }
    }
    crate::report::print(&text);
    Ok(status)
}
