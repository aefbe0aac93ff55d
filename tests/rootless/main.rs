//! Sandboxes as an ordinary user: what they give, what they keep out.

mod fixture;
mod isolation;
mod process;

use libtest_mimic::{Arguments, Failed, Trial};

/// A case: its name and body.
pub(crate) type Case = (&'static str, fn() -> anyhow::Result<()>);

fn main() {
    goldsmith_runtime::init_if_child(&[goldsmith_runtime::PROBE_JOB, fixture::CLEAR]);
    let arguments = Arguments::from_args();
    let trials = [process::CASES, isolation::CASES]
        .into_iter()
        .flatten()
        .map(|&(name, body)| {
            Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}"))))
                .with_kind("rootless")
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}
