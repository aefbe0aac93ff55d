//! Runs an argument vector in an OCI sandbox made of user namespaces.
//!
//! The process that forks a container has one thread: [`run`] starts a re-executed copy of
//! the binary (`__sandbox`), which enters new namespaces, mounts what the plan asks for and
//! drives libcontainer. `main` calls [`init_if_child`] before anything else.
//!
//! Everything that a sandbox sets up lives in a mount namespace of its own, its state on a
//! tmpfs inside; a killed builder leaves neither mounts nor processes nor state files.
//!
//! Invariant: nothing here knows an element, a phase, a digest or a distribution.

mod channel;
mod child;
mod identity;
mod messages;
mod parent;
mod plan;
pub mod privileged;
mod probe;

mod sys;

pub use child::init_if_child;
pub use identity::{IdRange, Identity, IdentityError, IdentityMode};
pub use parent::cancel::Cancel;
pub use parent::job::{Job, JobError, JobInput, run_job};
pub use parent::run::{ExitStatus, Outcome, OutputSink, RunError, Stream, run, run_with_listener};
pub use plan::{
    DevicePlan, FormatPlan, MountPlan, MountSource, Network, OverlayPlan, Privilege, RootPlan,
    SandboxPlan, Stdin, UserPlan,
};
pub use probe::{Check, HostReport, PROBE_JOB, probe, probe_formats, registered, user_namespaces};
pub use sys::process::die_with_parent;
