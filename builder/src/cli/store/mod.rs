//! `goldsmith store`.

mod du;
mod fsck;
mod prune;
pub(crate) mod sizes;

use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use goldsmith_images::store::Retired;

use crate::error::{Failure, Kind, Result};
use crate::phase::session::{Session, store_failure};
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
    /// Show what the cache takes, by kind
    Du {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what neither a recent build nor a named image needs
    Gc {
        /// Forget steps and downloads that were not used for that many days
        #[arg(long, value_name = "DAYS", default_value = "14")]
        older_than: u64,
    },
    /// Remove what was used longest ago, names included, until the rest is small enough
    ///
    /// What a build uses that is running stays.
    Prune {
        /// Leave at most so much: 20G is 20 * 10^9 bytes, 20GiB 20 * 2^30
        #[arg(long, value_name = "SIZE", required_unless_present = "older_than")]
        max_size: Option<String>,
        /// Remove whatever was not used for that many days
        #[arg(long, value_name = "DAYS")]
        older_than: Option<u64>,
    },
    /// Compare everything with its digest, record or size; status 6 when something is broken
    Fsck {
        /// Remove what is broken: it is fetched or made again
        #[arg(long)]
        repair: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
///
/// # Errors
///
/// When the store cannot be read or changed.
pub fn run(verb: &StoreVerb, cache: &Path) -> Result<u8> {
    let request = super::caller_request()?;
    let session = super::session(cache, Reporter::new(Options::default()), &request)?;
    match verb {
        StoreVerb::Ls { json } => {
            let usage = session.store.usage().map_err(|error| store_failure(&error))?;
            let refs = session.store.refs().map_err(|error| store_failure(&error))?;
            if *json {
                self::json(&serde_json::json!({ "images": refs, "snapshots": usage }))?;
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
        StoreVerb::Du { json } => du::run(&session, *json)?,
        StoreVerb::Gc { older_than } => {
            open_many();
            let age = Duration::from_secs(older_than.saturating_mul(86_400));
            let retired = session.store.collect(age).map_err(|error| store_failure(&error))?;
            remove(&session, &retired)?;
            crate::report::print(&told(&retired));
        }
        StoreVerb::Prune { max_size, older_than } => {
            open_many();
            prune::run(&session, max_size.as_deref(), *older_than)?;
        }
        StoreVerb::Fsck { repair, json } => return fsck::run(&session, *repair, *json),
    }
    Ok(0)
}

/// Lets this process open as many files as it may: a lock is held for each snapshot that goes.
fn open_many() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the number of open files stays as it is");
    }
}

/// Removes the trees that were taken out of the store.
fn remove(session: &Session, retired: &Retired) -> Result<()> {
    crate::phase::jobs::remove(&session.identity, &retired.paths)
}

/// What was removed, in a line.
fn told(retired: &Retired) -> String {
    format!(
        "removed {} snapshots, {} records and names, {} blobs, {} downloads: {}\n",
        retired.snapshots,
        retired.records,
        retired.blobs,
        retired.downloads,
        crate::report::bytes(retired.bytes)
    )
}

/// A value as JSON, for people and programs.
fn json(value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::wrap(Kind::Internal, "the listing", &error))?;
    crate::report::print(&format!("{text}\n"));
    Ok(())
}
