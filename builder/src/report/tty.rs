//! A live display: one line for the running step, one bar for transfers.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Event, Sink};

/// Draws on standard error with indicatif.
pub(super) struct Tty {
    multi: MultiProgress,
    step: Option<ProgressBar>,
    transfer: Option<ProgressBar>,
    quiet: bool,
    color: bool,
}

impl Tty {
    pub(super) fn new(quiet: bool, no_color: bool) -> Self {
        Self { multi: MultiProgress::new(), step: None, transfer: None, quiet, color: !no_color }
    }

    fn print(&self, mark: &str, code: u8, text: &str) {
        let line = if self.color {
            format!("\x1b[{code}m{mark}\x1b[0m {text}")
        } else {
            format!("{mark} {text}")
        };
        if self.multi.println(line).is_err() {
            tracing::debug!("the terminal is gone");
        }
    }

    fn start(&mut self, step: &str) {
        self.clear();
        let template = if self.color {
            "{spinner:.cyan} {prefix:.bold} {elapsed} {wide_msg:.dim}"
        } else {
            "{spinner} {prefix} {elapsed} {wide_msg}"
        };
        let bar = self.multi.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(step.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.step = Some(bar);
    }

    fn transfer(&mut self, what: &str, done: u64, total: u64) {
        let bar = self.transfer.get_or_insert_with(|| {
            let bar = self.multi.add(ProgressBar::new(total));
            let template = "  {prefix} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        bar.set_prefix(what.to_owned());
        bar.set_length(total);
        bar.set_position(done);
        if total != 0 && done >= total {
            bar.finish_and_clear();
            self.transfer = None;
        }
    }

    fn clear(&mut self) {
        for bar in [self.step.take(), self.transfer.take()].into_iter().flatten() {
            bar.finish_and_clear();
        }
    }
}

impl Sink for Tty {
    fn event(&mut self, event: &Event, _at: Duration) {
        match event {
            Event::Warning { text } => self.print("!", 33, text),
            _ if self.quiet => {}
            Event::StepStarted { step } => self.start(step),
            Event::StepCached { step } => self.print("=", 36, &format!("{step} (cached)")),
            Event::StepFinished { step, seconds } => {
                self.clear();
                self.print("+", 32, &format!("{step} {seconds:.1} s"));
            }
            Event::Line { text, .. } => {
                if let Some(bar) = &self.step {
                    bar.set_message(text.clone());
                }
            }
            Event::Transfer { what, done, total } => self.transfer(what, *done, *total),
            Event::Info { text } => self.print(" ", 0, text),
            Event::Output { .. } => self.print("+", 32, &super::plain::text(event)),
        }
    }

    fn finish(&mut self) {
        self.clear();
    }
}
