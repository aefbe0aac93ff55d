//! `goldsmith verify` and `goldsmith materialise`: an image is what its elements make, and its
//! last step runs alone.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{DockerRegistry, HostInvariant, Ran, TestEnv};

use super::ok;

/// An ESP, GRUB's place and a root.
const LAYOUT: &str = "
- local_loop:
    name: image0
- partitioning:
    base: image0
    label: gpt
    partitions:
      - name: ESP
        type: 'EF00'
        size: 40MiB
        mkfs:
          type: vfat
          mount: {mount_point: /boot/efi, fstab: {options: defaults, fsck-passno: 2}}
      - name: BSP
        type: 'EF02'
        size: 8MiB
      - name: root
        type: '8300'
        size: 100%
        mkfs:
          mount: {mount_point: /, fstab: {options: defaults, fsck-passno: 1}}
";

fn environment() -> Result<TestEnv> {
    let env = TestEnv::with_small_os()?;
    env.element(
        "mine/install.d/10-note",
        "#!/bin/sh\nset -eu\necho 'a telltale note' > /etc/note\nmkdir -p /boot/efi/EFI\n",
    )?;
    env.element("mine/install.d/20-other", "#!/bin/sh\ntrue\n")?;
    env.element(
        "mine/cleanup.d/10-esp",
        "#!/bin/bash\nset -eu\necho loader | sudo tee $TARGET_ROOT/boot/efi/EFI/loader\n",
    )?;
    fs_err::write(env.path("layout.yaml"), LAYOUT)?;
    Ok(env)
}

fn goldsmith(env: &TestEnv, words: &[&str]) -> Result<Ran> {
    let mut command = env.command("goldsmith")?;
    let layout = format!("file://{}", env.path("layout.yaml").display());
    // An archive does not say of when it is.
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    command.env("DIB_BLOCK_DEVICE_CONFIG", layout).args(words);
    command.args(["-n", "--image-size", "1", "--progress", "plain", "small", "mine"]);
    goldsmith_tests::ran(&mut command)
}

/// Overwrites the only place of `old` in a file.
fn patch(path: &std::path::Path, old: &[u8], new: &[u8]) -> Result<()> {
    let mut bytes = fs_err::read(path)?;
    let at = bytes.windows(old.len()).position(|window| window == old).context("not there")?;
    bytes[at..at + new.len()].copy_from_slice(new);
    Ok(fs_err::write(path, bytes)?)
}

fn same(env: &TestEnv, one: &str, other: &str) -> Result<()> {
    let cmp = Command::new("cmp").arg(env.path(one)).arg(env.path(other)).output()?;
    ensure!(cmp.status.success(), "{}", String::from_utf8_lossy(&cmp.stdout));
    Ok(())
}

#[test]
fn an_image_is_verified_and_laid_out_again() -> Result<()> {
    let env = environment()?;
    let host = HostInvariant::take(env.cache())?;
    ok(&goldsmith(&env, &["build", "-t", "raw,tar,oci,oci-dir,qcow2", "-o", "v"])?)?;

    for image in ["v.raw", "v.qcow2", "v.tar", "v.oci"] {
        let verified = goldsmith(&env, &["verify", image, "--cached"])?;
        ok(&verified)?;
        ensure!(verified.stdout.contains("verified, sha256:"), "{verified:#?}");
    }

    // The last step alone, from all that an earlier build may have left, gives the same bytes.
    for (tree, output) in [("v.oci", "a"), ("v.tar", "b"), ("v", "c"), ("v.oci-dir", "d")] {
        let line = ["materialise", tree, "-t", "raw", "-o", output];
        let laid_out = goldsmith(&env, &line)?;
        ok(&laid_out)?;
        ensure!(!laid_out.stderr.contains("install"), "a hook ran: {laid_out:#?}");
        same(&env, "v.raw", &format!("{output}.raw"))?;
        fs_err::remove_file(env.path(&format!("{output}.raw")))?;
    }
    // And from a registry, as the pod that builds need not be the one that lays out.
    fs_err::create_dir(env.path("registry"))?;
    let registry = DockerRegistry::start(&env.path("registry"))?;
    let name = format!("{}/team/tree:1", registry.host);
    ok(&env.run(&["push", "v.oci", &name, "--plain-http", &registry.host])?)?;
    let mut command = env.command("goldsmith")?;
    command.env("DIB_BLOCK_DEVICE_CONFIG", format!("file://{}", env.path("layout.yaml").display()));
    command.env("GOLDSMITH_PLAIN_HTTP", &registry.host).env("SOURCE_DATE_EPOCH", "1700000000");
    command.args(["materialise", &name, "-t", "raw", "-o", "f", "-n", "--image-size", "1"]);
    ok(&goldsmith_tests::ran(command.args(["--progress", "plain", "small", "mine"]))?)?;
    same(&env, "v.raw", "f.raw")?;
    fs_err::remove_file(env.path("f.raw"))?;
    drop(registry);
    fs_err::remove_dir_all(env.path("registry"))?;
    let none = goldsmith(&env, &["materialise", "w.oci", "-o", "e"])?;
    ensure!(none.status == 2 && none.stderr.contains("store ls"), "{none:#?}");
    let none = goldsmith(&env, &["materialise", "elements", "-o", "e"])?;
    ensure!(
        none.status == 2
            && none.stderr.contains("elements is no image layout, holds no root file system"),
        "{none:#?}"
    );

    // What somebody changed afterwards is told: partition, path, attribute, hook.
    patch(&env.path("v.raw"), b"a telltale note", b"a telltale lie!")?;
    patch(&env.path("v.raw"), b"loader\n", b"loafer\n")?;
    let differs = goldsmith(&env, &["verify", "v.raw", "--cached"])?;
    ensure!(differs.status == 6, "{differs:#?}");
    for line in [
        "  partition 3 (/) /etc/note: content from byte 11 on; written by install (install.d/10-note of element mine)",
        "  partition 1 (/boot/efi) /boot/efi/EFI/loader: content from byte 3 on; written by cleanup (cleanup.d/10-esp of element mine)",
    ] {
        ensure!(differs.stdout.lines().any(|told| told == line), "{line:?} in {differs:#?}");
    }
    patch(&env.path("v.tar"), b"a telltale note", b"a telltale lie!")?;
    let differs = goldsmith(&env, &["verify", "v.tar", "--cached", "--json"])?;
    ensure!(differs.status == 6, "{differs:#?}");
    let told: serde_json::Value = serde_json::from_str(&differs.stdout)?;
    ensure!(told["differences"].as_array().map(Vec::len) == Some(1), "{told}");
    ensure!(told["differences"][0]["path"] == "/etc/note", "{told}");

    // Nothing is left but what the first build wrote.
    let mut names: Vec<_> = fs_err::read_dir(env.directory.path())?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    ensure!(
        names == ["elements", "layout.yaml", "v.oci", "v.oci-dir", "v.qcow2", "v.raw", "v.tar"],
        "{names:?}"
    );
    host.check(env.cache())
}

/// Without `--cached` every step runs again, under a lock with what the lock has.
#[test]
fn a_verification_builds_everything_again() -> Result<()> {
    let env = environment()?;
    ok(&goldsmith(&env, &["lock", "-t", "raw", "-o", "v"])?)?;
    for more in [&[][..], &["--locked", "--offline"]] {
        let verified = goldsmith(&env, &[&["verify", "v.raw"], more].concat())?;
        ok(&verified)?;
        ensure!(verified.stdout.contains("verified, sha256:"), "{more:?}: {verified:#?}");
        for step in ["base", "install", "cleanup"] {
            let ran = format!("== {step}: cached");
            ensure!(!verified.stderr.contains(&ran), "{more:?}: {step} did not run: {verified:#?}");
        }
    }
    // Another element than the lock has makes another image, and under the lock none.
    env.element("mine/install.d/20-other", "#!/bin/sh\necho other > /etc/other\n")?;
    let differs = goldsmith(&env, &["verify", "v.raw"])?;
    ensure!(differs.status == 6 && differs.stdout.contains("/etc/other: presence"), "{differs:#?}");
    let drifts = goldsmith(&env, &["verify", "v.raw", "--locked"])?;
    ensure!(drifts.status == 5 && drifts.stderr.contains("mine"), "{drifts:#?}");
    Ok(())
}
