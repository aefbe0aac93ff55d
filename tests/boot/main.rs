//! Images that boot: by BIOS and by UEFI, with what the guest itself says of its state.
//!
//! What begins with `full_` runs with `tests/run --full` only: CI boots few guests.

mod deploy;
mod growvols;
mod lvm;
mod ramdisk;

use std::time::Duration;

use anyhow::Result;
use goldsmith_tests::{TestEnv, Vm, server};

/// What first-boot.d has left: its mark, and nothing of itself.
const FIRST_BOOT: &str = r#"
grep -qx first /var/lib/first-boot || { echo "first-boot.d did not run"; exit 1; }
[ ! -e /usr/local/lib/dib-first-boot ] && [ ! -e /etc/systemd/system/dib-first-boot.service ] ||
    { echo "first-boot.d is still there"; exit 1; }
"#;

fn boots(release: &str, uefi: bool) -> Result<()> {
    let env = TestEnv::new()?;
    env.element("first/first-boot.d/50-mark", "#!/bin/sh\necho first >> /var/lib/first-boot\n")?;
    let image = server::image(&env, release, &["first"])?;
    server::boots(&env, &image, uefi, FIRST_BOOT)
}

// contract 9.18: the boot loader of finalise.d, by both firmwares.
#[test]
fn a_server_boots_by_bios() -> Result<()> {
    boots("bookworm", false)
}

#[test]
fn a_server_boots_by_uefi() -> Result<()> {
    boots("bookworm", true)
}

// GRUB 2.12, where bookworm has 2.06.
#[test]
fn full_trixie_boots_by_bios() -> Result<()> {
    boots("trixie", false)
}

#[test]
fn full_trixie_boots_by_uefi() -> Result<()> {
    boots("trixie", true)
}

#[test]
fn full_i386_boots_to_its_login_prompt() -> Result<()> {
    let env = TestEnv::new()?;
    let output = env
        .command("goldsmith")?
        .args(["build", "-a", "i386", "-o", "small", "--progress", "plain"])
        .args(["debian", "vm", "enable-serial-console"])
        // Mirrors may serve the security suite's list for this architecture wrongly.
        .env("DIB_DEBIAN_SUITES", "updates")
        .output()?;
    goldsmith_tests::succeeded(&output)?;
    let mut vm = Vm::boot(&env.path("small.qcow2"), "qcow2", None, false)?;
    vm.expect("login:", Duration::from_secs(420))
}
