//! growvols in a guest, with real volumes: behind a partition of somebody else, and in the last
//! partition of a disk.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use goldsmith_tests::{TestEnv, Vm};

/// Makes volumes when the guest has started, and has them grown; the last line is the token.
const GROW: &str = r#"#!/bin/bash
exec > /dev/ttyS0 2>&1
set -eux -o pipefail
lvm=E6D6D379-F507-44C2-A23C-238F2A3DF928
printf 'size=300MiB, type=%s\nsize=50MiB\n' $lvm | sfdisk --append --no-reread --no-tell-kernel /dev/vda
partx --add --nr 3:4 /dev/vda
pvcreate /dev/vda3
vgcreate vg /dev/vda3
lvcreate --yes --size 100M --name data vg
mkfs.ext4 -q -L of-data /dev/vg/data
mount /dev/vg/data /srv
growvols --yes --verbose --group vg --device vda of-data=512MiB /srv=10%
pvs
test "$(lvs --noheadings --nosuffix --units m --options lv_size vg/data | cut -d . -f 1)" -gt 700
test "$(df --output=size -m /srv | tail -n 1)" -gt 600
pvs --noheadings --options pv_name | grep /dev/vda5
! growvols --yes --group vg --device vda --exit-on-no-grow

truncate --size 500M /var/tmp/disk
echo "type=$lvm" | sfdisk --label gpt /var/tmp/disk
truncate --size 1200M /var/tmp/disk
loop=$(losetup --find --show --partscan /var/tmp/disk)
udevadm settle
pvcreate "${loop}p1"
vgcreate other "${loop}p1"
lvcreate --yes --size 400M --name files other
mkfs.xfs -q /dev/other/files
mount /dev/other/files /mnt
growvols --yes --verbose --group other --device "$loop" /mnt=50%
test "$(df --output=size -m /mnt | tail -n 1)" -gt 650
test "$(pvs --noheadings --options pv_name --select vg_name=other | wc -l)" = 1
echo VOLUMES-HAVE-GROWN
"#;

#[test]
fn full_growvols_grows_volumes_and_file_systems() -> Result<()> {
    let env = TestEnv::new()?;
    env.element("probe-grow/element-deps", "growvols\n")?;
    // A login prompt would hang up the line.
    let unit = "[Unit]\\nBefore=serial-getty@ttyS0.service\\n[Service]\\nType=oneshot\\nExecStart=/usr/local/sbin/probe-grow\\n[Install]\\nWantedBy=multi-user.target\\n";
    env.element("probe-grow/static/usr/local/sbin/probe-grow", GROW)?;
    env.element(
        "probe-grow/post-install.d/60-probe-grow",
        &format!(
            "#!/bin/bash\nset -eu\nprintf '{unit}' > /etc/systemd/system/probe-grow.service\nsystemctl enable probe-grow.service\n"
        ),
    )?;
    let output = env
        .command("goldsmith")?
        .args(["build", "-o", "grow", "--progress", "plain"])
        .args(["debian-minimal", "vm", "block-device-gpt", "probe-grow"])
        .output()?;
    goldsmith_tests::succeeded(&output)?;
    let disk = env.path("grow.qcow2");
    let resized = Command::new("qemu-img").args(["resize", "-q"]).arg(&disk).arg("4G").status()?;
    ensure!(resized.success(), "qemu-img resize");
    let mut vm = Vm::boot(&disk, "qcow2", None, false)?;
    vm.expect("\nVOLUMES-HAVE-GROWN", Duration::from_secs(420))
}
