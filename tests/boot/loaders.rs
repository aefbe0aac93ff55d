//! Boot loaders beside the usual GRUB: what secure boot starts, and systemd-boot.

use anyhow::{Result, ensure};
use goldsmith_tests::{TestEnv, matrix, succeeded};

fn build(env: &TestEnv, name: &str, elements: &[&str]) -> Result<()> {
    matrix::token(env)?;
    let mut command = env.command("goldsmith")?;
    command.env("DIB_DEBIAN_KERNEL", "cloud").env("DIB_GRUB_TIMEOUT_STYLE", "hidden");
    command.env("DIB_GRUB_TIMEOUT", "0");
    command.args(["build", "-o", name, "--progress", "plain", "debian-minimal", "vm"]);
    succeeded(&command.args(["block-device-efi", "token"]).args(elements).output()?)
}

fn boots(env: &TestEnv, image: &str, firmware: &str, text: &str) -> Result<()> {
    let expect = ["--firmware", firmware, "--expect", text, "--timeout", "600"];
    let ran = env.run(&[&["boot", image][..], &expect].concat())?;
    ensure!(ran.status == 0, "{image}: {ran:#?}");
    Ok(())
}

// With Microsoft's keys, as servers have them.
#[test]
fn full_secure_boot_starts_what_is_signed_and_nothing_else() -> Result<()> {
    let env = TestEnv::new()?;
    build(&env, "signed", &["secure-boot"])?;
    // The kernel says so itself, of what the firmware told it.
    boots(&env, "signed.qcow2", "secure", "GOLDEN42 secure gpt ext4 512 end")?;
    build(&env, "plain", &[])?;
    boots(&env, "plain.qcow2", "secure", "Access Denied")
}

#[test]
fn full_a_unified_kernel_image_boots_without_grub() -> Result<()> {
    let env = TestEnv::new()?;
    build(&env, "unified", &["systemd-boot"])?;
    // Nothing is there for a BIOS, so the firmware is UEFI.
    boots(&env, "unified.qcow2", "auto", "GOLDEN42 uefi gpt ext4 512 end")
}
