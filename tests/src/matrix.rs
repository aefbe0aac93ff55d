//! A finished tree on every kind of disk, booted by every firmware that can start it.

use anyhow::{Result, ensure};

use crate::TestEnv;

/// A kind of disk, a firmware, and what the guest says of both.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The element that says how the disk is divided.
    pub layout: &'static str,
    /// Of the root file system.
    pub fs_type: &'static str,
    /// For `goldsmith boot`.
    pub firmware: &'static str,
    /// Firmware, kind of table, root file system and sector size, as the guest sees them.
    pub token: &'static str,
}

const fn row(
    layout: &'static str,
    fs_type: &'static str,
    firmware: &'static str,
    token: &'static str,
) -> Row {
    Row { layout, fs_type, firmware, token }
}

/// The layout of [`LVM`], which is no element's.
const ON_LVM: &str = "lvm";

impl Row {
    /// Whether the root file system is on a logical volume.
    pub fn is_lvm(&self) -> bool {
        self.layout == ON_LVM
    }
}

/// Every two of layout, firmware and root file system that can go together. What is missing cannot
/// be: a disk of `block-device-mbr` or `block-device-gpt` has no EFI system partition for UEFI,
/// and GRUB for BIOS reads no sectors of 4096 bytes.
pub const ROWS: [Row; 11] = [
    row("block-device-mbr", "xfs", "bios", "bios dos xfs 512"),
    row("block-device-efi-4k", "ext4", "uefi", "uefi gpt ext4 4096"),
    row("block-device-mbr", "ext4", "bios", "bios dos ext4 512"),
    row("block-device-gpt", "ext4", "bios", "bios gpt ext4 512"),
    row("block-device-gpt", "xfs", "bios", "bios gpt xfs 512"),
    row(ON_LVM, "ext4", "bios", "bios gpt ext4 512"),
    row(ON_LVM, "xfs", "uefi", "uefi gpt xfs 512"),
    row("block-device-efi", "ext4", "bios", "bios gpt ext4 512"),
    row("block-device-efi", "ext4", "uefi", "uefi gpt ext4 512"),
    row("block-device-efi", "xfs", "uefi", "uefi gpt xfs 512"),
    row("block-device-efi-4k", "xfs", "uefi", "uefi gpt xfs 4096"),
];

/// The layouts that say themselves of which type their root file system is.
const OF_A_TYPE: [(&str, &str); 3] = [
    ("block-device-gpt", include_str!("../../elements/block-device-gpt/block-device-default.yaml")),
    ("block-device-efi", include_str!("../../elements/block-device-efi/block-device-default.yaml")),
    (
        "block-device-efi-4k",
        include_str!("../../elements/block-device-efi-4k/block-device-default.yaml"),
    ),
];

/// A root file system on a logical volume, which either firmware can start.
const LVM: &str = "
- local_loop: {name: image0}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - {name: ESP, type: 'EF00', size: 64MiB, mkfs: {type: vfat, mount: {mount_point: /boot/efi, fstab: {}}}}
      - {name: BSP, type: 'EF02', size: 8MiB}
      - {name: system, type: '8E00', size: 100%}
- lvm:
    name: lvm
    pvs: [{name: pv, base: system}]
    vgs: [{name: vg, base: [pv]}]
    lvs: [{name: lv_root, base: vg, extents: 100%FREE}]
- mkfs:
    name: mkfs_root
    base: lv_root
    mount: {mount_point: /, fstab: {fsck-passno: 1}}
";

/// Says what the guest sees, where only the guest can put it together.
const TOKEN: &str = r#"#!/bin/sh
firmware=bios
[ ! -d /sys/firmware/efi ] || firmware=uefi
# The fifth byte is the variable's value.
for variable in /sys/firmware/efi/efivars/SecureBoot-*; do
    [ "$(od -An -tu1 -j4 -N1 "$variable" 2> /dev/null | tr -d ' ')" != 1 ] || firmware=secure
done
table=$(blkid -p -o value -s PTTYPE /dev/vda)
sector=$(cat /sys/block/vda/queue/logical_block_size)
echo "GOLDEN$((40 + 2)) $firmware $table $(findmnt -no FSTYPE /) $sector end" > /dev/ttyS0
"#;

const UNIT: &str = "[Unit]\\nBefore=serial-getty@ttyS0.service\\n[Service]\\nType=oneshot\\nExecStart=/usr/local/sbin/token\\n[Install]\\nWantedBy=multi-user.target\\n";

/// Builds the tree for each row, has a disk made of it and boots that.
///
/// # Errors
///
/// When a step fails or a guest does not say what is expected.
pub fn boots(env: &TestEnv, rows: &[Row], backend: &str) -> Result<()> {
    token(env)?;
    let goldsmith = |words: &[&str], row: &Row| {
        // The environment of block-device-efi asks for both kinds of GRUB.
        let layout = if row.is_lvm() { "block-device-efi" } else { row.layout };
        let elements = ["debian-minimal", "vm", layout, "token"];
        let mut command = env.command("goldsmith")?;
        command.env("FS_TYPE", row.fs_type);
        if row.is_lvm() {
            command.env("DIB_BLOCK_DEVICE_CONFIG", LVM);
        }
        if let Some((_, text)) = OF_A_TYPE.iter().find(|(layout, _)| *layout == row.layout) {
            let text = text.replace("type: ext4", &format!("type: {}", row.fs_type));
            command.env("DIB_BLOCK_DEVICE_CONFIG", text);
        }
        command.env("DIB_DEBIAN_KERNEL", "cloud").env("DIB_GRUB_TIMEOUT_STYLE", "hidden");
        command.env("DIB_GRUB_TIMEOUT", "0");
        command.args(words).args(elements);
        if row.is_lvm() {
            command.args(["-p", "lvm2"]);
        }
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{words:?} {elements:?}: {said}");
        anyhow::Ok(())
    };
    let made = ["build", "-t", "oci", "--layer-compression", "zstd", "-o", "tree"];
    for row in rows {
        // The boot loader's menu names file systems of this layout.
        let build = [&made[..], &["--progress", "plain"]].concat();
        goldsmith(&build, row)?;
        let words = ["materialise", "tree.oci", "--backend", backend, "-o", "disk"];
        goldsmith(&[&words[..], &["--progress", "plain"]].concat(), row)?;
        let token = format!("GOLDEN42 {} end", row.token);
        let expect = ["--firmware", row.firmware, "--expect", &token, "--timeout", "600"];
        let booted = env.run(&[&["boot", "disk.qcow2"][..], &expect].concat())?;
        ensure!(booted.status == 0, "{row:?} by {backend}: {booted:#?}");
        fs_err::remove_file(env.path("disk.qcow2"))?;
    }
    Ok(())
}

/// Makes the element `token`: a guest that says what it sees on its serial line.
///
/// # Errors
///
/// When it cannot be written.
pub fn token(env: &TestEnv) -> Result<()> {
    env.element("token/element-deps", "install-static\n")?;
    env.element("token/static/usr/local/sbin/token", TOKEN)?;
    env.element(
        "token/post-install.d/60-token",
        &format!(
            "#!/bin/bash\nset -eu\nprintf '{UNIT}' > /etc/systemd/system/token.service\nsystemctl enable token.service\n"
        ),
    )
}
