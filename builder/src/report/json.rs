//! One JSON object a line on standard error, for programs.

use std::io::Write;
use std::time::Duration;

use super::{Event, Sink};

/// Writes `{"time": seconds, "event": name, ...}` lines; the fields are [`Event`]'s.
pub(super) struct Json;

#[derive(serde::Serialize)]
struct Line<'a> {
    time: f64,
    #[serde(flatten)]
    event: &'a Event,
}

impl Sink for Json {
    fn event(&mut self, event: &Event, at: Duration) {
        let line = Line { time: at.as_secs_f64(), event };
        let Ok(mut text) = serde_json::to_vec(&line) else { return };
        text.push(b'\n');
        if std::io::stderr().lock().write_all(&text).is_err() {
            tracing::debug!("standard error is closed");
        }
    }
}
