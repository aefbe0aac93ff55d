//! `goldsmith materialise DIRECTORY` by an ordinary user.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, Ran, TestEnv, ran, succeeded};

use crate::ok;

#[test]
fn a_root_directory_is_laid_out_as_its_archive_is() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let root = env.path("root");
    fs_err::create_dir_all(root.join("etc"))?;
    fs_err::create_dir_all(root.join("usr/bin"))?;
    fs_err::write(root.join("etc/os-release"), "ID=x\n")?;
    fs_err::write(root.join("usr/bin/one"), vec![7; 100_000])?;
    fs_err::hard_link(root.join("usr/bin/one"), root.join("usr/bin/two"))?;
    std::os::unix::fs::symlink("usr/bin", root.join("bin"))?;
    let words = ["--format=pax", "--numeric-owner", "-cf", "root.tar", "-C", "root", "."];
    succeeded(&Command::new("tar").args(words).current_dir(env.directory.path()).output()?)?;
    let host = HostInvariant::take(env.cache())?;
    let materialise = |tree: &str, output: &str| -> Result<Ran> {
        let mut command = env.command("goldsmith")?;
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        ran(command.args(["materialise", tree, "-n", "-t", "raw", "-o", output, "small"]))
    };
    ok(&materialise("root", "directory")?)?;
    ok(&materialise("root.tar", "archive")?)?;
    let (directory, archive) =
        (fs_err::read(env.path("directory.raw"))?, fs_err::read(env.path("archive.raw"))?);
    ensure!(directory == archive, "the archive gives other bytes");

    // What was written in it since is in the next disk.
    fs_err::write(root.join("etc/telltale"), "a telltale note")?;
    ok(&materialise("root", "directory")?)?;
    let later = fs_err::read(env.path("directory.raw"))?;
    ensure!(later.windows(15).any(|window| window == b"a telltale note"));

    // What the caller may not read is told by name, and what to do about it.
    fs_err::set_permissions(root.join("etc/telltale"), std::fs::Permissions::from_mode(0o000))?;
    let closed = materialise("root", "closed")?;
    ensure!(closed.status == 4, "{closed:#?}");
    for told in ["root/etc/telltale", "Permission denied", "run goldsmith as root"] {
        ensure!(closed.stderr.contains(told), "no {told}: {closed:#?}");
    }
    ensure!(!env.path("closed.raw").exists());
    host.check(env.cache())
}
