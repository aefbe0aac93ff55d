//! Plain timestamped lines, as diskimage-builder prints them.

use std::io::Write;
use std::time::Duration;

use super::{Event, Sink};

/// Writes `YYYY-MM-DD HH:MM:SS.mmm | text` lines (UTC).
pub(super) struct Plain {
    pub(super) quiet: bool,
    pub(super) timestamps: bool,
    pub(super) stdout: bool,
    pub(super) transfer: Throttle,
}

/// Lets through the end of a transfer and at most one report in five seconds.
#[derive(Default)]
pub(super) struct Throttle {
    last: Option<Duration>,
}

impl Throttle {
    fn pass(&mut self, at: Duration, done: u64, total: u64) -> bool {
        let due = self.last.is_none_or(|last| at.saturating_sub(last) >= Duration::from_secs(5));
        let end = total != 0 && done == total;
        if due || end {
            self.last = Some(at);
        }
        due || end
    }
}

impl Sink for Plain {
    fn event(&mut self, event: &Event, at: Duration) {
        if let Event::Transfer { done, total, .. } = event
            && !self.transfer.pass(at, *done, *total)
        {
            return;
        }
        if self.quiet && !matches!(event, Event::Warning { .. }) {
            return;
        }
        let mut line = String::new();
        if self.timestamps {
            line = format!("{} | ", timestamp());
        }
        line.push_str(&text(event));
        line.push('\n');
        let written = if self.stdout {
            std::io::stdout().lock().write_all(line.as_bytes())
        } else {
            std::io::stderr().lock().write_all(line.as_bytes())
        };
        if written.is_err() {
            self.quiet = true;
        }
    }
}

/// The time as log lines carry it.
pub(super) fn timestamp() -> String {
    chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// One line for one event.
pub(super) fn text(event: &Event) -> String {
    match event {
        Event::StepStarted { step } => format!("== {step}"),
        Event::StepCached { step } => format!("== {step}: cached"),
        Event::StepFinished { step, seconds } => format!("== {step}: done in {seconds:.1} s"),
        Event::Line { text, .. } | Event::Info { text } => text.clone(),
        Event::Transfer { what, done, total: 0 } => format!("{what}: {}", bytes(*done)),
        Event::Transfer { what, done, total } => {
            format!("{what}: {} of {}", bytes(*done), bytes(*total))
        }
        Event::Warning { text } => format!("warning: {text}"),
        Event::Output { path, bytes: size } => {
            format!("Image file {} created ({})", path.display(), bytes(*size))
        }
    }
}

/// A size for people: binary units, one decimal.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = size;
    let mut rest = 0;
    while scaled >= 1024 && unit + 1 < UNITS.len() {
        rest = scaled % 1024;
        scaled /= 1024;
        unit += 1;
    }
    if unit == 0 {
        format!("{size} B")
    } else {
        format!("{scaled}.{} {}", rest * 10 / 1024, UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (size, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (5 << 30, "5.0 GiB"),
            (3 << 19, "1.5 MiB"),
        ] {
            assert_eq!(bytes(size), shown);
        }
    }
}
