//! `goldsmith store fsck`.

use goldsmith_images::store::{Finding, SnapshotId};

use super::sizes;
use crate::error::{Kind, Result};
use crate::phase::session::{Session, store_failure};

/// Checks the store; returns the exit status: 6 when something is broken and stays so.
///
/// # Errors
///
/// When the store cannot be read or changed.
pub(super) fn run(session: &Session, repair: bool, json: bool) -> Result<u8> {
    let stored = |error| store_failure(&error);
    let (ids, trees): (Vec<SnapshotId>, Vec<_>) =
        session.store.trees().map_err(stored)?.into_iter().unzip();
    let counted: Vec<_> = ids.into_iter().zip(sizes::count(&session.identity, trees)?).collect();
    let findings = session.store.check(&counted).map_err(stored)?;
    let mut left = findings.clone();
    if repair {
        let (retired, kept) = session.store.repair(&findings).map_err(stored)?;
        super::remove(session, &retired)?;
        left = kept;
    } else {
        sizes::measure(session)?;
    }
    if json {
        super::json(&serde_json::json!({ "findings": findings, "left": left }))?;
    } else {
        crate::report::print(&report(&findings, &left, repair));
    }
    Ok(if left.is_empty() { 0 } else { Kind::Verification.exit_status() })
}

fn report(findings: &[Finding], left: &[Finding], repair: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let fate = match (repair, left.contains(finding)) {
            (false, _) => "",
            (true, false) => " (removed)",
            (true, true) => " (in use: try again later)",
        };
        text.push_str(&format!("{}: {}{fate}\n", finding.place, finding.problem));
    }
    let count = findings.len();
    text.push_str(&match (count, repair) {
        (0, _) => "the cache is whole\n".to_owned(),
        (_, true) => format!("{count} broken, {} left\n", left.len()),
        (_, false) => format!("{count} broken: `goldsmith store fsck --repair` removes them\n"),
    });
    text
}
