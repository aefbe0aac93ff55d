//! `goldsmith materialise DIRECTORY` by an ordinary user.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, Ran, TestEnv, ran, succeeded};

use crate::ok;

const LAYOUT: &str = "- local_loop: {name: image0, size: 512MiB}
- partitioning:
    base: image0
    label: gpt
    align: 1MiB
    partitions:
      - {name: BSP, type: 'EF02', size: 8MiB}
      - {name: root, size: 100%, mkfs: {name: mkfs_root, mount: {mount_point: /, fstab: }}}
";

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
    let on_layout = |tree: &str, output: &str| -> Result<Ran> {
        let mut command = env.command("goldsmith")?;
        let layout = format!("file://{}", env.path("layout.yaml").display());
        command.env("DIB_BLOCK_DEVICE_CONFIG", layout);
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

    // A kernel that nothing would start is told before a disk is written.
    fs_err::create_dir_all(root.join("boot/grub/i386-pc"))?;
    fs_err::write(root.join("boot/vmlinuz-6"), "kernel")?;
    fs_err::write(env.path("layout.yaml"), LAYOUT)?;
    let unbootable = on_layout("root", "unbootable")?;
    ensure!(unbootable.status == 3, "{unbootable:#?}");
    for told in [
        "layout.yaml:7: partition BSP: it is for a boot loader, and the tree, which has a kernel, has none for BIOS",
        "there is no /boot/grub/i386-pc/core.img",
    ] {
        ensure!(unbootable.stderr.contains(told), "no {told}: {unbootable:#?}");
    }
    ensure!(!env.path("unbootable.raw").exists());
    for (name, sectors) in [("boot.img", 1), ("core.img", 2)] {
        fs_err::write(root.join("boot/grub/i386-pc").join(name), vec![1; sectors * 512])?;
    }
    ok(&on_layout("root", "bootable")?)?;

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
