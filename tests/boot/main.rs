//! Images that boot: by BIOS and by UEFI, with what the guest itself says of its state.
//!
//! What begins with `full_` runs with `tests/run --full` only: CI boots few guests.

mod deploy;
mod growvols;
mod loaders;
mod lvm;
mod matrix;
mod ramdisk;
mod roots;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv, Vm, server};

/// What first-boot.d has left: its mark, and nothing of itself.
const FIRST_BOOT: &str = r#"
grep -qx first /var/lib/first-boot || { echo "first-boot.d did not run"; exit 1; }
[ ! -e /usr/local/lib/dib-first-boot ] && [ ! -e /etc/systemd/system/dib-first-boot.service ] ||
    { echo "first-boot.d is still there"; exit 1; }
"#;

fn environment() -> Result<TestEnv> {
    let env = TestEnv::new()?;
    env.element("first/first-boot.d/50-mark", "#!/bin/sh\necho first >> /var/lib/first-boot\n")?;
    Ok(env)
}

fn boots(release: &str, uefi: bool) -> Result<()> {
    let env = environment()?;
    let image = server::image(&env, release, &["first"])?;
    server::boots(&env, &image, uefi, FIRST_BOOT)
}

// contract 9.18: the boot loader of finalise.d, by both firmwares; here on a disk that was laid
// out from a finished tree, by `goldsmith boot` with all that it lends a guest.
#[test]
fn a_server_boots_by_bios() -> Result<()> {
    let env = environment()?;
    let image = server::image_of_tree(&env, "bookworm", &["first"])?;
    server::boots_for_its_user(&env, &image, FIRST_BOOT)
}

/// What docs/guests.md shows, and what only this image has; nobody listens at the last port.
fn spec() -> Result<String> {
    let page = include_str!("../../docs/guests.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = example.context("docs/guests.md has no example")?;
    Ok(format!(
        "{example}\n[[command]]\nname = \"first-boot.d\"\nrun = '''{FIRST_BOOT}'''\n\
         [[file]]\npath = \"/sys/firmware/efi\"\n[[file]]\npath = \"/etc/machine-id\"\n\
         [[command]]\nrun = \"test -s /etc/machine-id\"\n[[port]]\nnumber = 4711\n"
    ))
}

#[test]
fn a_server_boots_by_uefi_and_is_what_its_spec_says() -> Result<()> {
    let env = environment()?;
    let image = server::image(&env, "bookworm", &["first"])?;
    let before = fs_err::metadata(&image)?.modified()?;
    fs_err::write(env.path("asserts.toml"), spec()?)?;
    let words = ["test", "server.qcow2", "--spec", "asserts.toml", "--junit", "results.xml"];
    let more = ["--firmware", "uefi", "--disk-size", "6"];
    let host = HostInvariant::take(env.cache())?;
    let ran = env.run(&[&words[..], &more].concat())?;
    let failed: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
    ensure!(ran.status == 1 && failed == ["FAIL port tcp 4711"], "{ran:#?}");
    let checks = ran.stdout.lines().filter(|line| line.starts_with("ok ")).count();
    ensure!(checks >= 14, "{ran:#?}");
    let results = fs_err::read_to_string(env.path("results.xml"))?;
    let suite = format!("tests=\"{}\" failures=\"1\" errors=\"0\"", checks + 1);
    ensure!(results.contains(&suite) && results.contains("nobody listens"), "{results}");
    ensure!(fs_err::metadata(&image)?.modified()? == before, "the image was changed");
    host.check(env.cache())
}

// GRUB 2.12, where bookworm has 2.06.
#[test]
fn full_trixie_boots_by_bios() -> Result<()> {
    boots("trixie", false)
}

#[test]
fn full_trixie_boots_by_uefi() -> Result<()> {
    boots("trixie", true)
}

#[test]
fn full_i386_boots_to_its_login_prompt() -> Result<()> {
    let env = TestEnv::new()?;
    let output = env
        .command("goldsmith")?
        .args(["build", "-a", "i386", "-o", "small", "--progress", "plain"])
        .args(["debian", "vm", "enable-serial-console"])
        // Mirrors may serve the security suite's list for this architecture wrongly.
        .env("DIB_DEBIAN_SUITES", "updates")
        .output()?;
    goldsmith_tests::succeeded(&output)?;
    let mut vm = Vm::boot(&env.path("small.qcow2"), "qcow2", None, false)?;
    vm.expect("login:", Duration::from_secs(420))
}
