//! The lists of shipped elements that tests put into one image each: the build tier makes these
//! images and looks for what every element leaves there, the quick tier checks that every
//! element is on a list (or in tests/compat/unbuilt.yaml).

/// Whatever needs neither a kernel nor Python's packages; `probe` is the test's own.
pub const SERVER: [&str; 32] = [
    "debian-systemd",
    "probe",
    "apt-conf",
    "apt-preferences",
    "autoupdates",
    "cache-url",
    "cloud-init",
    "cloud-init-disable-resizefs",
    "cloud-init-growpart",
    "devuser",
    "dhcp-all-interfaces",
    "disable-nouveau",
    "disable-selinux",
    "dkms",
    "dynamic-login",
    "element-manifest",
    "epel",
    "fail2ban",
    "growvols",
    "grub2",
    "ibft-interfaces",
    "iscsi-boot",
    "journal-to-console",
    "local-config",
    "mellanox",
    "modprobe-blacklist",
    "nm-dhcp-ib-interfaces",
    "posix",
    "source-repositories",
    "stable-interface-names",
    "svc-map",
    "sysctl",
];

/// What brings programs in Python.
pub const PYTHON: [&str; 7] = [
    "debian-minimal",
    "probe-mirror",
    "pip-and-virtualenv",
    "pip-cache",
    "pypi",
    "simple-init",
    "tpm-emulator",
];

/// What works on the kernel and its initial RAM disk.
pub const KERNEL: [&str; 6] = [
    "debian-minimal",
    "probe-kernel",
    "cleanup-kernel-initrd",
    "disable-nouveau",
    "dracut-regenerate",
    "iso",
];

/// What needs no more than a tree, on a disk of its own kind; `small` is a small Debian and
/// `probe-board` the test's own.
pub const BOARD: [&str; 8] = [
    "small",
    "probe-board",
    "apt-conf",
    "apt-preferences",
    "apt-sources",
    "baremetal",
    "block-device-efi-4k",
    "uboot",
];

/// A disk with a GPT for machines with a BIOS.
pub const GPT: [&str; 2] = ["small", "block-device-gpt"];

/// Volumes of LVM.
pub const VOLUMES: [&str; 2] = ["debian-minimal", "block-device-efi-lvm"];

/// From a repository of rpm packages that the test makes; `probe-rpm` names it.
pub const CENTOS: [&str; 5] =
    ["centos-minimal", "probe-rpm", "elrepo", "epel", "selinux-permissive"];

/// From the same repository.
pub const FEDORA: [&str; 3] = ["fedora-minimal", "probe-rpm", "disable-selinux"];

/// From the same repository, by zypper.
pub const OPENSUSE: [&str; 2] = ["opensuse-minimal", "probe-zypper"];
