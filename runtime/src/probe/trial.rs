//! A whole sandbox, all the way to the program, of which there is none.

use std::time::Duration;

use super::{Check, check};
use crate::identity::Identity;
use crate::parent::cancel::Cancel;
use crate::parent::run::{ExitStatus, OutputSink, Stream, run};
use crate::plan::{Network, Privilege, RootPlan, SandboxPlan, Stdin, UserPlan};

/// The status of a program that is not found.
const NOT_FOUND: ExitStatus = ExitStatus::Code(127);

pub(super) fn sandbox(identity: &Identity) -> Check {
    match try_one(identity) {
        Ok(()) => check("a whole sandbox", true, "starts and ends", ""),
        Err(detail) => {
            let fix = "this is not a known lack of a host: please report it with this text";
            check("a whole sandbox", false, &detail, fix)
        }
    }
}

fn try_one(identity: &Identity) -> Result<(), String> {
    let root = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (uid, gid) = identity.outside_root();
    if uid != rustix::process::geteuid().as_raw() {
        fs_err::os::unix::fs::lchown(root.path(), Some(uid), Some(gid))
            .map_err(|error| error.to_string())?;
    }
    let plan = SandboxPlan {
        id_hint: "probe".into(),
        root: RootPlan::Directory(root.path().to_owned()),
        argv: vec!["/nothing".into()],
        env: Vec::new(),
        cwd: "/".into(),
        mounts: Vec::new(),
        devices: Vec::new(),
        formats: Vec::new(),
        network: Network::None,
        hostname: "probe".into(),
        privilege: Privilege::Package,
        user: UserPlan::default(),
        scratch_bytes: None,
        time_limit_ms: Some(30_000),
        stdin: Stdin::Null,
    };
    let outcome = run(identity, &plan, Box::new(Silence), &Cancel::default());
    match outcome.map_err(|error| error.to_string())?.status {
        NOT_FOUND => Ok(()),
        other => Err(format!("it ended with {other:?}")),
    }
}

/// Takes what the sandbox says about the missing program.
struct Silence;

impl OutputSink for Silence {
    fn line(&mut self, _: Stream, _: Duration, _: &[u8]) {}
}
