//! The sandbox's own terminal, on its way to the builder.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::termios::{Winsize, tcsetwinsize};

use crate::channel;
use crate::messages::Report;

/// Where libcontainer delivers the terminal that it opens inside.
#[derive(Debug)]
pub(super) struct Console(UnixListener);

impl Console {
    /// On the helper's private tmpfs; see [`super::rootfs::WORKSHOP`].
    pub(super) const PATH: &str = "/tmp/console";

    pub(super) fn listen() -> Result<Self, String> {
        UnixListener::bind(Self::PATH).map(Self).map_err(|error| format!("console: {error}"))
    }

    /// Sets the terminal's size and passes it on to the builder.
    pub(super) fn hand_over(
        self,
        (rows, columns): (u16, u16),
        builder: &UnixStream,
    ) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| format!("console: {error}");
        let (connection, _) = self.0.accept().map_err(|error| text(&error))?;
        let terminal = channel::receive_fd(&connection).map_err(|error| text(&error))?;
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).map_err(|error| text(&error))?;
        channel::send(builder, &Report::Terminal, &[terminal.as_fd()]).map_err(|error| text(&error))
    }
}
