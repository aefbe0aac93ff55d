//! Packages and policies, on the smallest Debian that has a package manager.

use anyhow::Result;
use goldsmith_tests::TestEnv;

use crate::image::{Mark, check, image};

pub(crate) fn policies() -> Result<()> {
    const MARKS: &[Mark] = &[
        ("apt-sources", "/etc/apt/sources.list", "# of the test"),
        ("dib-run-parts", "/usr/share/doc/dib-utils", "-"),
        ("dib-run-parts", "/var/lib/dpkg/info/dib-utils.list", ""),
        ("disable-selinux", "/etc/selinux/config", "SELINUX=disabled"),
        ("fips", "/var/lib/dpkg/info/crypto-policies.list", ""),
        ("fips", "/srv/fips", "--enable"),
        ("modprobe-blacklist", "/etc/modprobe.d/blacklist.conf", "blacklist floppy"),
        (
            "nm-dhcp-ib-interfaces",
            "/etc/NetworkManager/system-connections/infiniband.nmconnection",
            "transport-mode=datagram",
        ),
        ("openstack-ci-mirrors", "/etc/apt/apt.conf.d/99unauthenticated", "AllowUnauthenticated"),
        ("openstack-ci-mirrors", "/srv/mirror", "http://mirror.example/debian --no-check-gpg"),
        ("selinux-permissive", "/etc/selinux/config", "SELINUXTYPE=targeted"),
        ("selinux-permissive", "/srv/selinux", "SELINUX=permissive"),
        ("stable-interface-names", "/etc/udev/rules.d/80-net-name-slot.rules", "-"),
        ("stable-interface-names", "/srv/was-a-link", ""),
        ("stable-interface-names", "/var/lib/dpkg/info/biosdevname.list", ""),
    ];
    let place = TestEnv::new()?;
    fs_err::write(place.path("sources.list"), "# of the test\n")?;
    let sources = place.path("sources.list").display().to_string();
    let variables = [
        ("DIB_APT_SOURCES", sources.as_str()),
        ("DIB_MODPROBE_BLACKLIST", "floppy"),
        ("DIB_TEST_STAND_INS", "biosdevname crypto-policies dib-utils"),
    ];
    let os = ["-n", "mini", "dpkg", "stand-ins", "of-policies"];
    check(&image(&place, "tar", &os, MARKS, &variables)?, MARKS)
}
