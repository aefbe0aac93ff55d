//! The only door to the terminal.
//!
//! Everything that happens is an [`Event`]; a [`Reporter`] turns events into plain
//! timestamped lines, a live display or JSON lines. Raw bytes of hooks go to the log
//! untouched; what reaches a terminal is made harmless first ([`sanitise`]).

mod json;
mod logfile;
mod plain;
mod sanitise;
mod tty;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use logfile::LogFile;
pub use plain::bytes;
pub use sanitise::printable;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// `Tty` when standard error is a terminal, else `Plain`.
    #[default]
    Auto,
    /// A live display.
    Tty,
    /// One timestamped line an event.
    Plain,
    /// One JSON object a line on standard error.
    Json,
}

/// Something a person or a program may want to know about, as it happens.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A step begins.
    StepStarted {
        /// The step's name: a phase, `base`, `tools`, `disk`.
        step: String,
    },
    /// A step's result came from the cache.
    StepCached {
        /// The step's name.
        step: String,
    },
    /// A step ended well.
    StepFinished {
        /// The step's name.
        step: String,
        /// Wall time in seconds.
        seconds: f64,
    },
    /// A line of output of a hook.
    Line {
        /// The step's name.
        step: String,
        /// The bytes, made printable.
        text: String,
    },
    /// Bytes arrive; `total` is 0 when unknown.
    Transfer {
        /// What is transferred.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, 0 when unknown.
        total: u64,
    },
    /// A remark.
    Info {
        /// The text.
        text: String,
    },
    /// Something that is not as it should be but does not stop the build.
    Warning {
        /// The text.
        text: String,
    },
    /// An output is complete.
    Output {
        /// Where it lies.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
}

/// What turns events into bytes for a person or a program.
trait Sink: Send {
    fn event(&mut self, event: &Event, at: Duration);
    fn finish(&mut self) {}
}

/// Where events go; cheap to clone, safe to share between threads.
#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    sink: Box<dyn Sink>,
    log: Option<LogFile>,
    started: std::time::Instant,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

/// What a reporter needs to know beforehand.
#[derive(Debug, Default)]
pub struct Options {
    /// How progress is shown.
    pub progress: Progress,
    /// Nothing on the terminal but warnings.
    pub quiet: bool,
    /// Plain lines carry no time.
    pub no_timestamp: bool,
    /// Where raw lines are appended as well.
    pub log: Option<LogFile>,
    /// `NO_COLOR` is set.
    pub no_color: bool,
    /// Hook output goes to standard output, as diskimage-builder's does.
    pub stdout: bool,
}

impl Reporter {
    /// Makes the reporter that `options` ask for.
    pub fn new(options: Options) -> Self {
        let live = match options.progress {
            Progress::Auto => {
                !options.stdout && std::io::IsTerminal::is_terminal(&std::io::stderr())
            }
            Progress::Tty => true,
            Progress::Plain | Progress::Json => false,
        };
        let sink: Box<dyn Sink> = if options.progress == Progress::Json {
            Box::new(json::Json)
        } else if live {
            Box::new(tty::Tty::new(options.quiet, options.no_color))
        } else {
            Box::new(plain::Plain {
                quiet: options.quiet,
                timestamps: !options.no_timestamp,
                stdout: options.stdout,
                transfer: plain::Throttle::default(),
            })
        };
        let inner = Inner { sink, log: options.log, started: std::time::Instant::now() };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Tells what happened.
    pub fn event(&self, event: &Event) {
        let Ok(mut inner) = self.inner.lock() else { return };
        let at = inner.started.elapsed();
        if let Some(log) = &mut inner.log
            && !matches!(event, Event::Line { .. } | Event::Transfer { .. })
        {
            log.line(plain::text(event).as_bytes());
        }
        inner.sink.event(event, at);
    }

    /// Passes one raw line of a hook on: bytes to the log, printable text to the sink.
    pub fn raw_line(&self, step: &str, line: &[u8]) {
        if let Ok(mut inner) = self.inner.lock()
            && let Some(log) = &mut inner.log
        {
            log.line(line);
        }
        let Ok(mut inner) = self.inner.lock() else { return };
        let at = inner.started.elapsed();
        let event = Event::Line { step: step.to_owned(), text: printable(line) };
        inner.sink.event(&event, at);
    }

    /// Says something to a person.
    pub fn info(&self, text: impl Into<String>) {
        self.event(&Event::Info { text: text.into() });
    }

    /// Says that something is not as it should be.
    pub fn warn(&self, text: impl Into<String>) {
        self.event(&Event::Warning { text: text.into() });
    }

    /// Clears live displays; call before anything else writes to the terminal.
    pub fn finish(&self) {
        if let Ok(mut inner) = self.inner.lock() {
            inner.sink.finish();
        }
    }
}

/// Prints a failure to standard error, with its hints. Where nobody reads that, the exit status
/// still says what failed.
pub fn failure(program: &str, failure: &crate::error::Failure) {
    use std::io::Write as _;
    let mut text = format!("{program}: {}\n", printable(failure.message.as_bytes()));
    for hint in &failure.hints {
        text += &format!("  {}\n", printable(hint.as_bytes()));
    }
    if std::io::stderr().lock().write_all(text.as_bytes()).is_err() {
        tracing::debug!("standard error is closed");
    }
}

/// Prints text that was asked for to standard output.
///
/// A closed pipe is not an error: the reader had enough.
pub fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::debug!("standard output is closed");
    }
}

/// Passes what a guest writes to its serial line on to standard output, raw: a console is for
/// programs that move the cursor. Tells whether somebody still reads.
pub fn console(bytes: &[u8]) -> bool {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// Passes a line of a program on to standard output or standard error: raw, unless that is a
/// terminal.
pub fn pass(line: &[u8], to_stderr: bool) {
    use std::io::{IsTerminal as _, Write as _};
    let terminal =
        if to_stderr { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    let mut bytes = if terminal { printable(line).into_bytes() } else { line.to_vec() };
    bytes.push(b'\n');
    let written = if to_stderr {
        std::io::stderr().write_all(&bytes)
    } else {
        std::io::stdout().write_all(&bytes)
    };
    if written.is_err() {
        tracing::debug!("the reader is gone");
    }
}
