//! What only root can arrange: the loop backend, and hosts with a fault met by the ordinary user.
//!
//! Every fault is made in a namespace of its own, so that a test that fails leaves nothing.

mod again;
mod container;
mod directory;
mod dpkg;
mod full_disk;
mod lacks;
mod loop_backend;
mod loop_kinds;
mod loop_volumes;
mod moved_range;
mod reproducible;
mod same_disk;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// A case: its name and body.
pub(crate) type Case = (&'static str, fn() -> anyhow::Result<()>);

/// What a group of cases lacks here. What `GOLDSMITH_REQUIRE` names is not looked for: the cases
/// then run and fail.
fn lack(feature: &str, there: bool, what: &'static str) -> Option<&'static str> {
    (!there && !goldsmith_tests::require(feature)).then_some(what)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = rustix::process::geteuid().is_root();
    let rootless = (!root).then_some("privileged: ignored, it needs root");
    let loops = std::path::Path::new("/dev/loop-control").exists();
    let loops = lack("loop", loops, "privileged: ignored, there is no /dev/loop-control");
    let programs = ["buildah", "runc"].iter().all(|name| found(name));
    let programs = lack("buildah", programs, "privileged: ignored, it needs buildah and runc");
    let packaged = ["apt-get", "dpkg-deb"].iter().all(|name| found(name));
    let packaged = (!packaged).then_some("privileged: ignored, this is no Debian");
    let groups = [
        (again::CASES, None),
        (container::CASES, programs),
        (directory::CASES, loops),
        (dpkg::CASES, packaged),
        (full_disk::CASES, None),
        (lacks::CASES, None),
        (loop_backend::CASES, loops),
        (loop_kinds::CASES, loops),
        (loop_volumes::CASES, loops),
        (moved_range::CASES, None),
        (reproducible::CASES, None),
    ];
    let mut trials = Vec::new();
    for (cases, lacks) in groups {
        let reason = rootless.or(lacks);
        trials.extend(cases.iter().map(|&(name, body)| {
            Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}"))))
                .with_kind(reason.unwrap_or("privileged"))
                .with_ignored_flag(reason.is_some())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}
