//! `goldsmith boot`.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::error::{Failure, Kind, Result};

/// What `boot` takes.
#[derive(Debug, Args)]
pub struct BootArgs {
    /// The image: raw or qcow2
    image: PathBuf,
    /// Boot by UEFI instead of BIOS
    #[arg(long)]
    uefi: bool,
    /// Memory of the guest in MiB
    #[arg(short, long, value_name = "MIB", default_value = "1024")]
    memory: u32,
    /// Forward this port of 127.0.0.1 to the guest's ssh
    #[arg(long, value_name = "PORT")]
    ssh_port: Option<u16>,
    /// Let the guest change the image
    #[arg(long)]
    write: bool,
    /// How the guest's processor is made: in software, or by the host's
    #[arg(long, value_enum, default_value = "tcg")]
    accel: Accel,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Accel {
    Tcg,
    Kvm,
}

/// Firmware for UEFI, and the variables that go with it, in the usual places.
const FIRMWARE: [(&str, &str); 4] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
];

/// Runs the verb: the guest's serial console is standard input and output until the guest
/// powers off or QEMU is ended by ctrl-A x.
///
/// # Errors
///
/// When QEMU or the firmware is not installed, or QEMU fails.
pub fn run(args: &BootArgs) -> Result<u8> {
    let format = format(&args.image)?;
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-machine", "q35", "-nographic", "-nodefaults", "-serial", "mon:stdio"]);
    command.args(["-accel", if matches!(args.accel, Accel::Kvm) { "kvm" } else { "tcg" }]);
    command.arg("-m").arg(args.memory.to_string());
    let snapshot = if args.write { "off" } else { "on" };
    let file = args.image.display().to_string().replace(',', ",,");
    command.arg("-drive").arg(format!("file={file},format={format},if=virtio,snapshot={snapshot}"));
    let forward = args.ssh_port.map(|port| format!(",hostfwd=tcp:127.0.0.1:{port}-:22"));
    command.arg("-netdev").arg(format!("user,id=n0{}", forward.unwrap_or_default()));
    command.args(["-device", "virtio-net-pci,netdev=n0", "-device", "virtio-rng-pci"]);
    let _variables = if args.uefi { Some(firmware(&mut command)?) } else { None };
    let status = command.status().map_err(|error| {
        let failure = Failure::wrap(Kind::Host, "qemu-system-x86_64", &error);
        failure.hint("as root: apt-get install qemu-system-x86")
    })?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Declares the image's format by what its first bytes say; only the two formats that
/// goldsmith writes.
fn format(image: &Path) -> Result<&'static str> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| Failure::wrap(Kind::Usage, "the image", &error);
    let mut magic = [0; 4];
    fs_err::File::open(image).map_err(failed)?.read_exact(&mut magic).map_err(failed)?;
    Ok(if &magic == b"QFI\xfb" { "qcow2" } else { "raw" })
}

/// Adds UEFI firmware with a private copy of its variables.
fn firmware(command: &mut Command) -> Result<tempfile::NamedTempFile> {
    let found = FIRMWARE.iter().find(|(code, _)| Path::new(code).exists());
    let (code, variables) = found.ok_or_else(|| {
        Failure::new(Kind::Host, "no UEFI firmware is installed")
            .hint("as root: apt-get install ovmf")
    })?;
    let failed =
        |error: std::io::Error| Failure::wrap(Kind::Host, "the firmware's variables", &error);
    let copy = tempfile::NamedTempFile::new().map_err(failed)?;
    fs_err::copy(variables, copy.path()).map_err(failed)?;
    command.arg("-drive").arg(format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
    let copy_path = copy.path().display();
    command.arg("-drive").arg(format!("if=pflash,unit=1,format=raw,file={copy_path}"));
    Ok(copy)
}
