//! Elements of the Red Hat and SUSE families, on a Debian that has their package managers, with
//! packages that the test makes.

use anyhow::Result;
use goldsmith_tests::TestEnv;

use crate::image::{Mark, check, image};

pub(crate) fn rpms() -> Result<()> {
    const MARKS: &[Mark] = &[
        ("elrepo", "/etc/yum.repos.d/elrepo.repo", "enabled=1"),
        ("oat-client", "/srv/installed", "oat-commandtool-1-1"),
        ("redhat-common", "/srv/installed", "policycoreutils-python-utils-1-1"),
        ("redhat-common", "/srv/installed", "rng-tools-1-1"),
        // The registration asks for, and the last hook gives back, a subscription.
        ("rhel-common", "/srv/subscriptions", "register --activationkey=key --org=org\n"),
        ("rhel-common", "/srv/subscriptions", "\nunregister\n"),
        ("rpm-distro", "/etc/dnf/vars/basearch", "x86_64"),
        ("rpm-distro", "/etc/sysconfig/network", "NOZEROCONF=yes"),
        ("rpm-distro", "/etc/sudoers", "/bin:/usr/local/bin/"),
        ("yum", "/srv/installed", "python3-pyyaml-1-1"),
        ("yum", "/etc/dnf/dnf.conf", "keepcache=0"),
        ("yum", "/etc/yum.repos.d/of-test.repo", "-"),
    ];
    const PACKAGES: &str = "lsof tcpdump traceroute which gettext ca-certificates selinux-policy \
                            selinux-policy-targeted python3-libselinux python3-policycoreutils \
                            policycoreutils-python-utils rng-tools passwd python3 python3-pyyaml \
                            elrepo-release oat-client oat-commandtool dnf-plugins-core";
    let place = TestEnv::new()?;
    let repository = place.path("of-test.repo");
    fs_err::write(&repository, "[of-test]\nname=of-test\nbaseurl=file:///srv/rpms\ngpgcheck=0\n")?;
    let repository = repository.display().to_string();
    let variables = [
        ("DIB_ELREPO_KERNEL", "1"),
        ("DIB_TEST_STAND_INS", PACKAGES),
        ("DIB_YUM_REPO_CONF", repository.as_str()),
        ("REG_ACTIVATION_KEY", "key"),
        ("REG_METHOD", "portal"),
        ("REG_ORG", "org"),
    ];
    check(&image(&place, "tar", &["-n", "of-rpms"], MARKS, &variables)?, MARKS)
}

pub(crate) fn zypper() -> Result<()> {
    const MARKS: &[Mark] = &[
        ("zypper", "/etc/login.defs", "\nUSERGROUPS_ENAB yes"),
        ("zypper", "/etc/zypp/repos.d/of-test.repo", "keeppackages=0"),
        ("zypper", "/srv/kept", "keeppackages=1"),
        ("zypper", "/srv/installed", "| lsof |"),
        ("zypper", "/srv/mkinitrd", "-A -B\nrootfstype=ext4"),
    ];
    let place = TestEnv::new()?;
    let variables = [("DIB_TEST_STAND_INS", "lsof")];
    check(&image(&place, "tar", &["-n", "of-zypper"], MARKS, &variables)?, MARKS)
}
