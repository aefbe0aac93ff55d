//! `goldsmith doctor`.

use std::fmt::Write as _;

use clap::Args;
use goldsmith_runtime::{HostReport, IdentityMode};
use serde::Serialize;

use crate::error::{Failure, Kind, Result};

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    /// Whether builds can run here.
    usable: bool,
    #[serde(flatten)]
    report: &'a HostReport,
}

/// Runs the verb: prints what was found; the status says whether builds can run.
///
/// # Errors
///
/// Only when the report cannot be written as JSON.
pub fn run(args: &DoctorArgs) -> Result<u8> {
    let report = goldsmith_runtime::probe();
    let usable = report.usable();
    let text = if args.json {
        let document = Document { usable, report: &report };
        serde_json::to_string_pretty(&document)
            .map_err(|error| Failure::wrap(Kind::Internal, "the report", &error))?
            + "\n"
    } else {
        table(&report)
    };
    crate::report::print(&text);
    Ok(if usable { 0 } else { Kind::Host.exit_status() })
}

fn table(report: &HostReport) -> String {
    let mut text = match report.mode {
        Some(mode) => format!("identity mode {}: {}\n\n", name(mode), report.why),
        None => format!("no identity mode: {}\n\n", report.why),
    };
    let width = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in &report.checks {
        let mark = match (check.ok, check.required) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "without",
        };
        line(&mut text, format_args!("{mark:7}  {:width$}  {}", check.name, check.detail));
        if !check.ok && !check.fix.is_empty() {
            line(&mut text, format_args!("{:7}  {:width$}  -> {}", "", "", check.fix));
        }
    }
    let verdict = if report.usable() {
        "builds can run here"
    } else {
        "no build can run here until what is MISSING is mended as the arrows say"
    };
    line(&mut text, format_args!("\n{verdict}"));
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    if writeln!(text, "{words}").is_err() {
        tracing::debug!("writing to memory failed");
    }
}

fn name(mode: IdentityMode) -> &'static str {
    match mode {
        IdentityMode::Range => "range",
        IdentityMode::Root => "root",
        IdentityMode::Nested => "nested",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldsmith_runtime::Check;

    fn report(required: bool) -> HostReport {
        let check = |name: &str, ok: bool, detail: &str, fix: &str| Check {
            name: name.into(),
            ok,
            required,
            detail: detail.into(),
            fix: fix.into(),
        };
        HostReport {
            mode: Some(IdentityMode::Range),
            why: "an ordinary user".into(),
            checks: vec![
                check("overlay", true, "works", ""),
                check("loop devices", false, "needs root", "run it as root"),
            ],
        }
    }

    #[test]
    fn what_is_missing_comes_with_its_cure() {
        let text = table(&report(true));
        assert_eq!(
            text,
            "identity mode range: an ordinary user\n\n\
             ok       overlay       works\n\
             MISSING  loop devices  needs root\n\
             \x20                      -> run it as root\n\n\
             no build can run here until what is MISSING is mended as the arrows say\n"
        );
        assert!(table(&report(false)).ends_with("\nbuilds can run here\n"));
    }

    #[test]
    fn the_document_has_verdict_and_checks() {
        let report = report(false);
        let document = Document { usable: report.usable(), report: &report };
        let value = serde_json::to_value(&document).unwrap();
        assert_eq!(value["usable"], true);
        assert_eq!(value["mode"], "range");
        assert_eq!(value["checks"][1]["fix"], "run it as root");
    }
}
