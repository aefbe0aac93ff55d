//! How a guest's processor is made. What opens /dev/kvm need not work: there are kernels under
//! whose KVM the firmware runs and a boot loader hangs. So a trial guest decides.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{QEMU, io, lend, no_qemu};
use crate::error::Result;

/// How a guest's processor is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// By the host's processor.
    Kvm,
    /// In software.
    Tcg,
}

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Wanted {
    /// The host's processor, if a trial guest runs on it; else in software
    #[default]
    Auto,
    /// The host's processor
    Kvm,
    /// In software
    Tcg,
}

/// What the trial guest writes to its serial line.
const TOKEN: &[u8] = b"goldsmith runs";
/// How long it may take; where KVM works it is less than a second.
const LIMIT: Duration = Duration::from_secs(5);
/// The trial guest's disk: its first sector is code, QEMU takes none that is much smaller.
const DISK: u64 = 1 << 20;

/// The trial guest, a boot sector that does what boot loaders do: from real mode to protected
/// mode, a floating point instruction, back to real mode, a call of the BIOS (INT 12h), and
/// `TOKEN` byte by byte to port 3f8h, then HLT for ever. Our own, assembled by GNU as; the
/// offsets below are those of its listing.
///
/// ```text
/// 00  cli; ax, ds, ss = 0; sp = 7c00      20  ds, ss = 10h; fninit; fwait; jump 18h:32
/// 0c  lgdt 98; cr0 |= 1; jump 08h:20      32  ds, ss = 20h; cr0 &= ~1; jump 0:46
/// 46  ds, ss = 0; int 12h; si = 5f        54  lodsb; out 3f8h until a zero; 5c hlt
/// 5f  the token                           70  the descriptor table, its pointer at 98
/// ```
const CODE: [u8; 158] = [
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0x66, 0x0f, 0x01, 0x16, 0x98, 0x7c,
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0x66, 0xea, 0x20, 0x7c, 0x00, 0x00, 0x08, 0x00,
    0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xd0, 0xdb, 0xe3, 0x9b, 0xea, 0x32, 0x7c, 0x00, 0x00,
    0x18, 0x00, 0xb8, 0x20, 0x00, 0x8e, 0xd8, 0x8e, 0xd0, 0x0f, 0x20, 0xc0, 0x24, 0xfe, 0x0f, 0x22,
    0xc0, 0xea, 0x46, 0x7c, 0x00, 0x00, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xcd, 0x12, 0xbe, 0x5f,
    0x7c, 0xba, 0xf8, 0x03, 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, 0xf4, 0xeb, 0xfd, 0x67,
    0x6f, 0x6c, 0x64, 0x73, 0x6d, 0x69, 0x74, 0x68, 0x20, 0x72, 0x75, 0x6e, 0x73, 0x0a, 0x00, 0x90,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0x00, 0x00, 0x27, 0x00, 0x70, 0x7c, 0x00, 0x00,
];

impl Accel {
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => &["-accel", "tcg"],
        }
    }

    /// The way that a person wants, or that works here.
    ///
    /// # Errors
    ///
    /// When QEMU is not installed.
    pub fn choose(wanted: Wanted) -> Result<Self> {
        match wanted {
            Wanted::Kvm => Ok(Self::Kvm),
            Wanted::Tcg => Ok(Self::Tcg),
            Wanted::Auto if !may_use_kvm() => Ok(Self::Tcg),
            Wanted::Auto => Ok(if Self::Kvm.runs()? { Self::Kvm } else { Self::Tcg }),
        }
    }

    /// Whether a guest gets as far as a boot loader does.
    ///
    /// # Errors
    ///
    /// When QEMU is not installed, or there is no room for a file of a MiB.
    pub fn runs(self) -> Result<bool> {
        let mut disk = tempfile::tempfile().map_err(io)?;
        disk.write_all(&sector()).map_err(io)?;
        disk.set_len(DISK).map_err(io)?;
        let mut command = Command::new(QEMU);
        command.args(["-machine", "q35", "-m", "64", "-nographic", "-nodefaults"]);
        command.args(["-monitor", "none", "-serial", "stdio"]).args(self.arguments());
        command
            .arg("-drive")
            .arg(format!("if=virtio,format=raw,readonly=on,file={}", lend(&disk)?));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        goldsmith_runtime::die_with_parent(&mut command);
        let mut child = command.spawn().map_err(|error| no_qemu(QEMU, &error))?;
        let (said, heard) = std::sync::mpsc::channel();
        if let Some(mut out) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut chunk = [0; 1024];
                while let Ok(count @ 1..) = out.read(&mut chunk) {
                    if said.send(chunk[..count].to_vec()).is_err() {
                        return;
                    }
                }
            });
        }
        let (end, mut text) = (Instant::now() + LIMIT, Vec::new());
        let mut runs = false;
        while !runs
            && let Ok(more) = heard.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            text.extend(more);
            runs = text.windows(TOKEN.len()).any(|window| window == TOKEN);
        }
        child.kill().and_then(|()| child.wait()).map_err(io)?;
        Ok(runs)
    }
}

/// Whether the device is there and ours to open.
fn may_use_kvm() -> bool {
    let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    rustix::fs::access("/dev/kvm", access).is_ok()
}

fn sector() -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..CODE.len()].copy_from_slice(&CODE);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trial_guest_runs_in_software() {
        match Accel::Tcg.runs() {
            Ok(runs) => assert!(runs, "the trial guest does not get to its end"),
            Err(failure) => assert!(failure.message.contains(QEMU), "{failure}"),
        }
    }
}
