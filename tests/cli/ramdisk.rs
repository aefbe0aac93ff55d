//! The command lines of ramdisks.

use anyhow::{Result, ensure};

use crate::with_os;

#[test]
fn the_personality_has_its_own_help_and_takes_every_option() -> Result<()> {
    let env = with_os()?;
    let help = env.run_as("ramdisk-image-create", &["--help"])?;
    ensure!(help.status == 0 && help.stdout.contains("NAME.initramfs"), "{help:?}");
    ensure!(help.stdout.contains("--ramdisk-element"), "{help:?}");
    for words in [&[][..], &["--nope", "x"], &["--ramdisk-element"]] {
        let ran = env.run_as("ramdisk-image-create", words)?;
        ensure!(ran.status == 1, "{words:?}: {ran:?}");
        ensure!(ran.stderr.contains("ramdisk-image-create --help"), "{words:?}: {ran:?}");
    }
    // Read to the end: what is wrong is the element.
    let words = ["-t", "qcow2,tar", "--image-size", "3", "-u", "--no-tmpfs", "fake-os", "nowhere"];
    let ran = env.run_as("ramdisk-image-create", &words)?;
    ensure!(ran.status == 1 && ran.stderr.contains("element nowhere is not found"), "{ran:?}");
    Ok(())
}

#[test]
fn an_unknown_ramdisk_element_is_named_with_the_option() -> Result<()> {
    let env = with_os()?;
    let words = ["ramdisk", "--offline", "--ramdisk-element", "floppy", "fake-os"];
    let ran = env.run(&words)?;
    ensure!(ran.status == 3 && ran.stderr.contains("element floppy is not found"), "{ran:?}");
    ensure!(ran.stderr.contains("--ramdisk-element or RAMDISK_ELEMENT"), "{ran:?}");
    let output = env
        .command("ramdisk-image-create")?
        .args(["fake-os"])
        .env("RAMDISK_ELEMENT", "by-variable")
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(text.contains("element by-variable is not found"), "{text}");
    Ok(())
}

#[test]
fn the_output_has_to_be_writable() -> Result<()> {
    let env = with_os()?;
    let ran = env.run(&["ramdisk", "--offline", "-o", "no/such/place", "fake-os"])?;
    ensure!(ran.status == 4 && ran.stderr.contains("no/such"), "{ran:?}");
    Ok(())
}
