//! Sandboxes as an ordinary user: what they give, what they keep out.

mod fixture;
mod formats;
mod image_files;
mod isolation;
mod process;
mod terminal;

use std::io::Write;
use std::process::{Command, ExitCode};
use std::time::Duration;

use goldsmith_runtime::{
    Cancel, ExitStatus, Identity, OutputSink, SandboxPlan, Stream, init_if_child,
};
use libtest_mimic::{Arguments, Failed, Trial};

/// A case: its name and body.
pub(crate) type Case = (&'static str, fn() -> anyhow::Result<()>);

/// The verb of a copy of this program that runs one plan, as a builder of its own.
const RUN_VERB: &str = "__run";

fn main() -> ExitCode {
    init_if_child(&[goldsmith_runtime::PROBE_JOB, fixture::CLEAR]);
    let words: Vec<_> = std::env::args().skip(1).take(2).collect();
    if let [verb, plan] = words.as_slice()
        && verb == RUN_VERB
    {
        return match run_one(plan) {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                let told = writeln!(std::io::stderr(), "{error:#}");
                ExitCode::from(if told.is_ok() { 70 } else { 71 })
            }
        };
    }
    let arguments = Arguments::from_args();
    let trials =
        [process::CASES, isolation::CASES, image_files::CASES, terminal::CASES, formats::CASES]
            .into_iter()
            .flatten()
            .map(|&(name, body)| {
                Trial::test(name, move || {
                    body().map_err(|error| Failed::from(format!("{error:#}")))
                })
                .with_kind("rootless")
            })
            .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A builder in a process of its own: for cases about its environment and its terminal.
pub(crate) fn own_run(plan: &SandboxPlan) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(RUN_VERB).arg(serde_json::to_string(plan)?);
    Ok(command)
}

fn run_one(plan: &str) -> anyhow::Result<u8> {
    struct Passed;
    impl OutputSink for Passed {
        fn line(&mut self, _: Stream, _: Duration, line: &[u8]) {
            let mut out = std::io::stdout();
            let written = out.write_all(line).and_then(|()| out.write_all(b"\n"));
            assert!(written.is_ok(), "nobody reads");
        }
    }
    let plan: SandboxPlan = serde_json::from_str(plan)?;
    let identity = Identity::detect()?;
    let outcome = goldsmith_runtime::run(&identity, &plan, Box::new(Passed), &Cancel::default())?;
    match outcome.status {
        ExitStatus::Code(code) => Ok(u8::try_from(code)?),
        other => anyhow::bail!("{other:?}"),
    }
}
