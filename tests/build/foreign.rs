//! Images for another architecture, whose programs this machine does not run.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{TestEnv, ran};

use crate::{member, ok};

/// A small system whose hooks say which machine they see: in the image, in a chroot of a host
/// phase, and with an argument zero of their own.
fn elements() -> Result<TestEnv> {
    let env = TestEnv::new()?;
    env.element("little/element-provides", "operating-system\n")?;
    env.element("little/environment.d/10-little.bash", "export DISTRO_NAME=debian\n")?;
    env.element("little/base.yaml", "debian:\n  suite: trixie\n  variant: apt\n")?;
    env.element(
        "little/extra-data.d/50-chroot",
        "#!/bin/bash\nset -eu\n\
         { uname -m; sudo chroot \"$TMP_MOUNT_PATH\" uname -m; } > \"$TMP_MOUNT_PATH/seen\"\n",
    )?;
    env.element(
        "little/install.d/50-machine",
        "#!/bin/bash\nset -eu\n\
         { uname -m; dpkg --print-architecture; echo \"$ARCH\"; } >> /seen\n\
         bash -c 'exec -a zero bash -c \"echo \\$0\"' >> /seen\n\
         su -s /bin/sh -c 'id -un' nobody >> /seen\n",
    )?;
    Ok(env)
}

/// Builds for `arch` and looks at what became of it: `machine` is what uname says, `number`
/// what the ELF header of a program has.
fn built(arch: &str, dpkg: &str, machine: &str, number: u16) -> Result<()> {
    let env = elements()?;
    let line = ["-a", arch, "-n", "-t", "tar", "-o", "foreign", "little"];
    ok(&env.run_as("disk-image-create", &line)?)?;
    let tar = env.path("foreign.tar");
    let host = std::env::consts::ARCH;
    let seen = member(&tar, "./seen")?;
    let expected = format!("{host}\n{machine}\n{machine}\n{dpkg}\n{arch}\nzero\nnobody\n");
    ensure!(seen == expected, "{seen}");
    let program = Command::new("tar").arg("-xOf").arg(&tar).arg("./usr/bin/dpkg").output()?;
    let header = program.stdout.get(18..20).context("no program")?;
    ensure!(header == number.to_le_bytes(), "{header:?}");
    let status = member(&tar, "./var/lib/dpkg/status")?;
    let half =
        status.lines().find(|l| l.starts_with("Status: ") && *l != "Status: install ok installed");
    ensure!(half.is_none(), "{half:?}");
    let list = Command::new("tar").arg("-tf").arg(&tar).output()?;
    let list = String::from_utf8(list.stdout)?;
    ensure!(list.contains("./usr/bin/dpkg\n") && !list.contains("qemu"), "the emulator is in it");
    let shown = env.run(&["run", "--image", "foreign", "--", "uname", "-m"])?;
    ensure!(shown.stdout == format!("{machine}\n"), "{shown:?}");
    Ok(())
}

// The other names of an architecture are kept for hooks; archives are asked for dpkg's.
#[test]
fn an_image_for_arm64_is_built_by_its_own_programs() -> Result<()> {
    built("aarch64", "arm64", "aarch64", 183)
}

#[test]
fn full_an_image_for_armhf_is_built_by_its_own_programs() -> Result<()> {
    built("armhf", "armhf", "armv7l", 40)
}

#[test]
fn what_runs_foreign_programs_is_planned_and_refused_by_name() -> Result<()> {
    let env = elements()?;
    let plan = env.run(&["plan", "-a", "arm64", "-n", "little"])?;
    ok(&plan)?;
    ensure!(plan.stdout.contains("qemu-aarch64 of Debian trixie"), "{plan:?}");
    let native = env.run(&["plan", "-a", "i386", "-n", "little"])?;
    ok(&native)?;
    ensure!(!native.stdout.contains("qemu"), "{native:?}");
    let unknown = env.run(&["plan", "-a", "z80", "-n", "little"])?;
    ensure!(unknown.status == 3 && unknown.stderr.contains("architecture z80"), "{unknown:?}");
    let mut doctor = env.command("goldsmith")?;
    let doctor = ran(doctor.arg("doctor"))?;
    ensure!(doctor.stdout.contains("ok       foreign architectures"), "{doctor:?}");
    Ok(())
}

/// The emulator is in the lock, too: builds that follow it take that one, and ask nobody.
#[test]
fn full_a_lock_of_a_foreign_image_has_its_emulator() -> Result<()> {
    let env = elements()?;
    let line = ["-a", "arm64", "-n", "-t", "tar"];
    let run =
        |verb: &str, more: &[&str]| env.run(&[&[verb][..], &line, more, &["little"]].concat());
    ok(&run("lock", &["-o", "one"])?)?;
    let path = env.path("goldsmith.lock");
    let locked = fs_err::read_to_string(&path)?;
    let (_, emulator) = locked.split_once("[emulator]").context("no emulator in the lock")?;
    let (_, package) = emulator.split_once("[[emulator.package]]").context("no package")?;
    ensure!(package.trim_start().starts_with("name = \"qemu-user\""), "{package}");
    ok(&run("build", &["--locked", "--offline", "-o", "two"])?)?;
    ok(&run("plan", &["--locked", "--offline", "-o", "two"])?)?;
    ensure!(fs_err::read(env.path("one.tar"))? == fs_err::read(env.path("two.tar"))?, "another");
    let news = env.run(&["outdated", "--json"])?;
    ok(&news)?;
    ensure!(!news.stdout.contains("emulator"), "{news:?}");
    ok(&env.run(&["update", "emulator"])?)?;
    ensure!(fs_err::read_to_string(&path)?.contains("[[emulator.package]]"));
    // A lock without one, as that of an image for this machine is.
    let from = locked.find("[emulator]").context("no emulator")?;
    let to = from + locked[from..].find("[base.").context("no base")?;
    fs_err::write(&path, format!("{}{}", &locked[..from], &locked[to..]))?;
    let none = run("build", &["--locked", "--offline", "-o", "three"])?;
    ensure!(none.status == 5 && none.stderr.contains("emulator: the lock has none"), "{none:?}");
    Ok(())
}
