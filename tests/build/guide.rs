//! docs/elements.md: every file of the guide, built and tested as it stands there.

use anyhow::{Context, Result, ensure};
use goldsmith_tests::TestEnv;

use crate::{member, ok};

const GUIDE: &str = include_str!("../../docs/elements.md");

/// Writes each code block that names a file; how many there are.
fn extract(env: &TestEnv) -> Result<usize> {
    let mut blocks = GUIDE.split("\n```");
    blocks.next();
    let mut files = 0;
    // Between an opening fence and a closing one.
    for block in blocks.step_by(2) {
        let (head, text) = block.split_once('\n').context("a block without text")?;
        let (_, path) =
            head.split_once(' ').with_context(|| format!("the block {head:?} names no file"))?;
        env.element(path, &format!("{text}\n"))?;
        files += 1;
    }
    Ok(files)
}

#[test]
fn the_elements_of_the_guide_do_what_it_says() -> Result<()> {
    let env = TestEnv::new()?;
    ensure!(extract(&env)? >= 14, "the guide has lost its examples");
    let elements = env.path("elements").display().to_string();
    let lint = env.run(&["elements", "lint", &elements])?;
    ensure!(lint.status == 0 && lint.stdout.contains(" 0 findings"), "{lint:?}");

    let mut command = env.command("goldsmith")?;
    command.env("DIB_DEBIAN_KERNEL", "none").args([
        "build",
        "-t",
        "tar",
        "-o",
        "office",
        "--progress",
        "plain",
        "debian-minimal",
        "greeter-office",
    ]);
    ok(&goldsmith_tests::ran(&mut command)?)?;
    let tar = env.path("office.tar");
    ensure!(member(&tar, "./etc/greeter.conf")? == "Welcome to the office.\n");
    ensure!(member(&tar, "./var/lib/dpkg/status")?.contains("Package: hello\n"));
    let wanted = "./etc/systemd/system/multi-user.target.wants/greeter.service";
    let list = std::process::Command::new("tar").arg("-tf").arg(&tar).output()?;
    ensure!(String::from_utf8(list.stdout)?.lines().any(|line| line == wanted), "no service");
    ensure!(fs_err::read_to_string(env.path("office.greeting"))? == "Welcome to the office.\n");

    let mut command = env.command("goldsmith")?;
    command.env("DIB_DEBIAN_KERNEL", "none").args(["elements", "test", "^greeter/greets$"]);
    let tested = goldsmith_tests::ran(&mut command)?;
    ok(&tested)
}
