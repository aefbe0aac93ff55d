//! `goldsmith materialise DIRECTORY` as root: whatever a file can be, by both backends.

use std::os::unix::net::UnixListener;
use std::process::Command;

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, Namespace, TestEnv, ran, succeeded};

use crate::same_disk::{RICH, equal};

pub(crate) const CASES: &[crate::Case] =
    &[("directory::a_root_directory_is_laid_out_as_its_archive_is", same)];

/// What only root can make, beside what the rich tree has.
const MORE: &str = "
import os, stat, struct
os.chdir(os.environ['ROOT'])
os.mknod('dev/sda', 0o660 | stat.S_IFBLK, os.makedev(8, 0))
os.chown('dev/sda', 0, 6)
os.chown('opt/rich/plain', 33, 60000)
os.setxattr('etc', 'trusted.mine', b'x')
for name in ['etc/os-release', 'dev/sda', 'opt/rich', 'opt/rich/link']:
    label = b'system_u:object_r:' + os.path.basename(name).encode() + b'_t:s0\\0'
    os.setxattr(name, 'security.selinux', label, follow_symlinks=False)
os.symlink('nowhere', b'link-\\xff')
";

fn same() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let root = env.path("root");
    for directory in ["etc", "dev", "run", "mnt", "opt", "boot"] {
        fs_err::create_dir_all(root.join(directory))?;
    }
    fs_err::write(root.join("etc/os-release"), "ID=x\n")?;
    let script = RICH
        .replace("/boot/efi", &root.join("boot/efi").display().to_string())
        .replace("/opt/rich", &root.join("opt/rich").display().to_string());
    for text in [script.as_str(), MORE] {
        succeeded(&Command::new("python3").env("ROOT", &root).args(["-c", text]).output()?)?;
    }
    let archive = Command::new("tar")
        .args(["--format=pax", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"])
        .args(["--sparse", "-cf"])
        .args([env.path("root.tar"), "-C".into(), root.clone(), ".".into()])
        .output()?;
    succeeded(&archive)?;
    // None of these is part of it.
    let _socket = UnixListener::bind(root.join("run/socket"))?;
    let mounted = Namespace::mounts()?;
    mounted.root(&format!(
        "mount -t tmpfs -o mode=755 tmpfs {0}/mnt && touch {0}/mnt/foreign",
        root.display()
    ))?;
    let host = HostInvariant::take(env.cache())?;
    let materialise = |tree: &str, output: &str, backend: &str| -> Result<Command> {
        let mut command = env.command("goldsmith")?;
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        command.args(["materialise", tree, "-n", "-t", "raw", "-o", output, "--backend", backend]);
        command.args(["--progress", "plain", "small"]);
        Ok(command)
    };
    let by_image = mounted.run(&materialise("root", "directory", "image")?)?;
    ensure!(by_image.status == 0, "{by_image:#?}");
    for told in ["/run/socket: sockets, left out", "/mnt: mounted here, its content left out"] {
        ensure!(by_image.stderr.contains(told), "no {told}: {by_image:#?}");
    }
    let archived = ran(&mut materialise("root.tar", "archive", "image")?)?;
    ensure!(archived.status == 0, "{archived:#?}");
    let by_loop = ran(&mut materialise("root", "loop", "loop")?)?;
    ensure!(by_loop.status == 0, "{by_loop:#?}");
    host.check(env.cache())?;
    let [directory, archive] =
        ["directory.raw", "archive.raw"].map(|name| fs_err::read(env.path(name)));
    ensure!(directory? == archive?, "the archive gives other bytes");
    equal(&env, "directory", "loop")
}
