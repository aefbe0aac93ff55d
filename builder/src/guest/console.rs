//! A running guest and its serial line.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use goldsmith_runtime::Cancel;

use super::{Machine, QEMU, io, no_qemu};
use crate::error::{Failure, Kind, Result};

/// How much of the console is kept to look for texts in.
const KEPT: usize = 4 << 20;
/// How often a wait looks whether the user wants to stop.
const PAUSE: Duration = Duration::from_millis(200);

/// A running guest. It ends with this value, and with this process however that ends.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    console: Arc<Console>,
    input: Option<ChildStdin>,
    /// Where the next text is looked for: bytes since the guest's start.
    from: u64,
}

#[derive(Debug, Default)]
struct Console {
    heard: Mutex<Heard>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    /// The end of what came.
    bytes: Vec<u8>,
    /// How much came before that.
    dropped: u64,
    ended: bool,
}

impl Console {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a wait for a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The text came.
    Seen,
    /// It did not, in the time given.
    TimeUp,
    /// The guest ended before.
    Ended,
}

impl Guest {
    /// Starts a machine; `show` passes its serial line on to standard output.
    ///
    /// # Errors
    ///
    /// When QEMU is not installed or a file cannot be lent to it.
    pub fn start(machine: &Machine, show: bool) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut prepared = machine.prepare()?;
        let command = &mut prepared.command;
        // Of a group of its own: ctrl-C is for us, who then end it in order.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        goldsmith_runtime::die_with_parent(command);
        let mut child = command.spawn().map_err(|error| no_qemu(QEMU, &error))?;
        drop(prepared.lent);
        let (console, input) = (Arc::<Console>::default(), child.stdin.take());
        if let Some(out) = child.stdout.take() {
            let console = Arc::clone(&console);
            std::thread::spawn(move || listen(out, &console, show));
        }
        Ok(Self { child, console, input, from: 0 })
    }

    /// Waits until the console has shown `text`, after what earlier waits have seen.
    ///
    /// # Errors
    ///
    /// [`Kind::Interrupted`] when the user wants to stop.
    pub fn wait_for(&mut self, text: &str, until: Instant, cancel: &Cancel) -> Result<Waited> {
        let wanted = text.as_bytes();
        let mut heard = self.console.heard();
        loop {
            let start = usize::try_from(self.from.saturating_sub(heard.dropped)).unwrap_or(0);
            let rest = heard.bytes.get(start..).unwrap_or_default();
            let found = rest.windows(wanted.len().max(1)).position(|window| window == wanted);
            if let Some(at) = found {
                self.from = heard.dropped + (start + at + wanted.len()) as u64;
                return Ok(Waited::Seen);
            }
            if heard.ended {
                return Ok(Waited::Ended);
            }
            if cancel.is_cancelled() {
                return Err(Failure::new(Kind::Interrupted, "interrupted"));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Waited::TimeUp);
            }
            let waited = self.console.more.wait_timeout(heard, left.min(PAUSE));
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What came since the last text that was waited for.
    pub fn since(&self) -> Vec<u8> {
        let heard = self.console.heard();
        let start = usize::try_from(self.from.saturating_sub(heard.dropped)).unwrap_or(0);
        heard.bytes.get(start..).unwrap_or_default().to_vec()
    }

    /// The last lines of the console.
    pub fn tail(&self, lines: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.console.heard().bytes).into_owned();
        let all: Vec<_> = text.lines().map(|line| line.trim_end().to_owned()).collect();
        all[all.len().saturating_sub(lines)..].to_vec()
    }

    /// Types at the guest's serial line.
    ///
    /// # Errors
    ///
    /// When the guest is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let input = self.input.as_mut().ok_or_else(|| io(std::io::ErrorKind::BrokenPipe.into()))?;
        input.write_all(bytes).and_then(|()| input.flush()).map_err(io)
    }

    /// The other end of the serial line, for somebody who types all the time.
    pub(super) fn take_input(&mut self) -> Option<ChildStdin> {
        self.input.take()
    }

    /// QEMU's exit status when it has ended; a signal's number and 128 when one ended it.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn ended(&mut self) -> Result<Option<u8>> {
        use std::os::unix::process::ExitStatusExt as _;
        let status = self.child.try_wait().map_err(io)?;
        let number = |status: std::process::ExitStatus| {
            status.code().or(status.signal().map(|signal| 128 + signal))
        };
        Ok(status.map(|status| number(status).and_then(|n| u8::try_from(n).ok()).unwrap_or(1)))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(|_| ())) {
            tracing::warn!(%error, "QEMU does not end");
        }
    }
}

fn listen(mut out: impl std::io::Read, console: &Console, mut show: bool) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = out.read(&mut chunk) {
        show = show && crate::report::console(&chunk[..count]);
        let mut heard = console.heard();
        heard.bytes.extend_from_slice(&chunk[..count]);
        if heard.bytes.len() > KEPT {
            heard.bytes.drain(..KEPT / 2);
            heard.dropped += (KEPT / 2) as u64;
        }
        drop(heard);
        console.more.notify_all();
    }
    console.heard().ended = true;
    console.more.notify_all();
}
