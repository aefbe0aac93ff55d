//! `goldsmith store prune`.

use std::time::Duration;

use goldsmith_images::store::Keep;

use super::sizes;
use crate::error::{Failure, Kind, Result};
use crate::phase::session::{Session, store_failure};

/// Removes what was used longest ago.
///
/// # Errors
///
/// When the size is none, or the store cannot be read or changed.
pub(super) fn run(
    session: &Session,
    max_size: Option<&str>,
    older_than: Option<u64>,
) -> Result<()> {
    let bytes = match max_size {
        None => None,
        Some(text) => Some(crate::block_device::absolute(text).map_err(|message| {
            Failure::new(Kind::Usage, message).about("--max-size").hint("for instance 20GiB")
        })?),
    };
    let age = older_than.map(|days| Duration::from_secs(days.saturating_mul(86_400)));
    sizes::measure(session)?;
    let keep = Keep { bytes, age };
    let retired = session.store.prune(&keep).map_err(|error| store_failure(&error))?;
    super::remove(session, &retired)?;
    let mut text = super::told(&retired);
    text.push_str(&format!("left {}\n", crate::report::bytes(retired.left)));
    crate::report::print(&text);
    if bytes.is_some_and(|most| retired.left > most) {
        session.reporter.warn("more is left: running builds use it, or may");
    }
    Ok(())
}
