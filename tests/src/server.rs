//! The server image of the README, and what is expected of it when it runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{TestEnv, Vm};

/// The elements of the README's server image.
pub const ELEMENTS: [&str; 8] = [
    "debian",
    "vm",
    "block-device-efi",
    "openssh-server",
    "runtime-ssh-host-keys",
    "cloud-init-nocloud",
    "growroot",
    "enable-serial-console",
];

/// Builds the server image of the README from a release of Debian, with further options of `build`.
///
/// # Errors
///
/// When the build fails.
pub fn image(env: &TestEnv, release: &str, options: &[&str]) -> Result<PathBuf> {
    run(env, release, &["build"], options)?;
    Ok(env.path("server.qcow2"))
}

/// The same in two steps: a tree as an OCI archive, and a disk laid out from nothing but that.
///
/// # Errors
///
/// When a step fails.
pub fn image_of_tree(env: &TestEnv, release: &str, elements: &[&str]) -> Result<PathBuf> {
    let options = [&["-t", "oci", "--layer-compression", "zstd"][..], elements].concat();
    run(env, release, &["build"], &options)?;
    run(env, release, &["materialise", "server.oci"], elements)?;
    Ok(env.path("server.qcow2"))
}

fn run(env: &TestEnv, release: &str, verb: &[&str], options: &[&str]) -> Result<()> {
    let mut line = [verb, &["-o", "server", "--progress", "plain"]].concat();
    line.extend(ELEMENTS);
    line.extend(options);
    let output = env.command("goldsmith")?.env("DIB_RELEASE", release).args(&line).output()?;
    crate::succeeded(&output)?;
    Ok(())
}

/// Makes `key` and `key.pub`.
fn key(env: &TestEnv) -> Result<PathBuf> {
    let key = env.path("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .context("ssh-keygen")?;
    ensure!(made.success(), "ssh-keygen");
    Ok(key)
}

/// A copy of `image` on a larger disk: the guest has to grow into it.
fn grown(env: &TestEnv, image: &Path) -> Result<PathBuf> {
    let grown = env.path("grown.qcow2");
    fs_err::copy(image, &grown)?;
    let resized = Command::new("qemu-img").args(["resize", "-q"]).arg(&grown).arg("6G").status()?;
    ensure!(resized.success(), "qemu-img resize");
    Ok(grown)
}

/// A NoCloud seed with a user whose key the test has made.
fn seed(env: &TestEnv) -> Result<(PathBuf, PathBuf)> {
    let key = key(env)?;
    let public = fs_err::read_to_string(env.path("key.pub"))?;
    let user = format!(
        "#cloud-config\nusers:\n  - name: tester\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    shell: /bin/bash\n    ssh_authorized_keys:\n      - {public}"
    );
    fs_err::write(env.path("user-data"), user)?;
    fs_err::write(env.path("meta-data"), "instance-id: test-1\nlocal-hostname: golden\n")?;
    let disk = env.path("seed.img");
    fs_err::File::create(&disk)?.set_len(1 << 20)?;
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let made =
        Command::new("mkfs.vfat").env("PATH", &path).args(["-n", "CIDATA"]).arg(&disk).output()?;
    ensure!(made.status.success(), "mkfs.vfat");
    for name in ["user-data", "meta-data"] {
        let copied = Command::new("mcopy")
            .arg("-i")
            .arg(&disk)
            .arg(env.path(name))
            .arg(format!("::{name}"))
            .status()?;
        ensure!(copied.success(), "mcopy");
    }
    Ok((disk, key))
}

/// What the guest checks of itself; its last line is the token that counts.
const CHECKS: &str = r#"
set -eu
for n in $(seq 60); do
    state=$(systemctl is-system-running || true)
    case $state in running | degraded) break ;; esac
    sleep 2
done
failed=$(systemctl --failed --plain --no-legend | awk '{ print $1 }')
[ -z "$failed" ] || { echo "failed units: $failed"; systemctl status --no-pager $failed || true; exit 1; }
grep -q 'nofb nomodeset' /proc/cmdline || { echo "command line: $(cat /proc/cmdline)"; exit 1; }
grep -q 'console=ttyS0,115200' /proc/cmdline || { echo "command line: $(cat /proc/cmdline)"; exit 1; }
size=$(df --output=size -k / | tail -n 1)
[ "$size" -gt 4500000 ] || { echo "root has not grown: $size KiB"; exit 1; }
ls /etc/ssh/ssh_host_ed25519_key > /dev/null
[ -s /etc/machine-id ]
findmnt -no LABEL / | grep -qx cloudimg-rootfs
echo GOLDEN-$(cat /etc/ssh/ssh_host_ed25519_key.pub | awk '{ print $2 }' | tail -c 20)
"#;

/// Boots a copy of `image` on a larger disk and has the guest look at itself, and at what the
/// shell commands `more` say.
///
/// # Errors
///
/// When it does not come up, nobody can log in or a check of the guest's fails.
pub fn boots(env: &TestEnv, image: &Path, uefi: bool, more: &str) -> Result<()> {
    let grown = grown(env, image)?;
    let (seed, key) = seed(env)?;
    let mut vm = Vm::boot(&grown, "qcow2", Some(&seed), uefi)?;
    vm.expect("login:", Duration::from_secs(420))?;
    let checks = format!("{CHECKS}{more}");
    let told = vm.ssh("tester", &key, &checks, Duration::from_secs(240))?;
    ensure!(told.lines().any(|line| line.starts_with("GOLDEN-")), "{told}");
    let firmware = vm.ssh(
        "tester",
        &key,
        "test -d /sys/firmware/efi && echo uefi || echo bios",
        Duration::from_secs(60),
    )?;
    ensure!(firmware.trim() == if uefi { "uefi" } else { "bios" }, "{firmware}");
    Ok(())
}

/// What cloud-init is told by a file.
const USER_DATA: &str =
    "#cloud-config\nwrite_files:\n  - path: /etc/told\n    content: by user data\n";

/// The same with `goldsmith boot`, which lends the guest a disk that it may write to, settings and a
/// port for its ssh; what the guest wrote is in the image when it has powered off.
///
/// # Errors
///
/// As [`boots`].
pub fn boots_for_its_user(env: &TestEnv, image: &Path, more: &str) -> Result<()> {
    let (grown, key, port) = (grown(env, image)?, key(env)?, crate::vm::free_port()?);
    fs_err::write(env.path("user-data"), USER_DATA)?;
    let mut command = env.command("goldsmith")?;
    command.args(["boot", "grown.qcow2", "--firmware", "bios", "--write", "--ssh-port"]);
    command.arg(port.to_string()).args(["--user-data", "user-data", "--ssh-key", "key.pub"]);
    let mut vm = Vm::of(command, port)?;
    vm.expect("login:", Duration::from_secs(420))?;
    let checks = format!("{CHECKS}{more}\ngrep -x 'by user data' /etc/told\n");
    let told = vm.ssh("debian", &key, &checks, Duration::from_secs(240))?;
    ensure!(told.lines().any(|line| line.starts_with("GOLDEN-")), "{told}");
    let write = "echo by the guest | sudo tee /etc/written && sudo systemctl --no-block poweroff";
    vm.ssh("debian", &key, write, Duration::from_secs(60))?;
    vm.ends(Duration::from_secs(120))?;
    let tar = env.run(&["image-to-tar", "grown.qcow2", "grown.tgz"])?;
    ensure!(tar.status == 0, "{tar:?}");
    let written = Command::new("tar")
        .args(["--wildcards", "-xOzf", "grown.tgz", "*etc/written"])
        .current_dir(grown.parent().context("no directory")?)
        .output()?;
    ensure!(written.stdout == b"by the guest\n", "{written:?}");
    Ok(())
}
