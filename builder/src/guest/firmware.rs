//! What starts a machine.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use super::image::ImageFile;
use super::{io, lend};
use crate::error::{Failure, Kind, Result};

/// The firmware that a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// BIOS where the disk has code for one, else UEFI
    #[default]
    Auto,
    /// SeaBIOS
    Bios,
    /// OVMF
    Uefi,
    /// OVMF that runs only what Microsoft's keys have signed
    Secure,
}

/// Firmware of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, which QEMU brings.
    Bios,
    /// UEFI: code, and the variables that go with it.
    Uefi(&'static str, &'static str),
    /// The same with secure boot.
    Secure(&'static str, &'static str),
}

/// Firmware for UEFI, and the variables that go with it, in the usual places.
const UEFI: [(&str, &str); 4] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
];

/// The same with Microsoft's keys.
const SECURE: [(&str, &str); 2] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
];

impl Firmware {
    /// The firmware for an image.
    ///
    /// # Errors
    ///
    /// When it is not installed, or cannot start the image.
    pub fn choose(wanted: Wanted, image: &ImageFile) -> Result<Self> {
        let wanted = match wanted {
            Wanted::Auto if image.bios_code => Wanted::Bios,
            Wanted::Auto => Wanted::Uefi,
            other => other,
        };
        let list = match wanted {
            Wanted::Bios if !image.bios_code => {
                let message = format!("{} has no boot code for a BIOS", image.path.display());
                return Err(Failure::new(Kind::Usage, message).hint("--firmware uefi"));
            }
            Wanted::Bios | Wanted::Auto => return Ok(Self::Bios),
            Wanted::Uefi => &UEFI[..],
            Wanted::Secure => &SECURE[..],
        };
        let found = list.iter().find(|(code, _)| Path::new(code).exists());
        let (code, variables) = found.ok_or_else(|| {
            Failure::new(Kind::Host, "no such UEFI firmware is installed")
                .hint("as root: apt-get install ovmf, or dnf install edk2-ovmf")
        })?;
        Ok(match wanted {
            Wanted::Secure => Self::Secure(code, variables),
            _ => Self::Uefi(code, variables),
        })
    }

    pub(super) fn machine(&self) -> &'static [&'static str] {
        match self {
            Self::Bios | Self::Uefi(..) => &["-machine", "q35"],
            // The variables are the firmware's alone: it keeps them in system management mode.
            Self::Secure(..) => &[
                "-machine",
                "q35,smm=on",
                "-global",
                "driver=cfi.pflash01,property=secure,value=on",
                "-global",
                "ICH9-LPC.disable_s3=1",
            ],
        }
    }

    /// Adds the firmware to a command of QEMU, with a private copy of its variables.
    pub(super) fn lend_to(&self, command: &mut Command) -> Result<Option<File>> {
        let (Self::Uefi(code, variables) | Self::Secure(code, variables)) = self else {
            return Ok(None);
        };
        let mut copy = tempfile::tempfile().map_err(io)?;
        let mut original = fs_err::File::open(variables).map_err(io)?;
        std::io::copy(&mut original, &mut copy).map_err(io)?;
        let path = lend(&copy)?;
        command
            .arg("-drive")
            .arg(format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"))
            .arg("-drive")
            .arg(format!("if=pflash,unit=1,format=raw,file={path}"));
        Ok(Some(copy))
    }
}
