//! Ramdisks that cannot be made, and outputs that elements write themselves.

use anyhow::{Result, ensure};
use goldsmith_tests::{Ran, TestEnv, ran};

use crate::{member, ok};

/// A ramdisk from the smallest Debian without a kernel, with the test's element.
fn without_kernel(env: &TestEnv) -> Result<Ran> {
    let line = ["ramdisk", "-o", "r", "--progress", "plain", "debian-minimal", "mine"];
    ran(env.command("goldsmith")?.args(line).env("DIB_DEBIAN_KERNEL", "none"))
}

#[test]
fn missing_programs_are_named_with_who_wants_them() -> Result<()> {
    let env = TestEnv::new()?;
    env.element("mine/binary-deps.d/of-mine", "bash no-such-program\n\tneither-this\n")?;
    let ran = without_kernel(&env)?;
    ensure!(ran.status == 1, "{ran:#?}");
    for text in [
        "binary-deps.d/of-mine wants no-such-program",
        "binary-deps.d/of-mine wants neither-this",
        "post-install.d/01-ramdisk-binaries of element ramdisk-base exited with status 1",
    ] {
        ensure!(ran.stderr.contains(text), "{text:?} in {ran:#?}");
    }
    ensure!(!env.path("r.kernel").exists() && !env.path("r.initramfs").exists());
    Ok(())
}

#[test]
fn a_missing_kernel_is_said() -> Result<()> {
    let env = TestEnv::new()?;
    env.element("mine/binary-deps.d/of-mine", "bash\n")?;
    let ran = without_kernel(&env)?;
    ensure!(ran.status == 1, "{ran:#?}");
    ensure!(ran.stderr.contains("there is no kernel in /boot of the image"), "{ran:#?}");
    ensure!(
        ran.stderr.contains("99-build-ramdisk of element ramdisk exited with status 1"),
        "{ran:#?}"
    );
    Ok(())
}

#[test]
fn a_ramdisk_element_that_writes_nothing_is_no_success() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/install.d/10-x", "#!/bin/sh\ntrue\n")?;
    let line = ["ramdisk", "-n", "--ramdisk-element", "mine", "-o", "r", "small"];
    let ran = env.run(&line)?;
    ensure!(ran.status == 1 && ran.stderr.contains("no hook wrote a ramdisk"), "{ran:#?}");
    ensure!(ran.stderr.contains("r.kernel and r.initramfs"), "{ran:#?}");
    // Whatever it writes counts; an archive of the tree may be asked for beside.
    env.element(
        "mine/cleanup.d/10-x",
        "#!/bin/sh\necho \"$RAMDISK_ELEMENT\" > \"$IMAGE_NAME.kernel\"\n",
    )?;
    let line = ["-n", "-t", "tar,qcow2", "--ramdisk-element", "mine", "-o", "r", "small"];
    let ran = env.run_as("ramdisk-image-create", &line)?;
    ok(&ran)?;
    ensure!(fs_err::read_to_string(env.path("r.kernel"))? == "mine\n");
    ensure!(env.path("r.tar").exists() && !env.path("r.qcow2").exists(), "{ran:#?}");
    Ok(())
}

#[test]
fn no_final_image_leaves_the_output_to_hooks() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/element-deps", "no-final-image\n")?;
    env.element("mine/cleanup.d/10-x", "#!/bin/sh\necho made > \"$IMAGE_NAME.mine\"\n")?;
    let line = ["build", "-n", "-o", "n", "--progress", "plain", "small", "mine"];
    let ran = env.run(&line)?;
    ok(&ran)?;
    ensure!(ran.stderr.contains("n.mine created"), "{ran:#?}");
    ensure!(!env.path("n.qcow2").exists(), "a disk was made");
    let again = env.run(&line)?;
    ensure!(again.stderr.contains("n.mine is up to date"), "{again:#?}");
    fs_err::write(env.path("n.mine"), "changed by somebody")?;
    ok(&env.run(&line)?)?;
    ensure!(fs_err::read_to_string(env.path("n.mine"))? == "made\n", "it was left as it is");
    let ran =
        env.run_as("disk-image-create", &["-n", "-t", "qcow2,tar", "-o", "n", "small", "mine"])?;
    ok(&ran)?;
    ensure!(env.path("n.tar").exists() && !env.path("n.qcow2").exists(), "{ran:#?}");
    Ok(())
}

#[test]
fn the_kernel_and_its_ram_disk_come_out() -> Result<()> {
    let env = TestEnv::new()?;
    env.element("mine/finalise.d/60-x", "#!/bin/sh\nselect-boot-kernel-initrd > /which\n")?;
    let output = env
        .command("disk-image-create")?
        .args(["-t", "tar", "-o", "b", "debian-minimal", "baremetal"])
        .args(["select-boot-kernel-initrd", "mine"])
        .env("DIB_DEBIAN_KERNEL", "cloud")
        .output()?;
    goldsmith_tests::succeeded(&output)?;
    let which = member(&env.path("b.tar"), "./which")?;
    let (kernel, ramdisk) = which.trim().split_once(':').unwrap_or_default();
    ensure!(kernel.starts_with("vmlinuz-") && ramdisk.starts_with("initrd.img-"), "{which}");
    for (file, inside) in [("b.vmlinuz", kernel), ("b.initrd", ramdisk)] {
        let sum = std::process::Command::new("sh")
            .current_dir(env.directory.path())
            .args(["-c", "tar -xOf b.tar \"./boot/$1\" | cmp - \"$0\"", file, inside])
            .status()?;
        ensure!(sum.success(), "{file} is not {inside}");
    }
    let list = std::process::Command::new("tar").arg("-tf").arg(env.path("b.tar")).output()?;
    let list = String::from_utf8(list.stdout)?;
    ensure!(!list.contains("diskimage-builder/img-functions"), "it stayed in the image");
    Ok(())
}
