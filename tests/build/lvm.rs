//! Images whose file systems lie on logical volumes, read again: `kernel` and `verify`.

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{HostInvariant, Ran, TestEnv, ran};

use crate::ok;

/// A group of two partitions; /boot is found by the fstab alone.
const LAYOUT: &str = "
- local_loop: {name: image0, size: 1280MiB}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - {name: one, type: '8E00', size: 600MiB}
      - {name: two, type: '8E00', size: 100%}
- lvm:
    name: lvm
    pvs:
      - {name: pv1, base: one}
      - {name: pv2, base: two}
    vgs:
      - {name: my-vg, base: [pv1, pv2]}
    lvs:
      - {name: lv_boot, base: my-vg, size: 64MiB}
      - {name: lv-root, base: my-vg, extents: 80%VG}
- mkfs:
    name: mkfs_root
    base: lv-root
    mount: {mount_point: /, fstab: {options: defaults, fsck-passno: 1}}
- mkfs:
    name: mkfs_boot
    base: lv_boot
    type: ext4
    mount: {mount_point: /boot, fstab: {options: defaults}}
";

/// What a distribution's kernel and lvm2 would bring; and lines of fstab as people write them.
const SYSTEM: &str = "#!/bin/sh
set -eu
mkdir -p /boot
head -c 3000000 /usr/bin/dpkg-deb /usr/bin/perl | head -c 3000000 > /boot/vmlinuz-6.1.0-1-amd64
echo ramdisk > /boot/initrd.img-6.1.0-1-amd64
touch /usr/sbin/lvm
chmod 755 /usr/sbin/lvm
echo 'a telltale note' > /etc/note
";
const FSTAB: &str = "#!/bin/bash
set -eu
sudo tee $TARGET_ROOT/etc/fstab > /dev/null << END
/dev/mapper/my--vg-lv--root / ext4 defaults 0 1
/dev/my-vg/lv_boot /boot ext4 defaults 0 2
END
";

fn goldsmith(env: &TestEnv, words: &[&str]) -> Result<Ran> {
    let mut command = env.command("goldsmith")?;
    command.env("SOURCE_DATE_EPOCH", "1700000000").env("DIB_BLOCK_DEVICE_CONFIG", LAYOUT);
    ran(command.args(words))
}

#[test]
fn images_on_logical_volumes_are_read_again() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/install.d/10-system", SYSTEM)?;
    env.element("mine/cleanup.d/99-fstab", FSTAB)?;
    let host = HostInvariant::take(env.cache())?;
    let elements = ["-n", "--progress", "plain", "small", "mine"];
    let build = ["build", "-t", "raw,qcow2", "-o", "v"];
    ok(&goldsmith(&env, &[&build[..], &elements].concat())?)?;

    let kernel = goldsmith(&env, &["kernel", "v.qcow2", "-o", "k"])?;
    ok(&kernel)?;
    ensure!(kernel.stdout.contains("/boot/vmlinuz-6.1.0-1-amd64"), "{kernel:#?}");
    ensure!(fs_err::metadata(env.path("k.vmlinuz"))?.len() == 3_000_000);
    ensure!(fs_err::read_to_string(env.path("k.initrd"))? == "ramdisk\n");

    let verify =
        |image: &str| goldsmith(&env, &[&["verify", image, "--cached"][..], &elements].concat());
    for image in ["v.raw", "v.qcow2"] {
        let verified = verify(image)?;
        ok(&verified)?;
        ensure!(verified.stdout.contains("verified, sha256:"), "{verified:#?}");
    }
    // What somebody changed is told by volume and path.
    let mut bytes = fs_err::read(env.path("v.raw"))?;
    for (old, new) in
        [(&b"a telltale note"[..], &b"a telltale lie!"[..]), (b"ramdisk\n", b"rammisk\n")]
    {
        let at = bytes.windows(old.len()).position(|window| window == old).context("not there")?;
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    fs_err::write(env.path("v.raw"), bytes)?;
    let differs = verify("v.raw")?;
    ensure!(differs.status == 6, "{differs:#?}");
    for line in [
        "  logical volume my-vg/lv-root (/) /etc/note: content from byte 11 on; written by install (install.d/10-system of element mine)",
        "  logical volume my-vg/lv_boot (/boot) /boot/initrd.img-6.1.0-1-amd64: content from byte 3 on; written by install (install.d/10-system of element mine)",
    ] {
        ensure!(differs.stdout.lines().any(|told| told == line), "{line:?} in {differs:#?}");
    }
    host.check(env.cache())
}
