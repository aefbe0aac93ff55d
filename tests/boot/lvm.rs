//! A root file system on a logical volume that goldsmith wrote, in a guest with the real LVM.

use std::time::Duration;

use anyhow::Result;
use goldsmith_tests::{TestEnv, Vm, succeeded};

/// What the guest finds of its volumes, and does with them; the last line is the token.
const LOOK: &str = r#"#!/bin/bash
exec > /dev/ttyS0 2>&1
set -eux -o pipefail
test "$(findmnt -no SOURCE /)" = /dev/mapper/vg-lv_root
test "$(findmnt -no SOURCE /var)" = /dev/mapper/vg-lv_var
lvs --noheadings -o lv_name,seg_count vg | sort | xargs
test "$(lvs --noheadings -o lv_name,seg_count vg | sort | xargs)" = "lv_both 2 lv_root 1 lv_var 1"
vgck vg
pvck --dump headers "$(pvs --noheadings -o pv_name | head -n 1 | xargs)"
# Metadata that LVM itself goes on writing.
lvcreate --yes -n more -L 8M vg
lvextend --resizefs -L +40M vg/lv_var
lvremove --yes vg/more
vgcfgbackup vg
# A volume over two physical volumes is one device.
e2fsck -fn /dev/vg/lv_both
mount /dev/vg/lv_both /mnt
cp -r /usr/lib/systemd /mnt/
umount /mnt
e2fsck -fn /dev/vg/lv_both
echo ROOT-IS-ON-LVM
"#;

/// Two physical volumes, of which the last logical one fills the first and begins the second.
fn layout(esp: &str) -> String {
    format!(
        "
- local_loop: {{name: image0, size: 3GiB}}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - {{name: BSP, type: 'EF02', size: 8MiB}}
{esp}      - {{name: system, type: '8E00', size: 2300MiB}}
      - {{name: more, type: '8E00', size: 100%}}
- lvm:
    name: lvm
    pvs:
      - {{name: pv1, base: system, options: [--force]}}
      - {{name: pv2, base: more, options: [--force]}}
    vgs:
      - {{name: vg, base: [pv1, pv2]}}
    lvs:
      - {{name: lv_root, base: vg, size: 1800MiB}}
      - {{name: lv_var, base: vg, size: 300MiB}}
      - {{name: lv_both, base: vg, extents: 27%VG}}
- mkfs:
    name: mkfs_root
    base: lv_root
    mount: {{mount_point: /, fstab: {{fsck-passno: 1}}}}
- mkfs:
    base: lv_var
    type: ext4
    mount: {{mount_point: /var, fstab: {{options: noatime}}}}
- mkfs:
    base: lv_both
    type: ext4
"
    )
}

fn boots(esp: &str, elements: &[&str], uefi: bool) -> Result<()> {
    let env = TestEnv::new()?;
    env.element("probe-lvm/static/usr/local/sbin/probe-lvm", LOOK)?;
    env.element("probe-lvm/element-deps", "install-static\n")?;
    // A login prompt would hang up the line.
    let unit = "[Unit]\\nBefore=serial-getty@ttyS0.service\\n[Service]\\nType=oneshot\\nExecStart=/usr/local/sbin/probe-lvm\\n[Install]\\nWantedBy=multi-user.target\\n";
    env.element(
        "probe-lvm/post-install.d/60-probe-lvm",
        &format!(
            "#!/bin/bash\nset -eu\nprintf '{unit}' > /etc/systemd/system/probe-lvm.service\nsystemctl enable probe-lvm.service\n"
        ),
    )?;
    let mut command = env.command("goldsmith")?;
    command
        .env("DIB_BLOCK_DEVICE_CONFIG", layout(esp))
        .args(["build", "-o", "lvm", "--progress", "plain", "-p", "lvm2"])
        .args(["debian-minimal", "vm", "probe-lvm"])
        .args(elements);
    succeeded(&command.output()?)?;
    let mut vm = Vm::boot(&env.path("lvm.qcow2"), "qcow2", None, uefi)?;
    vm.expect("\nROOT-IS-ON-LVM", Duration::from_secs(420))
}

#[test]
fn a_root_on_a_logical_volume_boots_by_bios() -> Result<()> {
    boots("", &[], false)
}

#[test]
fn full_a_root_on_a_logical_volume_boots_by_uefi() -> Result<()> {
    let esp = "      - {name: ESP, type: 'EF00', size: 64MiB, mkfs: {type: vfat, mount: {mount_point: /boot/efi, fstab: {}}}}\n";
    // Its environment chooses GRUB for UEFI; the layout is the test's.
    boots(esp, &["block-device-efi"], true)
}
