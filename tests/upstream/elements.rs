//! Many of diskimage-builder's elements in few images, and what each of them leaves there.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Result, ensure};
use goldsmith_tests::{TestEnv, Tree};

use crate::build_in;

/// An element, a path in the image, and a text that it holds, or after `!` that it does not.
/// An empty text: that it is there; `-`: that it is not.
type Mark = (&'static str, &'static str, &'static str);

fn check(tree: &Tree, marks: &[Mark]) -> Result<()> {
    let mut wrong = Vec::new();
    for (element, path, text) in marks {
        let right = match *text {
            "-" => !tree.has(path),
            "" => tree.has(path),
            text if text.starts_with('!') => {
                tree.text(path).is_ok_and(|content| !content.contains(&text[1..]))
            }
            text => tree.text(path).is_ok_and(|content| content.contains(text)),
        };
        if !right {
            wrong.push(format!("{element}: {path} {text:?} {:?}", tree.text(path).ok()));
        }
    }
    ensure!(wrong.is_empty(), "not as the elements make it:\n{}", wrong.join("\n"));
    Ok(())
}

/// Builds an archive of the elements that `marks` names; keys of who builds are there.
fn image(place: &TestEnv, marks: &[Mark], variables: &[(&str, &str)]) -> Result<Tree> {
    fs_err::create_dir_all(place.path(".ssh"))?;
    fs_err::write(place.path(".ssh/authorized_keys"), "ssh-ed25519 AAAA who@builds\n")?;
    fs_err::write(place.path(".ssh/id_rsa.pub"), "ssh-rsa BBBB who@builds\n")?;
    let mut elements: Vec<&str> = Vec::new();
    for (element, ..) in marks {
        if !elements.contains(element) {
            elements.push(element);
        }
    }
    let words: Vec<_> =
        ["-t", "tar,qcow2", "-o", "x", "debian-minimal"].into_iter().chain(elements).collect();
    let variables: BTreeMap<_, _> =
        variables.iter().copied().chain([("DIB_PYTHON_VERSION", "3")]).collect();
    build_in(place, "disk-image-create", &words, &variables)?;
    Tree::read(&place.path("x.tar"), &["/etc/*", "/home/*", "/root/*", "/usr/local/*", "/opt/*"])
}

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
    check(&image(&place, MARKS, &variables)?, MARKS)
}

// contract 9.13: install-bin, install-static, dib-init-system and install-types are plain
// elements, and others rely on them.
pub(crate) fn tools() -> Result<()> {
    const MARKS: &[Mark] = &[
        ("apt-preferences", "/etc/apt/preferences", "Pin-Priority: 1001"),
        ("baremetal", "/boot/grub", "-"),
        ("debian", "/usr/bin/rsync", ""),
        ("grub2", "/usr/share/pkg-map/grub2", ""),
        ("install-types", "/usr/bin/pip3", ""),
        ("no-final-image", "/etc/os-release", ""),
        ("openssh-server", "/usr/sbin/sshd", ""),
        ("pip-and-virtualenv", "/usr/bin/pip3", ""),
        ("pip-cache", "/root/.cache/pip", "-"),
        ("posix", "/usr/bin/bc", ""),
        ("pypi", "/root/.pip/pip.conf", "-"),
        ("runtime-ssh-host-keys", "/etc/ssh/ssh_host_rsa_key", "-"),
        ("runtime-ssh-host-keys", "/usr/local/sbin/runtime-ssh-host-keys.sh", ""),
        ("select-boot-kernel-initrd", "/usr/local/bin/select-boot-kernel-initrd", ""),
        ("with-source", "/opt/fetched/inside", ""),
        ("source-repositories", "/opt/fetched/inside", "from an archive"),
        ("svc-map", "/usr/local/bin/svc-map", ""),
        ("sysctl", "/usr/local/bin/sysctl-set-value", ""),
        ("sysprep", "/etc/machine-id", ""),
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
        ("DIB_DPKG_MANIFEST", manifest.as_str()),
    ];
    let tree = image(&place, MARKS, &variables)?;
    check(&tree, MARKS)?;
    ensure!(!place.path("x.qcow2").exists(), "no-final-image has no effect");
    for file in ["x.vmlinuz", "x.initrd"] {
        ensure!(fs_err::metadata(place.path(file))?.len() > 1 << 20, "{file} is nothing");
    }
    Ok(())
}
