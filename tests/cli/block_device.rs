//! `dib-block-device` outside of a build.

use anyhow::{Result, ensure};

use super::with_os;

#[test]
fn dib_block_device_answers_from_a_configuration() -> Result<()> {
    let env = with_os()?;
    let place = env.directory.path().display().to_string();
    fs_err::write(
        env.path("config.yaml"),
        "- local_loop:\n    name: image0\n- partitioning:\n    base: image0\n    label: gpt\n    partitions:\n      - name: ESP\n        type: EF00\n        size: 64MiB\n        mkfs:\n          type: vfat\n          mount:\n            mount_point: /boot\n            fstab:\n      - name: root\n        size: 100%\n        mkfs:\n          name: mkfs_root\n          mount:\n            mount_point: /\n            fstab:\n",
    )?;
    fs_err::write(
        env.path("params.yaml"),
        format!(
            "config: {place}/config.yaml\nbuild-dir: {place}/build\nroot-fs-type: ext4\nroot-label: top\n"
        ),
    )?;
    let run = |words: &[&str]| {
        let words = [&["--params", "params.yaml"][..], words].concat();
        env.run_as("dib-block-device", &words)
    };
    let early = run(&["getval", "root-label"])?;
    ensure!(early.status == 1 && early.stderr.contains("init"), "{early:?}");
    ensure!(run(&["init"])?.status == 0);
    for (symbol, value) in [
        ("root-label", "top"),
        ("root-fstype", "ext4"),
        ("boot-label", "MKFS_ESP"),
        ("mount-points", "/boot|/"),
    ] {
        let ran = run(&["getval", symbol])?;
        ensure!(ran.status == 0 && ran.stdout.trim_end() == value, "{symbol}: {ran:?}");
    }
    ensure!(run(&["writefstab"])?.status == 0);
    let fstab = fs_err::read_to_string(env.path("build/built/etc/fstab"))?;
    ensure!(fstab.starts_with("LABEL=top / ext4 "), "{fstab}");
    for (words, status, named) in [
        (&["umount"][..], 0, ""),
        (&["create"], 4, "--backend loop"),
        (&["cleanup"], 4, "--backend loop"),
        (&["delete"], 4, "--backend loop"),
        (&["getval", "image-block-device"], 1, "there is no disk yet"),
        (&["getval", "nothing"], 1, "there is no value nothing"),
        (&["getval"], 2, "one symbol"),
        (&["paint"], 2, "unknown command paint"),
    ] {
        let ran = run(words)?;
        ensure!(ran.status == status && ran.stderr.contains(named), "{words:?}: {ran:?}");
    }
    let ran = env.run_as("dib-block-device", &["init"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("DIB_BLOCK_DEVICE_PARAMS_YAML"), "{ran:?}");
    let help = env.run_as("dib-block-device", &["--help"])?;
    ensure!(help.status == 0 && help.stdout.contains("getval SYMBOL"), "{help:?}");
    Ok(())
}
