//! An element's `tests/`, run by Python's unittest.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::child::{self, Interrupts};
use super::{Builder, Outcome, Test};
use crate::error::Result;

/// unittest's status when it finds no test; before 3.12 it is 0.
const NO_TESTS: i32 = 5;

pub(super) fn run(
    test: &Test,
    builder: &Builder,
    log: &Path,
    interrupts: &Interrupts,
) -> Result<Outcome> {
    let begun = Instant::now();
    let python = builder.variable("DIB_PYTHON_EXEC").unwrap_or_else(|| "python3".to_owned());
    let mut command = Command::new(&python);
    command
        .args(["-m", "unittest", "discover", "--verbose", "--start-directory"])
        .arg(test.path.join("tests"))
        .current_dir(&test.path)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    // Tests load programs of elements that import diskimage_builder: the real one, else ours.
    let probe = Command::new(&python).args(["-c", "import diskimage_builder"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        let mut path = builder.lib.join("python").into_os_string();
        if let Some(own) = builder.variable("PYTHONPATH") {
            path.push(":");
            path.push(own);
        }
        command.env("PYTHONPATH", path);
    }
    let status = child::run(&mut command, log, interrupts)?;
    let tail = child::tail(log);
    let failure = match status.code() {
        Some(0) if tail.iter().any(|line| line.starts_with("Ran 0 tests")) => {
            Some("unittest finds no test".to_owned())
        }
        Some(0) => None,
        Some(NO_TESTS) => Some("unittest finds no test".to_owned()),
        _ => {
            // A module that is missing says more than the status.
            let lacks = tail.iter().find(|line| line.contains("ModuleNotFoundError: "));
            let lacks =
                lacks.map(|line| format!("{}; DIB_PYTHON_EXEC names another Python", line.trim()));
            Some(lacks.unwrap_or_else(|| format!("unittest: {status}")))
        }
    };
    Ok(Outcome { failure, remark: None, tail, took: begun.elapsed() })
}
