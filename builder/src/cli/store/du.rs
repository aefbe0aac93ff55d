//! `goldsmith store du`.

use goldsmith_images::store::DiskUsage;

use super::sizes;
use crate::error::Result;
use crate::phase::session::{Session, store_failure};
use crate::report::bytes;

/// Shows what the cache takes, by kind.
///
/// # Errors
///
/// When the store cannot be read.
pub(super) fn run(session: &Session, json: bool) -> Result<()> {
    sizes::measure(session)?;
    let stored = |error| store_failure(&error);
    let mut kinds = session.store.disk_usage().map_err(stored)?;
    let mut work = DiskUsage::default();
    for size in sizes::count(&session.identity, session.store.work().map_err(stored)?)? {
        work.count += 1;
        work.bytes += size.unwrap_or_default();
    }
    kinds.push(("work", work));
    let total: u64 = kinds.iter().map(|(_, usage)| usage.bytes).sum();
    if json {
        let kinds: serde_json::Map<_, _> = kinds
            .iter()
            .map(|(kind, usage)| ((*kind).to_owned(), serde_json::json!(usage)))
            .collect();
        let path = session.store.root();
        return super::json(&serde_json::json!({ "path": path, "bytes": total, "kinds": kinds }));
    }
    let mut text = format!("{:12} {:>7} {:>10}\n", "KIND", "COUNT", "SIZE");
    for (kind, usage) in kinds {
        text.push_str(&format!("{kind:12} {:7} {:>10}\n", usage.count, bytes(usage.bytes)));
    }
    text.push_str(&format!("{:12} {:7} {:>10}\n", "all", "", bytes(total)));
    crate::report::print(&text);
    Ok(())
}
