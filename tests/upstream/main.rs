//! diskimage-builder's own elements, unmodified and with none of ours, built by an ordinary
//! user; the images boot.
//!
//! `GOLDSMITH_UPSTREAM` is the directory of diskimage-builder's elements.

mod containers;
mod elements;
mod image;
mod ironic;
mod kernels;
mod layouts;
mod policies;
mod rpms;
mod sources;
mod test_elements;
mod ubuntu;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{Initramfs, TestEnv, Vm, ran};
use libtest_mimic::{Arguments, Failed, Trial};

/// The time that a guest without acceleration is given.
const LIMIT: Duration = Duration::from_secs(420);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let there = std::env::var_os("GOLDSMITH_UPSTREAM").is_some();
    let trial = |name: &str, run: fn() -> Result<()>| {
        let kind =
            if there { "upstream" } else { "upstream: ignored, GOLDSMITH_UPSTREAM is unset" };
        Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:#}"))))
            .with_kind(kind)
            .with_ignored_flag(!there)
    };
    let trials = vec![
        trial("debian_minimal_vm_boots_by_bios", boots_by_bios),
        trial("debian_minimal_vm_with_block_device_efi_boots_by_both", boots_by_both),
        trial("full_debian_minimal_ramdisk_boots_to_its_init_script", ramdisk_boots),
        trial("elements_of_services_users_and_settings", elements::services),
        trial("elements_of_tools_caches_and_boot_files", elements::tools),
        trial("its_test_element_apt_sources_test_sources", test_elements::sources),
        trial("its_test_element_debian_build_succeeds", test_elements::stable),
        trial("its_test_element_debian_minimal_bookworm", test_elements::bookworm),
        trial("full_its_test_element_debian_minimal_bullseye", test_elements::bullseye),
        trial("elements_of_packages_and_policies", policies::policies),
        trial("elements_of_kernels_and_their_modules", kernels::kernels),
        trial("elements_of_sources_and_python_packages", sources::sources),
        trial("elements_of_red_hat_with_packages_of_the_test", rpms::rpms),
        trial("elements_of_suse_with_packages_of_the_test", rpms::zypper),
        trial("full_elements_of_ubuntu_with_the_archive_of_debian", ubuntu::ubuntu),
        trial("full_ramdisks_of_deployment_and_hardware", ramdisk_of_hardware),
        trial("full_ramdisk_by_dracut_has_the_modules_of_elements", ramdisk_by_dracut),
        trial("bases_of_container_files", containers::containers),
        trial("disks_in_a_registry_are_found_by_ironic", ironic::disks),
        trial("layouts_of_disks", layouts::layouts),
        trial("images_of_a_boot_loader_of_boards", layouts::uboot),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Builds with diskimage-builder's elements, and those of the tests in `own` and in `place`.
fn build_in(
    place: &TestEnv,
    program: &str,
    words: &[&str],
    variables: &BTreeMap<&str, &str>,
) -> Result<()> {
    let elements = std::env::var("GOLDSMITH_UPSTREAM").context("GOLDSMITH_UPSTREAM")?;
    let mut command = place.command(program)?;
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/upstream/own");
    let path = format!("{}:{own}:{elements}", place.path("elements").display());
    command
        .env("ELEMENTS_PATH", path)
        .env("GOLDSMITH_NO_BUILTIN_ELEMENTS", "1")
        .envs(variables)
        .args(words);
    let ran = ran(&mut command)?;
    ensure!(ran.status == 0, "{}\n{}", ran.stdout, ran.stderr);
    Ok(())
}

/// Builds with diskimage-builder's elements alone; returns the directory with the result.
fn build(program: &str, words: &[&str]) -> Result<TestEnv> {
    let place = TestEnv::new()?;
    build_in(&place, program, words, &BTreeMap::new())?;
    Ok(place)
}

fn reaches_login(image: PathBuf, uefi: bool) -> Result<()> {
    Vm::boot(&image, "qcow2", None, uefi)?.expect("login:", LIMIT)
}

fn boots_by_bios() -> Result<()> {
    let place = build("disk-image-create", &["-o", "up", "vm", "debian-minimal"])?;
    reaches_login(place.path("up.qcow2"), false)
}

fn boots_by_both() -> Result<()> {
    let words = ["-o", "up", "vm", "block-device-efi", "debian-minimal"];
    let place = build("disk-image-create", &words)?;
    reaches_login(place.path("up.qcow2"), false)?;
    reaches_login(place.path("up.qcow2"), true)
}

fn ramdisk_boots() -> Result<()> {
    let place = build("ramdisk-image-create", &["-o", "up", "debian-minimal"])?;
    let mut vm = Vm::ramdisk(&place.path("up"), "", "", None)?;
    // The last piece of its /init says so, whether a card was found or not.
    vm.expect("network ready", LIMIT)?;
    vm.expect("reboot: machine restart", LIMIT)
}

/// What is in the ramdisk, and what its script does; the guests of the boot tier run the like.
fn ramdisk_of_hardware() -> Result<()> {
    let elements = ["debian-minimal", "deploy-baremetal", "hwburnin", "hwdiscovery"];
    let options = ["-o", "up", "-p", "isc-dhcp-client,lshw,memtester,spew,wget"];
    let place = build("ramdisk-image-create", &[&options[..], &elements].concat())?;
    let ramdisk = Initramfs::read(&place.path("up.initramfs"))?;
    for program in ["tgtd", "tgtadm", "memtester", "spew", "hwinfo", "lshw", "base64"] {
        ensure!(ramdisk.has(&format!("/{program}")), "no {program}");
    }
    let init = ramdisk.text("init")?;
    for text in ["iSCSI target on $target_disk", "memtester 1G 10", "HW_DISCOVERY_OUTPUT"] {
        ensure!(init.contains(text), "{text:?} in {init}");
    }
    Ok(())
}

/// What elements add to dracut is in the ramdisk that it makes.
fn ramdisk_by_dracut() -> Result<()> {
    let place = TestEnv::new()?;
    let elements = ["debian-minimal", "stand-ins", "of-dracut"];
    let words = [&["-o", "up", "--ramdisk-element", "dracut-ramdisk"][..], &elements].concat();
    let variables = BTreeMap::from([("DIB_TEST_STAND_INS", "targetcli")]);
    build_in(&place, "ramdisk-image-create", &words, &variables)?;
    let ramdisk = Initramfs::read(&place.path("up.initramfs"))?;
    for file in [
        "/usr/bin/targetcli",
        "/targetcli-wrapper",
        "/hooks/cmdline/80-deploy-cmdline.sh",
        "/hooks/pre-mount/50-init.sh",
        "/iscsi_target_mod.ko",
    ] {
        ensure!(ramdisk.has(file), "no {file}");
    }
    let modules = ramdisk.text("usr/lib/dracut/modules.txt")?;
    let all = ["targetcli", "deploy-ramdisk"].iter().all(|name| modules.contains(name));
    ensure!(all && fs_err::metadata(place.path("up.kernel"))?.len() > 1 << 20, "{modules}");
    Ok(())
}
