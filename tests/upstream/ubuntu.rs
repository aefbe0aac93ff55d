//! Elements of Ubuntu, with Debian's archive in the place of Ubuntu's.

use std::collections::BTreeMap;

use anyhow::Result;
use goldsmith_tests::{TestEnv, Tree};

use crate::build_in;
use crate::image::{Mark, check};

const MINIMAL: &[Mark] = &[
    ("ubuntu-common", "/etc/sysctl.d/99-cloudimg-ipv6.conf", "use_tempaddr=0"),
    ("ubuntu-minimal", "/etc/hostname", "ubuntu"),
    ("ubuntu-minimal", "/etc/apt/sources.list", " bookworm-backports main"),
    ("ubuntu-minimal", "/var/lib/dpkg/info/linux-image-kvm.list", ""),
    ("ubuntu-minimal", "/usr/bin/sudo", ""),
];

const CLOUD: &[Mark] = &[
    ("ubuntu", "/etc/apt/sources.list", "!archive.ubuntu.com"),
    ("ubuntu", "/etc/apt/sources.list", " bookworm-backports main"),
    ("ubuntu", "/var/lib/dpkg/info/linux-image-generic.list", ""),
    ("ubuntu-signed", "/var/lib/dpkg/info/linux-signed-image-generic.list", ""),
    (
        "ubuntu-signed",
        "/dib-signed-kernel-version",
        "DIB_SIGNED_KERNEL_VERSION=9.9.9-9-test.efi.signed",
    ),
];

/// A minimal system, and what the vendor would publish of it as the base of another one.
pub(crate) fn ubuntu() -> Result<()> {
    let keep = ["/etc/*", "/dib-signed-kernel-version"];
    let place = TestEnv::new()?;
    let variables = BTreeMap::from([
        ("DIB_TEST_STAND_INS", "linux-image-kvm linux-image-generic linux-signed-image-generic"),
        ("DIB_UBUNTU_KERNEL", "linux-image-kvm"),
    ]);
    let words = ["-n", "-t", "tar", "-o", "x", "stand-ins", "of-ubuntu", "ubuntu-minimal"];
    build_in(&place, "disk-image-create", &words, &variables)?;
    check(&Tree::read(&place.path("x.tar"), &keep)?, MINIMAL)?;
    let published = place.path("x.squashfs").display().to_string();
    let variables = BTreeMap::from([("DIB_LOCAL_IMAGE", published.as_str())]);
    let words = ["-n", "-t", "tar", "-o", "y", "of-cloud", "ubuntu", "ubuntu-signed"];
    build_in(&place, "disk-image-create", &words, &variables)?;
    check(&Tree::read(&place.path("y.tar"), &keep)?, CLOUD)
}
