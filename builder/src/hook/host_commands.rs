//! Which packages the tools container needs, beside the usual ones, so that hooks of host
//! phases find their commands.
//!
//! Hooks were written for a build host that somebody prepared, and no file of theirs says
//! how. So their text is searched for the names of commands. Too many hits cost a package
//! in the tools container, a missing one costs the user a `--tools-package`.

use std::collections::BTreeSet;

use super::HookTree;
use crate::phase::table::{PHASES, Place};

/// Commands and the packages of the tools container's suite that have them. What is in
/// every tools container is left out, see `base::tools`.
const PACKAGES: &[(&str, &[&str])] = &[
    ("bsdtar", &["libarchive-tools"]),
    ("bunzip2", &["bzip2"]),
    ("bzip2", &["bzip2"]),
    ("cpio", &["cpio"]),
    ("createrepo_c", &["createrepo-c"]),
    ("debootstrap", &["debootstrap", "debian-archive-keyring", "ubuntu-keyring"]),
    ("dmsetup", &["dmsetup"]),
    ("dnf", &["dnf", "dnf-plugins-core", "rpm"]),
    ("genisoimage", &["genisoimage"]),
    ("gpg", &["gpg"]),
    ("gpgv", &["gpgv"]),
    ("isoinfo", &["genisoimage"]),
    ("isolinux", &["isolinux"]),
    ("kmod", &["kmod"]),
    ("lsof", &["lsof"]),
    ("mcopy", &["mtools"]),
    ("mformat", &["mtools"]),
    ("mkdosfs", &["dosfstools"]),
    ("mkimage", &["u-boot-tools"]),
    ("mkisofs", &["genisoimage"]),
    ("mksquashfs", &["squashfs-tools"]),
    ("mmdebstrap", &["mmdebstrap", "debian-archive-keyring", "ubuntu-keyring"]),
    ("openssl", &["openssl"]),
    ("patch", &["patch"]),
    ("pip3", &["python3-pip"]),
    ("qemu-img", &["qemu-utils"]),
    ("rpm", &["rpm"]),
    ("rpm2cpio", &["rpm2cpio"]),
    ("rpmbuild", &["rpm"]),
    ("skopeo", &["skopeo"]),
    ("ssh-keygen", &["openssh-client"]),
    ("unsquashfs", &["squashfs-tools"]),
    ("unzip", &["unzip"]),
    ("virtualenv", &["python3-virtualenv"]),
    ("wget", &["wget"]),
    ("xorriso", &["xorriso"]),
    ("yum", &["dnf", "dnf-plugins-core", "rpm"]),
    ("yumdownloader", &["dnf", "dnf-plugins-core", "rpm"]),
    ("zypper", &["zypper", "rpm"]),
];

/// Whether the tools container gets that command when a hook of a host phase names it.
pub fn is_known(command: &str) -> bool {
    PACKAGES.binary_search_by_key(&command, |(known, _)| known).is_ok()
}

/// The packages that hooks of host phases need, sorted.
///
/// Read are those hooks themselves and what elements bring along in `bin`, which they call.
pub fn packages(hooks: &HookTree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let host = |directory: &str| {
        let phase = PHASES.iter().find(|phase| phase.directory == directory);
        directory == "bin" || phase.is_some_and(|phase| phase.place == Place::Host)
    };
    for text in hooks.texts(host) {
        for word in words(&text) {
            if let Ok(index) = PACKAGES.binary_search_by_key(&word, |(command, _)| command) {
                found.extend(PACKAGES[index].1.iter().map(|name| (*name).to_owned()));
            }
        }
    }
    found
}

/// The words of a script that can name a command: comments, and paths other than those of
/// programs, are left out.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_ascii_alphanumeric() || "._+-/".contains(c);
    text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(move |line| {
        line.split(move |c: char| !part(c)).filter_map(|word| match word.rsplit_once('/') {
            None => Some(word),
            Some((directory, name)) => directory.ends_with("bin").then_some(name),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_and_paths_and_comments_are_not() {
        let text = "#!/bin/bash\n# needs dnf\nsudo sh -c \"$x mmdebstrap --verbose\"\nls /etc/rpm/macros\n/usr/sbin/mkdosfs x\ntool=debootstrap\n";
        let found: Vec<_> = words(text)
            .filter(|word| PACKAGES.iter().any(|(command, _)| command == word))
            .collect();
        assert_eq!(found, ["mmdebstrap", "mkdosfs", "debootstrap"]);
        assert!(PACKAGES.is_sorted_by_key(|(command, _)| *command));
    }
}
