//! A person at a guest's serial line.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goldsmith_runtime::Cancel;
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

use super::console::Guest;
use crate::error::Result;

/// Ctrl-A, after which a key is ours: x ends the guest, ctrl-A and a are ctrl-A itself.
const ESCAPE: u8 = 1;

/// How often the guest is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// Lets the user type at the guest's serial line until the guest ends, which status is returned
/// then, or until the user wants to leave.
///
/// Where standard input is a terminal it is in raw mode meanwhile: ctrl-C is a key for the guest.
/// Else its bytes are passed on as they are, and its end ends nothing.
///
/// # Errors
///
/// When the kernel does not say how the guest does.
pub fn attend(guest: &mut Guest, cancel: &Cancel) -> Result<u8> {
    let raw = RawMode::enter();
    let leave = Arc::new(AtomicBool::new(false));
    if let Some(input) = guest.take_input() {
        let (leave, keys) = (Arc::clone(&leave), raw.is_terminal());
        std::thread::spawn(move || {
            let mut input = input;
            if type_at(std::io::stdin().lock(), &mut input, keys) {
                leave.store(true, Ordering::Relaxed);
            }
            // The line stays open: whoever is silent may only have nothing more to say.
            loop {
                std::thread::park();
            }
        });
    }
    loop {
        if let Some(status) = guest.ended()? {
            return Ok(status);
        }
        if leave.load(Ordering::Relaxed) || cancel.is_cancelled() {
            return Ok(0);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Passes keys on until one says to leave; tells whether one did.
fn type_at(mut from: impl Read, mut to: impl Write, keys: bool) -> bool {
    let (mut chunk, mut escaped) = ([0; 256], false);
    let mut leave = false;
    while !leave && let Ok(count @ 1..) = from.read(&mut chunk) {
        let mut pass = Vec::with_capacity(count);
        for &byte in &chunk[..count] {
            match (keys, escaped, byte) {
                (true, true, b'x') => {
                    leave = true;
                    break;
                }
                (true, true, ESCAPE | b'a') => {
                    pass.push(ESCAPE);
                    escaped = false;
                }
                (true, true, _) => escaped = false,
                (true, false, ESCAPE) => escaped = true,
                _ => pass.push(byte),
            }
        }
        if to.write_all(&pass).and_then(|()| to.flush()).is_err() {
            return false;
        }
    }
    leave
}

/// The user's terminal in raw mode until this is dropped.
struct RawMode(Option<Termios>);

impl RawMode {
    fn enter() -> Self {
        let Some(before) = isatty(stdin()).then(|| tcgetattr(stdin()).ok()).flatten() else {
            return Self(None);
        };
        let mut raw = before.clone();
        raw.make_raw();
        if let Err(error) = tcsetattr(stdin(), OptionalActions::Now, &raw) {
            tracing::debug!(%error, "the terminal stays as it is");
        }
        Self(Some(before))
    }

    fn is_terminal(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.0
            && let Err(error) = tcsetattr(stdin(), OptionalActions::Drain, before)
        {
            tracing::warn!(%error, "the terminal stays raw: run `stty sane`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_is_ours_and_other_keys_are_not() {
        let typed = |text: &[u8]| {
            let mut passed = Vec::new();
            let left = type_at(text, &mut passed, true);
            (left, passed)
        };
        assert_eq!(typed(b"ls\n\x01xnever"), (true, b"ls\n".to_vec()));
        assert_eq!(typed(b"a\x01ab\x01\x01\x01c\x03"), (false, b"a\x01b\x01\x03".to_vec()));
        let mut passed = Vec::new();
        assert!(!type_at(&b"no\x01x keys"[..], &mut passed, false));
        assert_eq!(passed, b"no\x01x keys");
    }
}
