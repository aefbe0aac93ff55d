//! Programs of other machines: a binfmt_misc of the sandbox's own.
//!
//! The kernel keeps such registrations for each user namespace, and looks for them in that of
//! the program that is started: those made here are the sandbox's alone. They last as long
//! as the mount, which lies in the helper's mount namespace.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::rootfs::{WORKSHOP, fd_path};
use crate::plan::FormatPlan;

/// The kernel's name of the file system.
pub(crate) const FILE_SYSTEM: &str = "binfmt_misc";

/// What a refused mount of it means, in words.
pub(crate) fn describe(error: Errno) -> String {
    match error {
        Errno::EPERM => "this kernel has no binfmt_misc in a user namespace, which came with 6.7",
        Errno::ENODEV => "this kernel has no binfmt_misc",
        error => return format!("mount({FILE_SYSTEM}): {error}"),
    }
    .to_owned()
}

/// Registers `formats`; `interpreters` are their files, in the same order.
pub(super) fn register(formats: &[FormatPlan], interpreters: &[OwnedFd]) -> Result<(), String> {
    let none: Option<&str> = None;
    let kernel = format!("{WORKSHOP}/formats");
    fs_err::create_dir(&kernel).map_err(|error| error.to_string())?;
    mount(Some(FILE_SYSTEM), kernel.as_str(), Some(FILE_SYSTEM), MsFlags::empty(), none)
        .map_err(|error| format!("programs of other machines: {}", describe(error)))?;
    let directory = format!("{WORKSHOP}/interpreters");
    fs_err::create_dir(&directory).map_err(|error| error.to_string())?;
    for (format, interpreter) in formats.iter().zip(interpreters) {
        check(format)?;
        // A name of its own: it is what the interpreter is called by, and what ps(1) shows.
        let path = format!("{directory}/{}", format.name);
        fs_err::write(&path, "").map_err(|error| error.to_string())?;
        let source = fd_path(interpreter);
        mount(Some(source.as_str()), path.as_str(), none, MsFlags::MS_BIND, none)
            .map_err(|error| format!("mount(interpreter {}): {error}", format.name))?;
        fs_err::write(format!("{kernel}/register"), line(format, &path))
            .map_err(|error| format!("registering programs of {}: {error}", format.name))?;
    }
    Ok(())
}

fn check(format: &FormatPlan) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = format.name.as_str();
    if name.is_empty() || !name.chars().all(plain) || ["register", "status"].contains(&name) {
        return Err(format!("{name:?} cannot be the name of a format"));
    }
    if format.magic.is_empty()
        || format.magic.len() > 128
        || format.magic.len() != format.mask.len()
    {
        return Err(format!("format {name}: magic and mask are 1 to 128 bytes, and as many"));
    }
    Ok(())
}

/// The line that the kernel reads. `F`: the interpreter is opened now; `O`: it is handed the
/// program's file open, too, which it need not be allowed to read.
fn line(format: &FormatPlan, interpreter: &str) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let zero = if format.argument_zero { "P" } else { "" };
    let (name, magic, mask) = (&format.name, hex(&format.magic), hex(&format.mask));
    format!(":{name}:M::{magic}:{mask}:{interpreter}:O{zero}F")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(name: &str, magic: &[u8], mask: &[u8]) -> FormatPlan {
        FormatPlan {
            name: name.into(),
            magic: magic.into(),
            mask: mask.into(),
            interpreter: "/i".into(),
            argument_zero: true,
        }
    }

    #[test]
    fn the_kernels_line() {
        let text = line(&format("z80", b"\x7f:\n", b"\xff\xff\x00"), "/tmp/interpreters/z80");
        assert_eq!(text, r":z80:M::\x7f\x3a\x0a:\xff\xff\x00:/tmp/interpreters/z80:OPF");
    }

    #[test]
    fn what_the_kernel_would_misread_is_refused() {
        assert!(check(&format("aarch64", b"ab", b"ab")).is_ok());
        for bad in ["", "a:b", "../x", "register", "status"] {
            assert!(check(&format(bad, b"ab", b"ab")).is_err(), "{bad}");
        }
        assert!(check(&format("a", b"ab", b"a")).is_err());
        assert!(check(&format("a", b"", b"")).is_err());
        assert!(check(&format("a", &[1; 129], &[1; 129])).is_err());
    }
}
