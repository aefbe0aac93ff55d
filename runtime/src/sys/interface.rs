//! ioctl(2) on network interfaces: netdevice(7).
#![expect(unsafe_code, reason = "no crate we use wraps these calls")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// `struct ifreq` as far as flags go.
#[repr(C)]
struct Flags {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

const UP: libc::c_short = 1;

/// Lets an interface of this network namespace carry packets.
pub(crate) fn raise(name: &str) -> io::Result<()> {
    let mut request = Flags { name: [0; libc::IFNAMSIZ], flags: UP, rest: [0; 22] };
    if name.len() >= request.name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // Any socket does; one that is not bound needs no interface.
    let socket = socket()?;
    // SAFETY: `request` is laid out as the kernel's struct ifreq, of its size, and outlives
    // the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn socket() -> io::Result<UdpSocket> {
    let kind = rustix::net::SocketType::DGRAM;
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(rustix::net::AddressFamily::INET, kind, flags, None)?;
    Ok(UdpSocket::from(socket))
}
