//! Calls that shape a process before it becomes another program.
#![expect(unsafe_code, reason = "these calls have no safe wrapper")]

use nix::sys::signal::{SigHandler, Signal, signal};

/// Sets a signal's disposition.
pub(crate) fn set_handler(which: Signal, handler: SigHandler) -> nix::Result<()> {
    // SAFETY: only SigDfl and SigIgn are ever passed; no code of ours runs in a handler.
    unsafe { signal(which, handler) }.map(|_| ())
}

/// Marks every descriptor from `first` on to be closed when a program is executed.
pub(crate) fn close_on_exec_from(first: u32) -> std::io::Result<()> {
    let last = u32::MAX;
    // SAFETY: the call changes flags of descriptors and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 1u32 << 2) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Leaves the caller's session keyring; a kernel without keyrings has none to leave.
pub(crate) fn new_session_keyring() {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    };
    if result < 0 {
        tracing::debug!("this kernel gives no session keyring");
    }
}

/// Has the kernel kill the program that `command` starts when the calling thread ends, in
/// whatever way: by SIGKILL, too.
pub fn die_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    let parent = rustix::process::getpid();
    let before_exec = move || {
        let kill = Some(rustix::process::Signal::KILL);
        rustix::process::set_parent_process_death_signal(kill)?;
        // A parent that died before the call above sends nothing.
        match rustix::process::getppid() {
            Some(now) if now == parent => Ok(()),
            _ => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    };
    // SAFETY: between fork and exec there are two system calls and no allocation.
    unsafe { command.pre_exec(before_exec) };
}
