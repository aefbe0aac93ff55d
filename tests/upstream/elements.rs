//! Many of diskimage-builder's elements in two images of its own Debian.

use std::process::Command;

use anyhow::{Result, ensure};
use goldsmith_tests::TestEnv;

use crate::image::{Mark, check, image};

/// Services, users and settings.
pub(crate) fn services() -> Result<()> {
    const MARKS: &[Mark] = &[
        ("apt-conf", "/etc/apt/apt.conf", "Retries \"4\""),
        ("autoupdates", "/etc/apt/apt.conf.d/20auto-upgrades", "1"),
        ("cloud-init", "/usr/bin/cloud-init", ""),
        (
            "cloud-init-datasources",
            "/etc/cloud/cloud.cfg.d/91-dib-cloud-init-datasources.cfg",
            "NoCloud",
        ),
        ("cloud-init-disable-resizefs", "/etc/cloud/cloud.cfg", "!resizefs"),
        ("cloud-init-growpart", "/etc/cloud/cloud.cfg.d/55-growpart.cfg", "/"),
        ("cloud-init-nocloud", "/var/lib/cloud/seed/nocloud/meta-data", ""),
        ("devuser", "/etc/passwd", "\ntester:"),
        ("devuser", "/home/tester/.ssh/authorized_keys", "BBBB"),
        ("dhcp-all-interfaces", "/usr/local/sbin/dhcp-all-interfaces.sh", ""),
        ("dib-python", "/usr/local/bin/dib-python", "-"),
        ("disable-nouveau", "/etc/modprobe.d/disable-nouveau.conf", "nouveau"),
        // It has nothing but its documents since dracut has its name.
        ("dracut-network", "/etc/dib-manifests/dib-element-manifest", "dracut-network"),
        ("dynamic-login", "/usr/local/bin/dynamic-login", ""),
        ("element-manifest", "/etc/dib-manifests/dib-element-manifest", "growvols"),
        ("enable-serial-console", "/etc/udev/rules.d/99-serial-console.rules", "getty"),
        ("ensure-venv", "/usr/lib/python3.11/ensurepip/__init__.py", ""),
        ("fail2ban", "/etc/init.d/fail2ban", ""),
        ("growroot", "/usr/lib/systemd/system/growroot.service", ""),
        ("growvols", "/usr/local/sbin/growvols", ""),
        ("ibft-interfaces", "/usr/lib/systemd/system/init-ibft-interfaces.service", ""),
        ("iscsi-boot", "/etc/iscsi/iscsid.conf", ""),
        ("journal-to-console", "/etc/systemd/journald.conf.d/log-to-console.conf", "Console"),
        ("local-config", "/root/.ssh/authorized_keys", "AAAA"),
        ("modprobe", "/etc/modprobe.d/blacklist.conf", "blacklist floppy"),
    ];
    let place = TestEnv::new()?;
    fs_err::write(place.path("apt.conf"), "Acquire::Retries \"4\";\n")?;
    let conf = place.path("apt.conf").display().to_string();
    let variables = [
        ("DIB_APT_CONF", conf.as_str()),
        ("DIB_CLOUD_INIT_DATASOURCES", "NoCloud, None"),
        ("DIB_CLOUD_INIT_GROWPART_DEVICES", "/"),
        ("DIB_DEV_USER_USERNAME", "tester"),
        ("DIB_MODPROBE_BLACKLIST", "floppy"),
    ];
    check(&image(&place, "tar", &["debian-minimal"], MARKS, &variables)?, MARKS)
}

// contract 9.13: install-bin, install-static, dib-init-system and install-types are plain
// elements, and others rely on them.
pub(crate) fn tools() -> Result<()> {
    const MARKS: &[Mark] = &[
        ("apt-preferences", "/etc/apt/preferences", "Pin-Priority: 1001"),
        ("baremetal", "/boot/grub", "-"),
        ("debian", "/usr/bin/rsync", ""),
        ("debian-systemd", "/srv/settings", "DIB_DEBIAN_ALT_INIT_PACKAGE=systemd-sysv"),
        ("debian-upstart", "/srv/settings", "DIB_DEBIAN_ALT_INIT_PACKAGE=upstart"),
        ("debian-upstart", "/etc/init/cloud-config.conf", "started rc RUNLEVEL=[2345]"),
        ("grub2", "/usr/lib/shim/shimx64.efi.signed", ""),
        ("grub2", "/boot/grub2", ""),
        ("grub2", "/boot/grub2/grubenv", "-"),
        ("install-types", "/srv/typed", "package"),
        ("no-final-image", "/etc/os-release", ""),
        ("openssh-server", "/usr/sbin/sshd", ""),
        ("pip-and-virtualenv", "/usr/bin/pip3", ""),
        ("pip-cache", "/srv/pip-cache", "/tmp/pip\nmounted"),
        ("posix", "/usr/bin/bc", ""),
        ("pypi", "/srv/pip.conf", "index-url = file:///tmp/pypi"),
        ("pypi", "/root/.pip/pip.conf", "-"),
        ("runtime-ssh-host-keys", "/etc/ssh/ssh_host_rsa_key", "-"),
        ("runtime-ssh-host-keys", "/usr/local/sbin/runtime-ssh-host-keys.sh", ""),
        ("select-boot-kernel-initrd", "/usr/local/bin/select-boot-kernel-initrd", ""),
        ("with-source", "/opt/fetched/inside", ""),
        ("source-repositories", "/opt/fetched/inside", "from an archive"),
        ("svc-map", "/usr/local/bin/svc-map", ""),
        ("sysctl", "/usr/local/bin/sysctl-set-value", ""),
        ("sysprep", "/srv/machine-id", "!uninitialized"),
        ("sysprep", "/srv/cleared-machine-id", "uninitialized"),
    ];
    let place = TestEnv::new()?;
    let manifest = place.path("manifest.json").display().to_string();
    fs_err::write(&manifest, r#"{"packages": [{"package": "bc", "version": "1.07.1-3+b1"}]}"#)?;
    place.element(
        "with-source/source-repository-fetched",
        "fetched tar /opt/fetched file://$TMP_HOOKS_PATH/with-source.tar.gz .\n",
    )?;
    place.element("with-source/inside", "from an archive\n")?;
    let source = place.path("elements/with-source");
    let packed = Command::new("tar")
        .arg("-czf")
        .arg(source.join("with-source.tar.gz"))
        .args(["-C".as_ref(), source.as_os_str(), "inside".as_ref()])
        .status()?;
    ensure!(packed.success(), "tar");
    let variables = [
        ("DIB_INSTALLTYPE_pip_and_virtualenv", "package"),
        ("DIB_INSTALLTYPE_typed", "package"),
        // Settings of the test lie in the tree before the bootstrap.
        ("DIB_MMDEBSTRAP_EXTRA_ARGS", "--skip=check/empty"),
        ("DIB_DPKG_MANIFEST", manifest.as_str()),
    ];
    let tree = image(&place, "tar,qcow2", &["debian-minimal", "of-tools"], MARKS, &variables)?;
    check(&tree, MARKS)?;
    ensure!(!place.path("x.qcow2").exists(), "no-final-image has no effect");
    for file in ["x.vmlinuz", "x.initrd"] {
        ensure!(fs_err::metadata(place.path(file))?.len() > 1 << 20, "{file} is nothing");
    }
    Ok(())
}
