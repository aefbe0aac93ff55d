//! Programs that change the builder's kernel or its devices.

use super::Place;
use super::call::Call;

/// Programs, why they cannot work, what to do instead.
const PROGRAMS: [(&[&str], &str, &str); 6] = [
    (
        &["modprobe", "insmod", "rmmod"],
        "the kernel is the builder's, and it takes no modules from a sandbox",
        "name the module in the image's /etc/modules-load.d",
    ),
    (
        &[
            "pvcreate",
            "vgcreate",
            "lvcreate",
            "pvchange",
            "vgchange",
            "lvchange",
            "pvremove",
            "vgremove",
            "lvremove",
            "vgextend",
            "lvextend",
            "lvresize",
            "vgscan",
            "pvscan",
            "cryptsetup",
            "mdadm",
            "dmraid",
            "multipath",
        ],
        "device-mapper needs a privileged host",
        "describe the disk in block-device-*.yaml, or do it at the first boot",
    ),
    (
        &["partprobe", "partx", "blockdev", "swapon", "swapoff", "hdparm", "qemu-nbd", "fstrim"],
        "a sandbox has no block devices",
        "describe the disk in block-device-*.yaml",
    ),
    (
        &["reboot", "poweroff", "shutdown", "kexec", "hwclock"],
        "the machine is the builder's",
        "do it at the first boot",
    ),
    (
        &["setenforce", "load_policy", "auditctl"],
        "the security policy is the builder's",
        "write the image's configuration, and relabel at the first boot",
    ),
    (
        &["iptables-restore", "nft", "ipset"],
        "the packet filter is the builder's",
        "write the rules to a file that the image loads at boot",
    ),
];

/// Programs that work on files, but not on devices.
const ON_DEVICES: [&str; 12] = [
    "dd",
    "e2fsck",
    "fdisk",
    "fsck",
    "mkfs",
    "mkswap",
    "parted",
    "resize2fs",
    "sfdisk",
    "sgdisk",
    "tune2fs",
    "wipefs",
];

/// Devices that no sandbox has.
const DEVICES: [&str; 9] = ["sd", "vd", "hd", "nvme", "loop", "mapper/", "dm-", "nbd", "disk/"];

pub(super) fn check(call: &Call, place: Place) -> Option<(String, String)> {
    let program = call.program.as_str();
    let line = format!("{program} {}", call.arguments.join(" "));
    let line = line.trim_end();
    if let Some((_, why, instead)) = PROGRAMS.iter().find(|(names, ..)| names.contains(&program)) {
        return Some((format!("{line}: {why}"), (*instead).to_owned()));
    }
    let own = |why: &str, instead: &str| Some((format!("{line}: {why}"), instead.to_owned()));
    match program {
        "sysctl" => call
            .arguments
            .iter()
            .any(|word| {
                matches!(word.as_str(), "-w" | "-p" | "--write" | "--load" | "--system")
                    || !word.starts_with('-') && word.contains('=')
            })
            .then(|| own("the kernel is the builder's", "write to the image's /etc/sysctl.d"))?,
        "chattr" => call
            .arguments
            .iter()
            .any(|word| word.starts_with(['+', '-', '=']) && word[1..].contains(['i', 'a']))
            .then(|| own("only root of the host sets such flags", "do it at the first boot"))?,
        "mknod" if place == Place::Target || call.in_image => {
            call.arguments.iter().any(|word| matches!(word.as_str(), "b" | "c" | "u")).then(
                || {
                    let instead = "let udev or a tmpfiles.d line of the image make it at boot";
                    own("a user namespace makes no devices", instead)
                },
            )?
        }
        _ => {
            let on_devices = ON_DEVICES.contains(&program) || program.starts_with("mkfs.");
            let device = call.arguments.iter().find(|word| {
                let word = word.strip_prefix("of=").or(word.strip_prefix("if=")).unwrap_or(word);
                word.strip_prefix("/dev/")
                    .is_some_and(|name| DEVICES.iter().any(|device| name.starts_with(device)))
            });
            device.filter(|_| on_devices).and_then(|_| {
                own("a sandbox has no block devices", "describe the disk in block-device-*.yaml")
            })
        }
    }
}
