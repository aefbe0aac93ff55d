//! Watches the output of a phase: the running hook, the last lines, tell-tale errors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goldsmith_runtime::{OutputSink, Stream};

use crate::error::says_no_space;
use crate::report::{Reporter, printable};

/// How many lines a failure report shows.
const TAIL: usize = 40;

/// What was seen of a phase's output.
#[derive(Debug, Default)]
pub struct Seen {
    tail: VecDeque<String>,
    hook: Option<String>,
    cross_device: bool,
    no_space: bool,
}

/// Shares what was seen between the sink and whoever asks after the phase.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    /// The hook that ran last, as `DIRECTORY/NAME`.
    pub fn hook(&self) -> Option<String> {
        self.0.lock().ok().and_then(|seen| seen.hook.clone())
    }

    /// The last lines, printable.
    pub fn tail(&self) -> Vec<String> {
        self.0.lock().map(|seen| seen.tail.iter().cloned().collect()).unwrap_or_default()
    }

    /// Whether a program complained that rename(2) crossed devices.
    ///
    /// An overlay refuses to rename a directory of a lower layer with EXDEV; programs that
    /// do not expect it print one of these texts and give up.
    pub fn cross_device(&self) -> bool {
        self.0.lock().is_ok_and(|seen| seen.cross_device)
    }

    /// Whether a program complained of a full file system.
    pub fn no_space(&self) -> bool {
        self.0.lock().is_ok_and(|seen| seen.no_space)
    }

    fn note(&self, text: String) {
        let Ok(mut seen) = self.0.lock() else { return };
        let running = ["dib-run-parts Running ", "dib-run-parts Sourcing environment file "]
            .iter()
            .find_map(|start| text.strip_prefix(start));
        if let Some(hook) = running {
            seen.hook = Some(hook_name(hook));
        }
        if ["Invalid cross-device link", "cross-device link", "EXDEV", "[Errno 18]"]
            .iter()
            .any(|mark| text.contains(mark))
        {
            seen.cross_device = true;
        }
        seen.no_space |= says_no_space(&text);
        if seen.tail.len() == TAIL {
            seen.tail.pop_front();
        }
        seen.tail.push_back(text);
    }
}

/// `install.d/10-x` of `/tmp/in_target.d/install.d/10-x`, `environment.d/x` of
/// `/tmp/in_target.d/install.d/../environment.d/x`.
fn hook_name(path: &str) -> String {
    let mut parts = path.trim().rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(name), Some(directory)) => format!("{directory}/{name}"),
        _ => path.trim().to_owned(),
    }
}

/// Passes lines on to the reporter and to a [`Watch`].
#[derive(Debug)]
pub struct PhaseSink {
    /// Where lines are shown.
    pub reporter: Reporter,
    /// The step's name.
    pub step: String,
    /// What was seen.
    pub watch: Watch,
}

impl OutputSink for PhaseSink {
    fn line(&mut self, _stream: Stream, _elapsed: Duration, line: &[u8]) {
        if switches_tracing(line) {
            return;
        }
        self.reporter.raw_line(&self.step, line);
        self.watch.note(printable(line));
    }
}

/// Whether a line is but the shell's trace of a hook that turns tracing on or off;
/// diskimage-builder leaves those out, too.
fn switches_tracing(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.contains("set +o") || text.contains("xtrace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_hook_and_the_tail_are_kept() {
        let watch = Watch::default();
        for n in 0..50 {
            watch.note(format!("line {n}"));
        }
        watch.note("dib-run-parts Running /tmp/in_target.d/install.d/10-x".into());
        watch.note("OSError: [Errno 18] Invalid cross-device link: 'a' -> 'b'".into());
        assert_eq!(watch.hook().as_deref(), Some("install.d/10-x"));
        assert_eq!(watch.tail().len(), TAIL);
        assert!(watch.cross_device());
        assert!(switches_tracing(b"+ set +o xtrace") && switches_tracing(b"++ shopt -po xtrace"));
        assert!(!switches_tracing(b"+ set -eu"));
    }
}
