//! A test's process: its output goes to a file, and an interrupted user ends it.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Failure, Kind, Result};

/// How often a running test is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// How many lines of a test that failed are shown.
const LINES: usize = 40;

/// Whether the user wants to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// Notes SIGINT and SIGTERM from here on.
    ///
    /// # Errors
    ///
    /// When signals cannot be caught.
    pub fn catch() -> Result<Self> {
        let own = Self::default();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, own.0.clone())
                .map_err(|error| Failure::wrap(Kind::Host, "signals", &error))?;
        }
        Ok(own)
    }

    fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs a command, its output appended to `log`.
pub(super) fn run(
    command: &mut Command,
    log: &Path,
    interrupts: &Interrupts,
) -> Result<ExitStatus> {
    let failed = |error: std::io::Error| Failure::wrap(Kind::Host, "a test", &error);
    let output = fs_err::OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
    let output = output.into_parts().0;
    command.stdin(Stdio::null());
    command.stdout(output.try_clone().map_err(failed)?).stderr(output);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| Failure::wrap(Kind::Host, program, &error))?;
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            if interrupts.came() {
                return Err(Failure::new(Kind::Interrupted, "interrupted"));
            }
            return Ok(status);
        }
        if interrupts.came() && !told {
            told = true;
            let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            let ended =
                id.map(|id| rustix::process::kill_process(id, rustix::process::Signal::TERM));
            if !matches!(ended, Some(Ok(()))) {
                tracing::debug!("the test is gone already");
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> Vec<String> {
    let bytes = fs_err::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}
