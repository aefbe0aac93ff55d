//! What builder and children say to each other.

use serde::{Deserialize, Serialize};

use crate::plan::SandboxPlan;

/// First message to a `__sandbox` child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SandboxRequest {
    pub(crate) plan: SandboxPlan,
    /// Unique among running sandboxes; becomes the container's id and cgroup path.
    pub(crate) id: String,
    /// Whether group 5 (tty) exists inside.
    pub(crate) tty_group: bool,
    /// Size of the sandbox's terminal when it has one: rows, columns.
    pub(crate) terminal_size: (u16, u16),
}

/// First message to a `__job` child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobRequest {
    pub(crate) name: String,
    pub(crate) request: serde_json::Value,
}

/// What children report.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// New namespaces exist: write the maps.
    Unshared,
    /// The sandbox's network has its listening socket, which comes along.
    Listening,
    /// The sandbox has a terminal; its other end comes along.
    Terminal,
    /// The container's first process ended; the tmpfs that overlays wrote to comes along, if
    /// the plan asked for one.
    Ended {
        /// Exit status, unless a signal killed it.
        code: Option<i32>,
        /// The signal that killed it.
        signal: Option<i32>,
    },
    /// A job's result.
    Reply(serde_json::Value),
    /// The child gave up.
    Failed(String),
}

/// Sent to a child when its ids are mapped.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mapped;
