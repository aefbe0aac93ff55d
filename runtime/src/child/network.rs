//! The network of a sandbox that reaches one listening socket and nothing else.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use nix::sched::{CloneFlags, unshare};

use crate::channel;
use crate::messages::Report;
use crate::plan::Network;
use crate::sys::interface;

/// Enters a network namespace with a loopback interface, and hands the builder the socket
/// that listens there. The container stays in that namespace: its specification names none.
pub(super) fn prepare(network: Network, builder: &UnixStream) -> Result<(), String> {
    let Network::Listener(port) = network else { return Ok(()) };
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("unshare(CLONE_NEWNET): {error}"))?;
    interface::raise("lo").map_err(|error| format!("the loopback interface: {error}"))?;
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| format!("bind(127.0.0.1:{port}): {error}"))?;
    channel::send(builder, &Report::Listening, &[socket.as_fd()])
        .map_err(|error| format!("report: {error}"))
}
