//! What only root can arrange: the loop backend, and hosts with a fault met by the ordinary user.
//!
//! Every fault is made in a namespace of its own, so that a test that fails leaves nothing.

mod full_disk;
mod lacks;
mod loop_backend;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// A case: its name and body.
pub(crate) type Case = (&'static str, fn() -> anyhow::Result<()>);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = rustix::process::geteuid().is_root();
    let reason = if root { "privileged" } else { "privileged: ignored, it needs root" };
    let trials = [full_disk::CASES, lacks::CASES, loop_backend::CASES]
        .into_iter()
        .flatten()
        .map(|&(name, body)| {
            Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}"))))
                .with_kind(reason)
                .with_ignored_flag(!root)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
