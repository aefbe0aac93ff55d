//! The command line without a sandbox: usage, plans, errors and their statuses; and the
//! shell that ships, tested by scripts.

mod audit;
mod block_device;
mod disk;
mod elements;
mod formats;
mod kernel;
mod lint;
mod ramdisk;
mod selftest;
mod shell;

use anyhow::{Result, ensure};
use goldsmith_tests::TestEnv;

/// An operating system of the test's own: nothing has to be fetched to plan with it.
fn with_os() -> Result<TestEnv> {
    let env = TestEnv::with_own_cache()?;
    env.element("fake-os/element-provides", "operating-system\n")?;
    env.element("fake-os/root.d/10-root", "#!/bin/bash\nmkdir \"$TARGET_ROOT/etc\"\n")?;
    Ok(env)
}

#[test]
fn every_verb_has_help() -> Result<()> {
    let env = with_os()?;
    let verbs = [
        "",
        "build",
        "ramdisk",
        "plan",
        "lock",
        "outdated",
        "update",
        "verify",
        "materialise",
        "run",
        "pull",
        "push",
        "boot",
        "test",
        "kernel",
        "disk",
        "disk plan",
        "disk graph",
        "disk create",
        "doctor",
        "store",
        "store ls",
        "store rm",
        "store du",
        "store gc",
        "store prune",
        "store fsck",
        "elements",
        "elements list",
        "elements show",
        "elements graph",
        "elements lint",
        "elements audit",
        "elements test",
        "install-links",
    ];
    for verb in verbs {
        let mut words: Vec<_> = verb.split_whitespace().collect();
        words.push("--help");
        let ran = env.run(&words)?;
        ensure!(ran.status == 0 && ran.stdout.contains("Usage: goldsmith"), "{verb}: {ran:?}");
    }
    Ok(())
}

#[test]
fn wrong_usage_is_status_2() -> Result<()> {
    let env = with_os()?;
    for words in [
        &["nope"][..],
        &["build"],
        &["ramdisk"],
        &["build", "-t", "floppy", "fake-os"],
        &["run", "--", "true"],
        &["store", "prune"],
        &["store", "prune", "--max-size", "many"],
        &["store", "prune", "--max-size", "50%"],
    ] {
        let ran = env.run(words)?;
        ensure!(ran.status == 2 && !ran.stderr.is_empty(), "{words:?}: {ran:?}");
    }
    Ok(())
}

#[test]
fn element_errors_are_status_3_and_name_the_cure() -> Result<()> {
    let env = with_os()?;
    env.element("other-os/element-provides", "operating-system\n")?;
    env.element("clash/install.d/10-x", "#!/bin/sh\n")?;
    env.element("clash2/install.d/10-x", "#!/bin/sh\n")?;
    env.element("bad-base/base.yaml", "debian:\n  suite: x\n  sweet: y\n")?;
    env.element("bad-base/element-provides", "operating-system\n")?;
    for (words, texts) in [
        (&["nowhere", "fake-os"][..], &["element nowhere is not found", "looked for in"][..]),
        (&["vm"], &["no element provides an operating system", "fake-os"]),
        (&["fake-os", "other-os"], &["both provide operating-system"]),
        (&["fake-os", "clash", "clash2"], &["both have a file install.d/10-x", "rename"]),
        (&["bad-base"], &["base.yaml", "sweet"]),
    ] {
        let mut line = vec!["plan", "-n"];
        line.extend(words);
        let ran = env.run(&line)?;
        ensure!(ran.status == 3, "{words:?}: {ran:?}");
        for text in texts {
            ensure!(ran.stderr.contains(text), "{text:?} in {ran:?}");
        }
    }
    Ok(())
}

#[test]
fn a_plan_lists_hooks_in_their_order_and_the_disk() -> Result<()> {
    let env = with_os()?;
    for name in ["10-b", "2-a", "100-c", "50-x.sh"] {
        env.element(&format!("mine/install.d/{name}"), "#!/bin/sh\n")?;
    }
    let elements = ["fake-os", "mine", "vm", "block-device-gpt"];
    let line = [&["plan", "-n", "--offline", "--json"][..], &elements].concat();
    let ran = env.run(&line)?;
    ensure!(ran.status == 0, "{ran:?}");
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    let phases = plan["phases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let install = phases.iter().find(|phase| phase["phase"] == "install");
    let hooks = install.and_then(|phase| phase["hooks"].as_array()).map(Vec::as_slice);
    let mine: Vec<_> = hooks
        .unwrap_or_default()
        .iter()
        .filter(|hook| hook["element"] == "mine")
        .map(|hook| hook["name"].as_str().unwrap_or_default())
        .collect();
    ensure!(mine == ["2-a", "10-b", "100-c"], "{mine:?}");
    ensure!(plan["fstab"] == "LABEL=cloudimg-rootfs / ext4 defaults 0 1\n", "{}", plan["fstab"]);
    // Nothing was ever fetched here, so no key is known: the plan says so and why.
    let why = plan["steps_unknown"].as_str().unwrap_or_default();
    ensure!(plan["steps"].is_null() && why.contains("never fetched"), "{plan}");
    let ran = env.run(&[&["plan", "-n", "--offline"][..], &elements].concat())?;
    ensure!(ran.stdout.contains("steps are not known: the archive of tools"), "{ran:?}");
    ensure!(ran.stdout.contains("build once without --offline"), "{ran:?}");
    Ok(())
}

#[test]
fn the_personality_takes_diskimage_builders_options() -> Result<()> {
    let env = with_os()?;
    let help = env.run_as("disk-image-create", &["--help"])?;
    ensure!(help.status == 0 && help.stdout.contains("--mkfs-journal-size"), "{help:?}");
    let version = env.run_as("disk-image-create", &["--version"])?;
    ensure!(version.stdout.trim() == env!("CARGO_PKG_VERSION"), "{version:?}");
    for (words, named) in [
        (["--mkfs-options", "-O ^filetype"], "-O ^filetype cannot be written"),
        (["--qemu-img-options", "compat=0.10"], "compat=0.10 cannot be written"),
    ] {
        let ran = env.run_as("disk-image-create", &[&words[..], &["-n", "fake-os"]].concat())?;
        ensure!(ran.status == 1 && ran.stderr.contains(named), "{words:?}: {ran:?}");
    }
    for words in [&[][..], &["--nope", "x"], &["-t", "floppy", "fake-os"], &["-n", "nowhere"]] {
        let ran = env.run_as("disk-image-create", words)?;
        ensure!(ran.status == 1 && !ran.stderr.is_empty(), "{words:?}: {ran:?}");
    }
    Ok(())
}

#[test]
fn element_info_expands() -> Result<()> {
    let env = with_os()?;
    env.element("mine/element-deps", "deeper\n")?;
    env.element("deeper/element-deps", "mine\n")?;
    let ran = env.run_as("element-info", &["fake-os", "mine"])?;
    ensure!(ran.stdout == "fake-os mine deeper\n", "{ran:?}");
    let script = env.run_as("element-info", &["--env", "fake-os"])?;
    let shell = std::process::Command::new("bash")
        .arg("-c")
        .arg(format!("{}\necho $IMAGE_ELEMENT; get_image_element_array", script.stdout))
        .output()?;
    let text = String::from_utf8(shell.stdout)?;
    ensure!(text.starts_with("fake-os\n[fake-os]=/"), "{text}");
    Ok(())
}
