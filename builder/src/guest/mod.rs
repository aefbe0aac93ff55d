//! Guests in QEMU: an image boots without being changed, its serial line is ours, and nothing of
//! it outlives this process.
//!
//! ```text
//! image     what QEMU must be told of an image    firmware  BIOS, UEFI, secure boot
//! accel     the host's processor, if it works     seed      settings for cloud-init on a disk
//! console   the running guest and its serial line
//! terminal  a person at that line
//! spec      what is expected of a guest           script    the same for its shell
//! ask       a guest's answers, by ssh or serial   junit     the same for other programs
//! ```

pub mod accel;
pub mod ask;
pub mod console;
pub mod firmware;
pub mod image;
pub mod junit;
pub mod script;
pub mod seed;
pub mod spec;
pub mod terminal;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};

use crate::error::{Failure, Kind, Result};
use accel::Accel;
use firmware::Firmware;
use image::ImageFile;

/// The program that runs guests.
const QEMU: &str = "qemu-system-x86_64";

/// A machine to be started.
#[derive(Debug)]
pub struct Machine {
    /// The disk it boots from.
    pub image: ImageFile,
    /// What starts it.
    pub firmware: Firmware,
    /// How its processor is made.
    pub accel: Accel,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// Port of 127.0.0.1 that leads to the guest's ssh.
    pub ssh_port: Option<u16>,
    /// Whether the guest may change the image.
    pub write: bool,
    /// Size of the disk that the guest sees in GiB, beyond the image's own.
    pub disk_gib: Option<u32>,
    /// A disk with settings for cloud-init.
    pub seed: Option<File>,
}

/// A command of QEMU with the files that it is lent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) command: Command,
    /// Open and without names: the kernel drops them when QEMU and we are gone.
    pub(super) lent: Vec<File>,
}

fn io(error: std::io::Error) -> Failure {
    Failure::wrap(Kind::Host, "a guest", &error)
}

/// That QEMU cannot be run, with the cure.
pub(super) fn no_qemu(program: &str, error: &std::io::Error) -> Failure {
    let package = if program == QEMU { "qemu-system-x86" } else { "qemu-utils" };
    Failure::wrap(Kind::Host, program, error)
        .hint(format!("as root: apt-get install {package}, or dnf install qemu-kvm qemu-img"))
}

/// A path by which QEMU opens a file that it inherits.
pub(super) fn lend(file: &File) -> Result<String> {
    fcntl_setfd(file, FdFlags::empty()).map_err(|error| io(error.into()))?;
    Ok(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

impl Machine {
    /// QEMU's command line.
    pub(super) fn prepare(&self) -> Result<Prepared> {
        let mut command = Command::new(QEMU);
        let mut lent = Vec::new();
        command.args(["-nographic", "-nodefaults", "-monitor", "none", "-serial", "stdio"]);
        command.args(self.firmware.machine());
        command.args(self.accel.arguments());
        command.arg("-m").arg(self.memory_mib.to_string());
        command.arg("-smp").arg(self.cpus.to_string());
        let (file, format) = match self.disk_gib {
            Some(gib) => {
                let overlay = self.image.overlay(gib)?;
                let path = lend(&overlay)?;
                lent.push(overlay);
                (path, "qcow2")
            }
            None => (self.image.path.display().to_string(), self.image.format),
        };
        let keep = if self.write || self.disk_gib.is_some() { "off" } else { "on" };
        let file = file.replace(',', ",,");
        command
            .arg("-drive")
            .arg(format!("if=none,id=disk,file={file},format={format},snapshot={keep}"));
        let sector = self.image.sector_size;
        command.arg("-device").arg(format!(
            "virtio-blk-pci,drive=disk,bootindex=1,logical_block_size={sector},physical_block_size={sector}"
        ));
        if let Some(seed) = &self.seed {
            let seed = seed.try_clone().map_err(io)?;
            let path = lend(&seed)?;
            lent.push(seed);
            command
                .arg("-drive")
                .arg(format!("if=virtio,file={path},format=raw,snapshot=off,readonly=on"));
        }
        let forward = self.ssh_port.map(|port| format!(",hostfwd=tcp:127.0.0.1:{port}-:22"));
        command.arg("-netdev").arg(format!("user,id=n0{}", forward.unwrap_or_default()));
        command.args(["-device", "virtio-net-pci,netdev=n0", "-device", "virtio-rng-pci"]);
        lent.extend(self.firmware.lend_to(&mut command)?);
        Ok(Prepared { command, lent })
    }
}

/// Makes a path absolute, so that QEMU takes it for no option and no protocol.
///
/// # Errors
///
/// When there is no such file.
pub fn existing(path: &std::path::Path) -> Result<PathBuf> {
    fs_err::canonicalize(path).map_err(|error| Failure::wrap(Kind::Usage, "the image", &error))
}
