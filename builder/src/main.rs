//! The goldsmith binary: helpers first, then the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a container is forked only from a process with one thread.
    goldsmith_runtime::init_if_child(&goldsmith::phase::jobs::JOBS);
    ExitCode::from(goldsmith::cli::main(std::env::args_os().collect()))
}
