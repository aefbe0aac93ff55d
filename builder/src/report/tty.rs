//! A live display: one line for each running step, one bar for transfers.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Event, Sink};

/// Draws on standard error with indicatif.
pub(super) struct Tty {
    multi: MultiProgress,
    /// Running steps by name; two bases are made at once.
    steps: Vec<(String, ProgressBar)>,
    transfer: Option<ProgressBar>,
    quiet: bool,
    color: bool,
}

impl Tty {
    pub(super) fn new(quiet: bool, no_color: bool) -> Self {
        Self {
            multi: MultiProgress::new(),
            steps: Vec::new(),
            transfer: None,
            quiet,
            color: !no_color,
        }
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
        self.steps.push((step.to_owned(), bar));
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

    fn clear(&mut self, ended: impl Fn(&str) -> bool) {
        self.steps.retain(|(step, bar)| {
            if ended(step) {
                bar.finish_and_clear();
            }
            !ended(step)
        });
        if self.steps.is_empty()
            && let Some(bar) = self.transfer.take()
        {
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
                self.clear(|running| running == step);
                self.print("+", 32, &format!("{step} {seconds:.1} s"));
            }
            Event::Line { step, text, .. } => {
                if let Some((_, bar)) = self.steps.iter().find(|(running, _)| running == step) {
                    bar.set_message(text.clone());
                }
            }
            Event::Transfer { what, done, total } => self.transfer(what, *done, *total),
            Event::Info { text } => self.print(" ", 0, text),
            Event::Output { .. } => self.print("+", 32, &super::plain::text(event)),
        }
    }

    fn finish(&mut self) {
        self.clear(|_| true);
    }
}
