//! Programs that the tools container refuses or does not have.

use super::Place;
use super::call::Call;
use crate::element::shipped;
use crate::hook::host_commands;

/// Programs that host phases ask for and that the tools container does not get by itself, with
/// the Debian package that has each.
const PACKAGES: [(&str, &str); 16] = [
    ("buildah", "buildah"),
    ("fdisk", "fdisk"),
    ("guestfish", "guestfish"),
    ("guestmount", "guestmount"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.vfat", "dosfstools"),
    ("mkfs.xfs", "xfsprogs"),
    ("parted", "parted"),
    ("pip", "python3-pip"),
    ("semanage", "policycoreutils-python-utils"),
    ("setfiles", "policycoreutils"),
    ("sfdisk", "fdisk"),
    ("sgdisk", "gdisk"),
    ("umoci", "umoci"),
    ("virt-customize", "guestfs-tools"),
    ("yq", "yq"),
];

/// What the shim of that program says when it is one that only refuses.
pub(super) fn by_shim(call: &Call) -> Option<(String, String)> {
    let (reason, instead) = shipped::refusal(&call.program)?;
    Some((format!("{}: {reason}", call.program), instead))
}

/// The package with a program that the tools container lacks.
pub(super) fn missing(call: &Call, place: Place) -> Option<&'static str> {
    if place != Place::Host || call.in_image || host_commands::is_known(&call.program) {
        return None;
    }
    let (_, package) = PACKAGES.iter().find(|(program, _)| *program == call.program)?;
    Some(package)
}
