//! diskimage-builder's own elements, where it is installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use goldsmith_tests::TestEnv;

/// What follows it in docs/elements-upstream.md is made.
const MARK: &str = "<!-- goldsmith elements audit --markdown -->\n\n";

/// The directory of its elements.
pub(crate) fn elements() -> Result<PathBuf> {
    let tools = std::env::var("GOLDSMITH_DIB").context("GOLDSMITH_DIB")?;
    let lib = PathBuf::from(tools).join("lib");
    for python in fs_err::read_dir(&lib)? {
        let path = python?.path().join("site-packages/diskimage_builder/elements");
        if path.is_dir() {
            return Ok(path);
        }
    }
    anyhow::bail!("no elements below {}", lib.display())
}

/// Makes the table of docs/elements-upstream.md again and compares; with `GOLDSMITH_UPDATE` set,
/// writes it.
pub(crate) fn table() -> Result<()> {
    let env = TestEnv::new()?;
    let ran = env.run(&["elements", "audit", "--markdown", &elements()?.to_string_lossy()])?;
    ensure!(ran.status == 0, "{ran:?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/elements-upstream.md");
    let text = fs_err::read_to_string(&path)?;
    let (head, old) = text.split_once(MARK).context("the page has no mark")?;
    if std::env::var_os("GOLDSMITH_UPDATE").is_some() {
        return Ok(fs_err::write(&path, format!("{head}{MARK}{}", ran.stdout))?);
    }
    for (new, old) in ran.stdout.lines().zip(old.lines()) {
        ensure!(new == old, "the table says\n{old}\nbut it is\n{new}\nMake it again: {AGAIN}");
    }
    ensure!(ran.stdout == old, "the table has lines too many or too few. Make it again: {AGAIN}");
    Ok(())
}

const AGAIN: &str = "GOLDSMITH_UPDATE=1 tests/run compat";

/// What the tests of tests/upstream build, by the lists of elements that they name, one an image.
const BUILT: [(&str, &[&str]); 19] = [
    ("upstream::debian_minimal_vm_boots_by_bios", &["vm", "block-device-mbr", "debian-minimal"]),
    (
        "upstream::debian_minimal_vm_with_block_device_efi_boots_by_both",
        &["vm", "block-device-efi", "debian-minimal"],
    ),
    (
        "upstream::elements_of_services_users_and_settings",
        &[
            "debian-minimal",
            "apt-conf",
            "autoupdates",
            "cloud-init",
            "cloud-init-datasources",
            "cloud-init-disable-resizefs",
            "cloud-init-growpart",
            "cloud-init-nocloud",
            "devuser",
            "dhcp-all-interfaces",
            "dib-python",
            "disable-nouveau",
            "dracut-network",
            "dynamic-login",
            "element-manifest",
            "enable-serial-console",
            "ensure-venv",
            "fail2ban",
            "growroot",
            "growvols",
            "ibft-interfaces",
            "iscsi-boot",
            "journal-to-console",
            "local-config",
            "modprobe",
        ],
    ),
    (
        "upstream::elements_of_tools_caches_and_boot_files",
        &[
            "debian-minimal",
            "apt-preferences",
            "baremetal",
            "debian",
            "debian-systemd",
            "debian-upstart",
            "grub2",
            "install-types",
            "no-final-image",
            "openssh-server",
            "pip-and-virtualenv",
            "pip-cache",
            "posix",
            "pypi",
            "runtime-ssh-host-keys",
            "select-boot-kernel-initrd",
            "source-repositories",
            "svc-map",
            "sysctl",
            "sysprep",
        ],
    ),
    (
        "upstream::elements_of_packages_and_policies",
        &[
            "mini",
            "apt-sources",
            "dib-run-parts",
            "disable-selinux",
            "fips",
            "modprobe-blacklist",
            "nm-dhcp-ib-interfaces",
            "openstack-ci-mirrors",
            "selinux-permissive",
            "stable-interface-names",
        ],
    ),
    (
        "upstream::elements_of_kernels_and_their_modules",
        &["debian-minimal", "cleanup-kernel-initrd", "dkms", "dracut-regenerate", "mellanox"],
    ),
    (
        "upstream::elements_of_sources_and_python_packages",
        &[
            "mini",
            "keylime-agent",
            "proliant-tools",
            "python-brickclient",
            "python-stow-versions",
            "simple-init",
            "tpm-emulator",
        ],
    ),
    (
        "upstream::elements_of_red_hat_with_packages_of_the_test",
        &["of-rpms", "elrepo", "oat-client", "redhat-common", "rhel-common", "rpm-distro", "yum"],
    ),
    ("upstream::elements_of_suse_with_packages_of_the_test", &["of-zypper"]),
    ("upstream::full_elements_of_ubuntu_with_the_archive_of_debian", &["ubuntu-minimal"]),
    ("upstream::full_elements_of_ubuntu_with_the_archive_of_debian", &["ubuntu", "ubuntu-signed"]),
    (
        "upstream::full_ramdisks_of_deployment_and_hardware",
        &["ramdisk", "debian-minimal", "deploy-baremetal", "hwburnin", "hwdiscovery"],
    ),
    ("upstream::bases_of_container_files", &["containerfile"]),
    ("upstream::layouts_of_disks", &["files", "block-device-gpt"]),
    ("upstream::layouts_of_disks", &["files", "block-device-efi-4k"]),
    ("upstream::layouts_of_disks", &["files", "block-device-efi-lvm"]),
    ("upstream::images_of_a_boot_loader_of_boards", &["files", "uboot"]),
    (
        "upstream::full_ramdisk_by_dracut_has_the_modules_of_elements",
        &["dracut-ramdisk", "debian-minimal"],
    ),
    (
        "upstream::full_debian_minimal_ramdisk_boots_to_its_init_script",
        &["ramdisk", "debian-minimal"],
    ),
];

/// Every element that tests/compat/exercised.yaml lists is, byte for byte, one that the test
/// named there builds.
pub(crate) fn listed() -> Result<()> {
    let env = TestEnv::new()?;
    let tree = elements()?;
    let tree = tree.to_string_lossy();
    let ran = env.run(&["elements", "audit", "--json", &tree])?;
    let verdicts: serde_json::Value = serde_json::from_str(&ran.stdout).context(ran.stderr)?;
    let verdicts = verdicts.as_array().context("no verdicts")?;
    let mut exercised = 0;
    for verdict in verdicts.iter().filter(|verdict| verdict["class"] == "exercised") {
        let (element, test) = (verdict["element"].as_str(), verdict["test"].as_str());
        let (element, test) = (element.context("no name")?, test.context("no test")?);
        let mut lists = BUILT.iter().filter(|(known, _)| *known == test).peekable();
        ensure!(lists.peek().is_some(), "{test} is not known");
        // Those that the tests have of their own are behind it.
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/upstream/own");
        let line = ["elements", "graph", "--no-builtin-elements", "-E", &tree, "-E", own];
        let mut built = false;
        for (_, named) in lists {
            let graph = env.run(&[&line, *named].concat())?;
            ensure!(graph.status == 0, "{test}: {graph:?}");
            built |= graph.stdout.contains(&format!("  \"{element}\" ["));
        }
        ensure!(built, "{test} does not build {element}");
        exercised += 1;
    }
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/exercised.yaml");
    let lines = fs_err::read_to_string(list)?;
    let lines = lines.lines().filter(|line| line.contains("{test: ")).count();
    ensure!(
        exercised == lines,
        "{lines} elements are listed, {exercised} are those that are built"
    );
    Ok(())
}
