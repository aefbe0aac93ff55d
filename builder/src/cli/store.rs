//! `goldsmith store`.

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;

use crate::error::{Failure, Kind, Result};
use crate::phase::session::store_failure;
use crate::report::{Options, Reporter};

/// What can be done with the cache.
#[derive(Debug, Subcommand)]
pub enum StoreVerb {
    /// List images by name, then snapshots, the oldest first
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget the name of an image; `gc` then removes what nothing else needs
    Rm {
        /// The name, as `ls` shows it
        #[arg(value_name = "REF")]
        name: String,
    },
    /// Remove what neither a recent build nor a named image needs
    Gc {
        /// Forget steps older than that many days
        #[arg(long, value_name = "DAYS", default_value = "14")]
        older_than: u64,
    },
}

/// Runs the verb.
///
/// # Errors
///
/// When the store cannot be read, or builds run while it is to be collected.
pub fn run(verb: &StoreVerb, cache: &Path) -> Result<u8> {
    let request = super::caller_request()?;
    let session = super::session(cache, Reporter::new(Options::default()), &request)?;
    match verb {
        StoreVerb::Ls { json } => {
            let usage = session.store.usage().map_err(|error| store_failure(&error))?;
            let refs = session.store.refs().map_err(|error| store_failure(&error))?;
            if *json {
                let both = serde_json::json!({ "images": refs, "snapshots": usage });
                let text = serde_json::to_string_pretty(&both)
                    .map_err(|error| Failure::wrap(Kind::Internal, "the listing", &error))?;
                crate::report::print(&format!("{text}\n"));
                return Ok(0);
            }
            let mut text = format!("{:28} {:12} {}\n", "IMAGE", "SNAPSHOT", "LAYERS");
            for image in refs {
                let top = image.snapshots.last().map(ToString::to_string).unwrap_or_default();
                text.push_str(&format!("{:28} {top:12} {}\n", image.name, image.snapshots.len()));
            }
            text.push_str(&format!("\n{:12} {:16} {}\n", "SNAPSHOT", "MADE BY", "STEPS"));
            for snapshot in usage {
                let id = snapshot.id.to_string();
                text.push_str(&format!("{id:12} {:16} {}\n", snapshot.name, snapshot.records));
            }
            crate::report::print(&text);
        }
        StoreVerb::Rm { name } => {
            let stored = |error| store_failure(&error);
            let pulled = session.store.drop_pulled(name).map_err(stored)?;
            match session.store.drop_ref(name) {
                Err(goldsmith_images::store::StoreError::NoImage { .. }) if pulled => {}
                dropped => dropped.map_err(|error| super::run::no_image(&error))?,
            }
        }
        StoreVerb::Gc { older_than } => {
            let age = Duration::from_secs(older_than * 86_400);
            let garbage = session.store.collect(age).map_err(|error| match error {
                goldsmith_images::store::StoreError::Busy { .. } => {
                    Failure::wrap(Kind::Host, "the cache", &error)
                        .hint("try again when they are done")
                }
                other => store_failure(&other),
            })?;
            crate::phase::jobs::remove(&session.identity, &garbage)?;
            crate::report::print(&format!("removed {} trees\n", garbage.len()));
        }
    }
    Ok(0)
}
