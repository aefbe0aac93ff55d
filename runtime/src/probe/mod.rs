//! What this host allows, and how to mend what it lacks.

mod formats;
mod inside;
mod outside;
mod trial;

pub use formats::{probe_formats, registered};
use serde::{Deserialize, Serialize};

use crate::identity::{Identity, IdentityMode};
use crate::parent::job::{Job, run_job};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it is, for instance `user namespaces`.
    pub name: String,
    /// Whether it is there.
    pub ok: bool,
    /// Whether nothing works without it.
    pub required: bool,
    /// What was seen.
    pub detail: String,
    /// The command or setting that mends it; empty when nothing has to be mended.
    pub fix: String,
}

/// All that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// The identity mode, when builds are possible.
    pub mode: Option<IdentityMode>,
    /// Why that mode, in words.
    pub why: String,
    /// The checks, most important first.
    pub checks: Vec<Check>,
}

impl HostReport {
    /// Whether a build can run here.
    pub fn usable(&self) -> bool {
        self.mode.is_some() && self.checks.iter().all(|check| check.ok || !check.required)
    }
}

/// The job that [`probe`] runs inside; part of every job table.
pub const PROBE_JOB: Job = Job { name: "probe", run: inside::look };

/// Looks at this host: makes namespaces and a short-lived sandbox, changes nothing.
///
/// The job table given to [`crate::init_if_child`] must contain [`PROBE_JOB`].
pub fn probe() -> HostReport {
    let identity = Identity::detect();
    let (mode, why) = match &identity {
        Ok(identity) => (Some(identity.mode), describe(identity)),
        Err(error) => (None, error.to_string()),
    };
    let mut checks = vec![outside::namespaces_allowed()];
    checks.push(match &identity {
        Ok(_) => check("subordinate ids", true, &why, ""),
        Err(error) => {
            let fix = outside::pod_fix().map_or_else(|| error.fix(), str::to_owned);
            check("subordinate ids", false, &error.to_string(), &fix)
        }
    });
    if let Ok(identity) = &identity {
        checks.extend(outside::map_helpers(identity.mode));
        checks.extend(in_namespace(identity).into_iter().map(formats::with_the_hosts));
    }
    checks.push(outside::seccomp());
    checks.push(outside::proc());
    if let Ok(identity) = &identity
        && checks.iter().all(|check| check.ok || !check.required)
    {
        checks.push(trial::sandbox(identity));
    }
    checks.push(outside::loop_devices());
    HostReport { mode, why, checks }
}

/// Whether a setting of the host forbids user namespaces; looks at files of /proc only.
pub fn user_namespaces() -> Check {
    outside::namespaces_allowed()
}

/// What can be tried as root of a user namespace, and whether there is one.
fn in_namespace(identity: &Identity) -> Vec<Check> {
    let failed = |detail: &str| {
        let fix = outside::pod_fix().unwrap_or(NAMESPACE_FIX);
        vec![check("entering a namespace", false, detail, fix)]
    };
    match looked(identity, &serde_json::Value::Null) {
        Ok(mut checks) => {
            checks.insert(0, check("entering a namespace", true, "its ids are mapped", ""));
            checks
        }
        Err(error) => failed(&error),
    }
}

/// Runs the job: all of its checks, or the one that `request` names.
fn looked(identity: &Identity, request: &serde_json::Value) -> Result<Vec<Check>, String> {
    let value = run_job(identity, PROBE_JOB.name, request, &[]).map_err(|e| e.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

const NAMESPACE_FIX: &str = "as root: sysctl -w user.max_user_namespaces=15000; on Ubuntu also sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";

fn check(name: &str, ok: bool, detail: &str, fix: &str) -> Check {
    Check { name: name.into(), ok, required: true, detail: detail.into(), fix: fix.into() }
}

impl Check {
    /// Something that builds can do without.
    fn optional(mut self) -> Self {
        self.required = false;
        self
    }
}

fn describe(identity: &Identity) -> String {
    let range = identity.uids.iter().max_by_key(|range| range.count);
    let first = range.map_or(0, |range| range.outside);
    match identity.mode {
        IdentityMode::Range => format!(
            "an ordinary user with subordinate ids from {first} on: the image's root is the user, every other id one of the range"
        ),
        IdentityMode::Root => {
            format!("root, mapped to the ids from {first} on, which nobody else uses")
        }
        IdentityMode::Nested => "root of a container's own user namespace".to_owned(),
    }
}
