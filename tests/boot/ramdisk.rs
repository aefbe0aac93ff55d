//! Ramdisks boot to their init script, with what elements put into them.

use std::time::Duration;

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, Initramfs, MAC, TestEnv, Vm};

/// An element that gives a ramdisk something of every kind, and looks for it in the guest.
fn element(env: &TestEnv) -> Result<()> {
    env.element("mine/binary-deps.d/mine", "findmnt\n")?;
    env.element("mine/dracut-drivers.d/mine", "dummy\nno-such-driver\n")?;
    env.element("mine/udev.d/99-mine.rules", "SUBSYSTEM==\"net\", ENV{MINE}=\"yes\"\n")?;
    env.element(
        "mine/ramdisk-install.d/10-mine",
        "#!/bin/bash\nset -eu\necho installed > \"$TMP_MOUNT_PATH/mine\"\n",
    )?;
    env.element(
        "mine/init.d/60-mine",
        "mine_found=$(cat /mine):$(findmnt -no FSTYPE /proc)\n\
         mine_found=$mine_found:$(udevadm info -q property /sys/class/net/$BOOT_INTERFACE | grep MINE)\n\
         echo \"GOLD$((40 + 2)) $(get_kernel_parameter word) $BOOT_IP_ADDRESS $mine_found\"\n",
    )
}

/// Boots `NAME`, expects the line that only the guest can put together, then a reboot.
fn boots(env: &TestEnv, name: &str) -> Result<()> {
    let words = format!("word=telltale BOOTIF=01-{}", MAC.replace(':', "-"));
    let mut vm = Vm::ramdisk(&env.path(name), &words, "", None)?;
    vm.expect("GOLD42 telltale 10.0.2.15 installed:proc:MINE=yes", Duration::from_secs(240))?;
    vm.expect("reboot: machine restart", Duration::from_secs(60))
}

#[test]
fn a_busybox_ramdisk_boots_to_its_init_script() -> Result<()> {
    let env = TestEnv::new()?;
    element(&env)?;
    let host = HostInvariant::take(env.cache())?;
    let output = env
        .command("ramdisk-image-create")?
        .args(["-o", "tiny", "debian-minimal", "mine"])
        .env("DIB_DEBIAN_KERNEL", "cloud")
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()?;
    goldsmith_tests::succeeded(&output)?;
    host.check(env.cache())?;
    for disk in ["tiny.qcow2", "tiny.raw", "tiny"] {
        ensure!(!env.path(disk).exists(), "{disk} is there");
    }
    let initramfs = Initramfs::read(&env.path("tiny.initramfs"))?;
    for name in ["/bin/busybox", "/bin/bash", "/bin/findmnt", "/virtio_net.ko", "/99-mine.rules"] {
        ensure!(initramfs.has(name), "no {name}");
    }
    ensure!(initramfs.latest() == 1_700_000_000, "later than SOURCE_DATE_EPOCH");
    let init = initramfs.text("init")?;
    let order = ["init fragment from 10-", "init fragment from 60-mine", "done, rebooting"];
    let places: Vec<_> = order.iter().map(|part| init.find(part)).collect();
    ensure!(places.is_sorted() && places[0].is_some(), "{init}");
    boots(&env, "tiny")
}

#[test]
fn full_a_dracut_ramdisk_boots_to_its_init_script() -> Result<()> {
    let env = TestEnv::new()?;
    element(&env)?;
    let output = env
        .command("goldsmith")?
        .args(["ramdisk", "--ramdisk-element", "dracut-ramdisk", "-o", "drake"])
        .args(["--progress", "plain", "debian-minimal", "mine"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    ensure!(said.contains("has no driver no-such-driver"), "{said}");
    let initramfs = Initramfs::read(&env.path("drake.initramfs"))?;
    for name in ["/bin/findmnt", "/dummy.ko", "/virtio_net.ko", "/iscsi_target_mod.ko"] {
        ensure!(initramfs.has(name), "no {name}");
    }
    boots(&env, "drake")
}
