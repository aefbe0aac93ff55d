//! Root file systems of our own writers, used by a guest.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use goldsmith_tests::{TestEnv, Vm};

/// The kernel has no complaint of the root, which can be written to and is whole.
const XFS: &str = r#"#!/bin/bash
exec > /dev/ttyS0 2>&1
# No trace: a serial line takes longer for it than the disk for the files.
set -eu -o pipefail
trap 'echo "failed: $BASH_COMMAND"' ERR
test "$(findmnt --noheadings --output FSTYPE /)" = xfs
mkdir /srv/many
for n in $(seq 2000); do echo "$n" > /srv/many/"$n"; done
rm -r /srv/many
cp -a /usr/bin /srv/copy
diff -r --no-dereference /usr/bin /srv/copy
sync
! dmesg | grep -iE 'xfs.*(corrupt|error|zeroed)'
echo THE-ROOT-IS-XFS
"#;

/// The root grows while it is used: within its reserve, and on with meta_bg.
const EXT4: &str = r#"#!/bin/bash
exec > /dev/ttyS0 2>&1
set -eux -o pipefail
findmnt --noheadings --output SOURCE,FSTYPE /
dumpe2fs -h /dev/vda2 | tee /run/features
grep features: /run/features | grep resize_inode | grep 64bit
echo ', +' | sfdisk --no-reread --no-tell-kernel --force -N 2 /dev/vda
partx --update --nr 2 /dev/vda
resize2fs /dev/vda2
test "$(df --output=size -BG / | tail -n 1 | tr -dc 0-9)" -gt 50
dumpe2fs -h /dev/vda2 | grep features: | grep meta_bg
cp -a /usr/bin /srv/copy
diff -r --no-dereference /usr/bin /srv/copy
sync
! dmesg | grep -i 'ext4-fs error'
echo THE-ROOT-HAS-GROWN
"#;

/// Builds a small image that runs `probe` when it starts, with further words of `build`.
fn image(env: &TestEnv, probe: &str, fs_type: &str, words: &[&str]) -> Result<PathBuf> {
    // A login prompt would hang up the line.
    let unit = "[Unit]\\nBefore=serial-getty@ttyS0.service\\n[Service]\\nType=oneshot\\nExecStart=/usr/local/sbin/probe-root\\n[Install]\\nWantedBy=multi-user.target\\n";
    env.element("probe-root/element-deps", "install-static\n")?;
    env.element("probe-root/static/usr/local/sbin/probe-root", probe)?;
    env.element(
        "probe-root/post-install.d/60-probe-root",
        &format!(
            "#!/bin/bash\nset -eu\nchmod 0755 /usr/local/sbin/probe-root\nprintf '{unit}' > /etc/systemd/system/probe-root.service\nsystemctl enable probe-root.service\n"
        ),
    )?;
    let output = env
        .command("goldsmith")?
        .env("FS_TYPE", fs_type)
        .args(["build", "-o", "root", "--progress", "plain", "debian-minimal", "vm", "probe-root"])
        .args(words)
        .output()?;
    goldsmith_tests::succeeded(&output)?;
    Ok(env.path("root.qcow2"))
}

#[test]
fn full_an_xfs_root_is_written_to() -> Result<()> {
    let env = TestEnv::new()?;
    let disk = image(&env, XFS, "xfs", &["block-device-mbr"])?;
    let mut vm = Vm::boot(&disk, "qcow2", None, false)?;
    vm.expect("THE-ROOT-IS-XFS", Duration::from_secs(300))
}

#[test]
fn full_a_modern_xfs_root_shares_blocks_and_knows_late_times() -> Result<()> {
    let env = TestEnv::new()?;
    let probe = XFS.replace(
        "sync\n",
        "cp --reflink=always /usr/bin/bash /srv/shared\ncmp /usr/bin/bash /srv/shared\n\
         touch --date=2100-01-01 /srv/late\ntest \"$(date -r /srv/late +%Y)\" = 2100\nsync\n",
    );
    // All that bookworm's GRUB knows.
    let options = "-m reflink=1,bigtime=1,inobtcount=1 -i sparse=1 -d agcount=8";
    let disk = image(&env, &probe, "xfs", &["block-device-mbr", "--mkfs-options", options])?;
    let mut vm = Vm::boot(&disk, "qcow2", None, false)?;
    vm.expect("THE-ROOT-IS-XFS", Duration::from_secs(300))
}

#[test]
fn full_an_ext4_root_grows_beyond_its_reserve() -> Result<()> {
    let env = TestEnv::new()?;
    let words = ["block-device-gpt", "-p", "fdisk", "--max-online-resize", "4000000"];
    let disk = image(&env, EXT4, "ext4", &words)?;
    let resized = Command::new("qemu-img").args(["resize", "-q"]).arg(&disk).arg("60G").status()?;
    ensure!(resized.success(), "qemu-img resize");
    let mut vm = Vm::boot(&disk, "qcow2", None, false)?;
    vm.expect("THE-ROOT-HAS-GROWN", Duration::from_secs(420))
}
