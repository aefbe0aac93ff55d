//! `goldsmith elements audit`, and the list of what tests build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{TestEnv, server, shipped};

use crate::with_os;

/// What tests name on their command lines; their dependencies are built, too.
const BUILT: [(&str, &[&str]); 10] = [
    ("boot::a_server_boots_by_bios", &server::ELEMENTS),
    (
        "boot::full_i386_boots_to_its_login_prompt",
        &["debian", "vm", "block-device-mbr", "enable-serial-console"],
    ),
    ("boot::a_busybox_ramdisk_boots_to_its_init_script", &["ramdisk", "debian-minimal"]),
    ("boot::full_a_dracut_ramdisk_boots_to_its_init_script", &["dracut-ramdisk", "debian-minimal"]),
    ("boot::full_tgtd_offers_the_disk", &["ramdisk", "debian-minimal", "deploy-baremetal"]),
    (
        "boot::full_new_hardware_is_described_and_tested",
        &["ramdisk", "debian-minimal", "hwburnin", "hwdiscovery"],
    ),
    (
        "boot::full_another_system_starts_without_the_firmware",
        &["ramdisk", "debian-minimal", "deploy-kexec"],
    ),
    (
        "boot::full_secure_boot_starts_what_is_signed_and_nothing_else",
        &["debian-minimal", "vm", "block-device-efi", "secure-boot"],
    ),
    (
        "boot::full_a_unified_kernel_image_boots_without_grub",
        &["debian-minimal", "vm", "block-device-efi", "systemd-boot"],
    ),
    (
        "build::the_kernel_and_its_ram_disk_come_out",
        &["debian-minimal", "baremetal", "select-boot-kernel-initrd"],
    ),
];

/// Images of the build tier that serve many tests.
const IMAGES: [&[&str]; 11] = [
    &shipped::SERVER,
    &shipped::PYTHON,
    &shipped::KERNEL,
    &shipped::BOARD,
    &shipped::GPT,
    &shipped::VOLUMES,
    &shipped::CENTOS,
    &shipped::FEDORA,
    &shipped::OPENSUSE,
    &["small", "no-final-image"],
    &["containerfile"],
];

/// The lines `  ELEMENT: TEST` of a section of tests/compat/exercised.yaml.
fn section(name: &str) -> Result<BTreeMap<String, String>> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/exercised.yaml");
    let text = fs_err::read_to_string(list)?;
    let (_, rest) = text.split_once(&format!("\n{name}:")).context("no such section")?;
    let lines = rest.lines().skip(1).take_while(|line| line.starts_with("  ") || line.is_empty());
    let pair = |line: &str| {
        let (element, test) = line.trim().split_once(": ")?;
        let test = test.trim_start_matches("{test: ");
        let (test, _) = test.split_once(',').unwrap_or((test, ""));
        Some((element.to_owned(), test.to_owned()))
    };
    Ok(lines.filter_map(pair).collect())
}

#[test]
fn every_test_that_is_named_exists() -> Result<()> {
    let (shipped, others) = (section("shipped")?, section("others")?);
    ensure!(!shipped.is_empty(), "nothing is exercised");
    let tests: BTreeSet<_> = shipped.values().chain(others.values()).collect();
    for test in tests {
        let (tier, name) = test.split_once("::").with_context(|| format!("{test} has no tier"))?;
        let mut source = String::new();
        for file in fs_err::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(tier))? {
            let file = file?.path();
            if file.extension().is_some_and(|ending| ending == "rs") {
                source += &fs_err::read_to_string(file)?;
            }
        }
        let function = source.contains(&format!("#[test]\nfn {name}("));
        let trial = source.contains(&format!("trial(\"{name}\","));
        ensure!(function || trial, "there is no test {test}");
    }
    Ok(())
}

/// The elements that the command line names, and all that these need.
fn graph(env: &TestEnv, named: &[&str]) -> Result<String> {
    let graph = env.run(&[&["elements", "graph"][..], named].concat())?;
    ensure!(graph.status == 0, "{graph:?}");
    Ok(graph.stdout)
}

#[test]
fn our_elements_are_built_by_the_tests_that_are_named() -> Result<()> {
    let env = with_os()?;
    env.element("small/element-provides", "operating-system\n")?;
    for probe in ["", "-mirror", "-kernel", "-board", "-rpm", "-zypper"] {
        env.element(&format!("probe{probe}/README.rst"), "Stands for a test's own.\n")?;
        env.element(&format!("probe{probe}/install.d/10-probe"), "#!/bin/bash\n")?;
    }
    let built: BTreeMap<_, _> = BUILT.into_iter().collect();
    let mut images = String::new();
    for named in IMAGES {
        images += &graph(&env, named)?;
    }
    for (element, test) in section("shipped")? {
        let node = format!("  \"{element}\" [");
        match built.get(test.as_str()) {
            Some(named) => ensure!(graph(&env, named)?.contains(&node), "{test}: no {element}"),
            None => {
                ensure!(test.starts_with("build::"), "{test} is not known");
                ensure!(images.contains(&node), "no image has {element}");
            }
        }
    }
    Ok(())
}

#[test]
fn verdicts_are_printed_as_text_json_and_markdown() -> Result<()> {
    let env = with_os()?;
    env.element("base/install.d/10-x", "#!/bin/bash\n")?;
    env.element("looped/root.d/10-x", "#!/bin/bash\n\nsudo losetup -f x\n")?;
    env.element("heir/element-deps", "looped\nsysprep\n")?;
    let ran = env.run(&["elements", "audit", "elements"])?;
    ensure!(ran.status == 0, "{ran:?}");
    for part in [
        // Called like one of ours, but it is another one.
        "base                         not exercised  nothing was found",
        "heir                         not rootless\n    looped/root.d/10-x:3: losetup: loop",
        "4 elements: 0 exercised, 2 not exercised, 2 not rootless\n",
    ] {
        ensure!(ran.stdout.contains(part), "{part:?} in {}", ran.stdout);
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../elements");
    let own = own.to_string_lossy();
    let json = env.run(&["elements", "audit", "--json", &own])?;
    let value: serde_json::Value = serde_json::from_str(&json.stdout)?;
    let base = value.as_array().and_then(|list| list.iter().find(|one| one["element"] == "base"));
    let base = base.context("no base")?;
    ensure!(base["class"] == "exercised" && base["test"] == "boot::a_server_boots_by_bios");
    let table = env.run(&["elements", "audit", "--markdown", &own])?;
    let yes: BTreeSet<_> = table
        .stdout
        .lines()
        .filter(|line| line.contains("| yes |"))
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    // Two of ours hold nothing but what diskimage-builder's do, and count with those.
    let (ours, others) = (section("shipped")?, section("others")?);
    let missing: Vec<_> = ours.keys().filter(|name| !yes.contains(name.as_str())).collect();
    ensure!(missing.is_empty(), "no yes: {missing:?}");
    ensure!(yes.iter().all(|name| ours.contains_key(*name) || others.contains_key(*name)));
    let ran = env.run(&["elements", "audit", "elements/base"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("is one element"), "{ran:?}");
    Ok(())
}
