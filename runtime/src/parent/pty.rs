//! Relays the user's terminal to the sandbox's own one and back.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use signal_hook::consts::SIGWINCH;
use signal_hook::low_level::{pipe, unregister};

/// What a terminal's line discipline takes as the end of input.
const END_OF_INPUT: u8 = 4;
/// How long to wait for somebody inside to open a terminal that all have closed.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Size of the user's terminal, or what terminals had when they were made of glass.
pub(super) fn size() -> (u16, u16) {
    match tcgetwinsize(stdin()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}

/// Passes bytes and resizes until the other end of `stop` is closed.
///
/// The user's terminal is in raw mode meanwhile, so that ctrl-C and the like are keys for
/// the program inside.
pub(super) fn relay(master: &OwnedFd, stop: &UnixStream) -> io::Result<()> {
    fcntl_setfl(master, fcntl_getfl(master)? | OFlags::NONBLOCK)?;
    let (resized, on_resize) = UnixStream::pair()?;
    resized.set_nonblocking(true)?;
    let handler = pipe::register(SIGWINCH, on_resize)?;
    let raw = RawMode::enter();
    let mut relay = Relay { master, resized, typed: Vec::new(), input: true, silent: false };
    let done = relay.run(stop);
    drop(raw);
    unregister(handler);
    done
}

/// The user's terminal in raw mode until this is dropped.
struct RawMode(Option<Termios>);

impl RawMode {
    fn enter() -> Self {
        if !isatty(stdin()) {
            return Self(None);
        }
        let Ok(before) = tcgetattr(stdin()) else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        if let Err(error) = tcsetattr(stdin(), OptionalActions::Now, &raw) {
            tracing::debug!(%error, "the terminal stays as it is");
        }
        Self(Some(before))
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

struct Relay<'a> {
    master: &'a OwnedFd,
    resized: UnixStream,
    /// Read from the user, not yet taken by the sandbox.
    typed: Vec<u8>,
    /// Whether the user's input may have more.
    input: bool,
    /// Whether nobody takes the output any more.
    silent: bool,
}

impl Relay<'_> {
    fn run(&mut self, stop: &UnixStream) -> io::Result<()> {
        loop {
            let wants_input = self.input && self.typed.is_empty();
            let to_master =
                if self.typed.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            let user = stdin();
            let mut fds = vec![
                PollFd::new(stop, PollFlags::IN),
                PollFd::new(self.master, to_master),
                PollFd::new(&self.resized, PollFlags::IN),
            ];
            if wants_input {
                fds.push(PollFd::from_borrowed_fd(user, PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready: Vec<_> = fds.iter().map(PollFd::revents).collect();
            if !ready[0].is_empty() {
                self.output()?;
                return Ok(());
            }
            if !ready[2].is_empty() {
                self.resize();
            }
            if ready.get(3).is_some_and(|events| !events.is_empty()) {
                self.read_input();
            }
            if ready[1].contains(PollFlags::OUT) {
                self.write_input();
            }
            if ready[1].intersects(PollFlags::IN | PollFlags::HUP) && !self.output()? {
                // Nobody inside has it open: poll(2) would return at once.
                pause(stop)?;
            }
        }
    }

    /// Passes on what the sandbox has written; whether anybody inside has the terminal open.
    fn output(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        loop {
            match rustix::io::read(self.master, &mut buffer) {
                Ok(0) | Err(Errno::IO) => return Ok(false),
                Ok(count) => self.show(&buffer[..count]),
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn show(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.silent {
            match rustix::io::write(stdout(), bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::debug!(%error, "nobody takes the terminal's output");
                    self.silent = true;
                }
            }
        }
    }

    fn read_input(&mut self) {
        let mut buffer = [0; 4096];
        match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) => {
                self.input = false;
                self.typed.push(END_OF_INPUT);
            }
            Ok(count) => self.typed.extend_from_slice(&buffer[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => {
                tracing::debug!(%error, "no more input");
                self.input = false;
            }
        }
    }

    fn write_input(&mut self) {
        match rustix::io::write(self.master, &self.typed) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => {
                tracing::debug!(%error, "nobody takes the input");
                self.typed.clear();
            }
        }
    }

    fn resize(&mut self) {
        let mut bytes = [0; 64];
        while io::Read::read(&mut self.resized, &mut bytes).is_ok_and(|count| count > 0) {}
        if let Ok(size) = tcgetwinsize(stdin())
            && let Err(error) = tcsetwinsize(self.master, size)
        {
            tracing::debug!(%error, "the sandbox's terminal keeps its size");
        }
    }
}

fn pause(stop: &UnixStream) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)];
    match poll(&mut fds, Some(&PAUSE)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
