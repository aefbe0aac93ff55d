//! diskimage-builder itself, as root in a mount namespace of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{Namespace, UserEnv};

/// Stands in for kpartx(8) where the kernel has no device-mapper.
const KPARTX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/kpartx");

/// Gives a mount namespace a /dev of its own, so that nodes of partitions and of device-mapper
/// go with it.
const DEVICES: &str = r#"
mount -t tmpfs -o mode=755,nosuid none /mnt
cd /mnt
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/console .
cp -a /dev/ptmx /dev/loop-control /dev/fd /dev/stdin /dev/stdout /dev/stderr .
for number in $(seq 0 31); do mknod "loop$number" b 7 "$number"; done
mkdir mapper pts shm
mount --rbind /dev/pts pts
mount -t tmpfs none shm
cd /
mount --move /mnt /dev
"#;

/// The variables of diskimage-builder that both builds are given, beside the mirror.
pub(crate) const VARIABLES: [(&str, &str); 2] =
    [("DIB_RELEASE", "bookworm"), ("DIB_PYTHON_VERSION", "3")];

/// Runs `disk-image-create` with `line` in the directory of `user`.
///
/// # Errors
///
/// When it fails; no loop device is left then, either.
pub(crate) fn build(
    user: &UserEnv,
    elements: &Path,
    mirrors: &[(&str, String)],
    line: &[&str],
) -> Result<()> {
    let tools = std::env::var("GOLDSMITH_DIB").context("GOLDSMITH_DIB")?;
    let place = user.env.directory.path();
    let temporary = user.env.path("tmp");
    fs_err::create_dir_all(&temporary)?;
    let namespace = Namespace::mounts()?;
    namespace.root(DEVICES)?;
    namespace.root(&format!(
        "mount --bind {KPARTX} \"$(command -v kpartx)\"; mount --bind /bin/true \"$(command -v dmsetup)\""
    ))?;
    let mut command = Command::new("disk-image-create");
    command
        .current_dir(place)
        .env("HOME", place)
        .env(
            "PATH",
            format!("{tools}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        )
        .env("TMPDIR", &temporary)
        .env("ELEMENTS_PATH", elements)
        .envs(mirrors.iter().cloned())
        .envs(VARIABLES)
        .args(line);
    let ran = namespace.run_as("root", &command);
    drop(namespace);
    free_loops(&temporary)?;
    let ran = ran?;
    ensure!(ran.status == 0, "{ran:#?}");
    Ok(())
}

/// Detaches loop devices on files of a directory: mounts went with the namespace, these do not.
fn free_loops(below: &Path) -> Result<()> {
    let list = Command::new("losetup").args(["-nO", "NAME,BACK-FILE"]).output()?;
    for line in String::from_utf8(list.stdout)?.lines() {
        let (device, file) = line.split_once(' ').unwrap_or_default();
        if file.trim().starts_with(&*below.to_string_lossy()) {
            Command::new("losetup").args(["-d", device]).status()?;
        }
    }
    Ok(())
}
