//! Volumes, logical partitions and several disks, with an operating system of a few files.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{HostInvariant, Ran, TestEnv, ran};

use super::ok;

/// Made by a host phase: no hook runs in it, so that nothing has to be installed.
const TREE: &str = r#"#!/bin/bash
set -eu
cd "$TARGET_ROOT"
mkdir -p boot dev etc proc sys srv/deep tmp usr/sbin var/lib
echo kernel > boot/vmlinuz-1
echo served > srv/deep/file
head -c 30000000 /dev/zero | tr '\0' x > var/lib/large
"#;

const VOLUMES: &str = "
- local_loop: {name: image0, size: 256MiB}
- partitioning:
    base: image0
    label: mbr
    partitions:
      - {name: one, flags: [primary], type: '0x8e', size: 60MiB}
      - {name: two, type: '0x8e', size: 100%}
- lvm:
    name: lvm
    pvs: [{name: pv1, base: one}, {name: pv2, base: two}]
    vgs: [{name: vg, base: [pv1, pv2]}]
    lvs:
      - {name: var, base: vg, size: 200MiB}
      - {name: root, base: vg, extents: 100%FREE}
- mkfs: {name: mkfs_root, base: root, opts: -J size=4, mount: {mount_point: /, fstab: }}
- mkfs: {base: var, type: ext4, mount: {mount_point: /var, fstab: }}
- local_loop:
    name: data
    size: 64MiB
    directory: disks
    mkfs: {type: ext4, mount: {mount_point: /srv, fstab: {options: nofail}}}
";

fn build(env: &TestEnv, layout: &str) -> Result<Ran> {
    let mut command = env.command("goldsmith")?;
    command.env("DIB_BLOCK_DEVICE_CONFIG", layout);
    ran(command.args(["build", "-n", "-t", "raw", "-o", "x", "--progress", "plain", "files"]))
}

/// The bytes of a disk at these places, as a file of their own.
fn cut(disk: &Path, runs: &[(u64, u64)], to: &Path) -> Result<()> {
    let bytes = fs_err::read(disk)?;
    let mut out = Vec::new();
    for &(start, len) in runs {
        let (start, len) = (usize::try_from(start)?, usize::try_from(len)?);
        out.extend(bytes.get(start..start + len).context("beyond the disk")?);
    }
    Ok(fs_err::write(to, out)?)
}

fn debugfs(disk: &Path, request: &str) -> Result<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut check = Command::new("e2fsck");
    ok(&ran(check.env("PATH", &path).arg("-fn").arg(disk))?)?;
    let mut command = Command::new("debugfs");
    Ok(ran(command.env("PATH", &path).args(["-R", request]).arg(disk))?.stdout)
}

#[test]
fn volumes_and_other_disks_hold_what_is_mounted_from_them() -> Result<()> {
    const MIB: u64 = 1 << 20;
    let env = TestEnv::new()?;
    let host = HostInvariant::take(env.cache())?;
    env.element("files/element-provides", "operating-system\n")?;
    env.element("files/root.d/10-tree", TREE)?;
    let refused = |layout: &str, words: &str| {
        let ran = build(&env, layout)?;
        ensure!(ran.status == 3 && ran.stderr.contains(words), "{words}: {ran:#?}");
        ensure!(!env.path("x.raw").exists());
        anyhow::Ok(())
    };
    let failed = build(&env, VOLUMES)?;
    ensure!(failed.status == 4 && failed.stderr.contains("disk data: "), "{failed:#?}");
    fs_err::create_dir(env.path("disks"))?;
    refused(VOLUMES, ":16: mkfs_root: the root file system is on volume vg/root")?;
    let no_kernel = TREE.replace("echo kernel", ": no kernel");
    env.element("files/root.d/10-tree", &no_kernel.replace("vmlinuz-1", "other"))?;
    let small = VOLUMES.replace("size: 200MiB", "size: 24MiB");
    refused(&small, ":17: mkfs_var: 29 MiB of files lie at /var, and it has 24 MiB")?;
    ok(&build(&env, VOLUMES)?)?;
    // 14 extents fit into the first physical volume, 48 into the second, behind its boot record.
    let (first, second) = (2 * MIB, 63 * MIB);
    let disk = env.path("x.raw");
    let var = env.path("var");
    cut(&disk, &[(first, 56 * MIB), (second, 144 * MIB)], &var)?;
    // Neither has room for 50 extents at once: the volume begins on the first and goes on.
    ensure!(debugfs(&var, "ls /lib")?.contains("large"));
    let root = env.path("root");
    cut(&disk, &[(second + 144 * MIB, 48 * MIB)], &root)?;
    ensure!(
        debugfs(&root, "cat /etc/fstab")?
            == "LABEL=cloudimg-rootfs / ext4 defaults 0 2\nLABEL=mkfs_data /srv ext4 nofail 0 2\nLABEL=mkfs_var /var ext4 defaults 0 2\n"
    );
    ensure!(!debugfs(&root, "ls /srv")?.contains("deep"));
    ensure!(debugfs(&env.path("disks/data.raw"), "cat /deep/file")? == "served\n");
    host.check(env.cache())
}

/// The root is what `FS_TYPE` says.
const OLDER: &str = "
- local_loop: {name: image0, size: 128MiB}
- partitioning:
    base: image0
    label: mbr
    partitions:
      - name: srv
        flags: [primary]
        type: '0x83'
        size: 32MiB
        mkfs: {type: ext2, opts: -b 1024 -m 1, mount: {mount_point: /srv, fstab: }}
      - {name: root, flags: [primary], size: 100%, mkfs: {name: mkfs_root, mount: {mount_point: /, fstab: }}}
";

#[test]
fn ext3_and_ext2_are_what_their_own_drivers_take() -> Result<()> {
    const MIB: u64 = 1 << 20;
    let env = TestEnv::new()?;
    env.element("files/element-provides", "operating-system\n")?;
    env.element("files/root.d/10-tree", TREE)?;
    let with = |more: &[&str]| {
        let mut command = env.command("goldsmith")?;
        command.env("DIB_BLOCK_DEVICE_CONFIG", OLDER).env("FS_TYPE", "ext3");
        command.args(["build", "-n", "-t", "raw", "-o", "x", "--progress", "plain"]);
        ran(command.args(more).arg("files"))
    };
    let refused = with(&["--mkfs-options", "-O 64bit"])?;
    ensure!(refused.status == 3 && refused.stderr.contains("64bit without extent"), "{refused:#?}");
    ok(&with(&[])?)?;
    let (srv, root) = (env.path("srv"), env.path("root"));
    cut(&env.path("x.raw"), &[(MIB, 32 * MIB)], &srv)?;
    cut(&env.path("x.raw"), &[(33 * MIB, 95 * MIB)], &root)?;
    ensure!(debugfs(&srv, "cat /deep/file")? == "served\n");
    ensure!(debugfs(&root, "ls /var/lib")?.contains("large"));
    let fstab = debugfs(&root, "cat /etc/fstab")?;
    let wanted =
        "LABEL=cloudimg-rootfs / ext3 defaults 0 2\nLABEL=mkfs_srv /srv ext2 defaults 0 2\n";
    ensure!(fstab == wanted, "{fstab}");
    for (disk, journal) in [(&srv, false), (&root, true)] {
        let features = debugfs(disk, "features")?;
        ensure!(
            features.contains("has_journal") == journal && !features.contains("extent"),
            "{features}"
        );
    }
    Ok(())
}
