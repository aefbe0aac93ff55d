//! The same elements give the same bytes, whoever builds: root and the ordinary user, with caches
//! that know nothing of each other, from other directories on other file systems, with another
//! umask, locale, time zone and number of processors.
//!
//! One thing cannot be faked here: the builder's clock. It reads the kernel's, which has no
//! namespace, and a static program takes no other from a library. What it reads it uses for ages
//! of cache entries alone. Hooks read it, too: the full test shows them a day 398 days later by
//! a library that programs inside of the image are linked with at run time.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{Ran, TestEnv, UserEnv, ran};

use crate::same_disk::{differences, medium};

pub(crate) const CASES: &[crate::Case] = &[
    ("reproducible::root_and_a_user_write_the_same_bytes", small),
    ("reproducible::full_debian_minimal_is_the_same_for_everybody", debian),
    ("reproducible::full_a_ramdisk_is_the_same_for_everybody", ramdisk),
];

/// What a hook can see that may differ; none of it may stay in an image.
const HOOK: &str = r#"#!/bin/bash
set -eu
umask > /root/hook.log
date > /var/log/hook.log
mkdir -p /opt/many /root/.cache
for n in $(seq 200 | sort -R); do echo "$n" > "/opt/many/$n"; done
python3 -c 'import argparse, compileall; compileall.compile_dir("/usr/lib/python3/dist-packages", quiet=2)'
date > /root/.cache/when
cat /proc/sys/kernel/random/uuid > /etc/machine-id
touch -d '2001-01-01' /opt/old
"#;

/// One of every file system that is written.
const LAYOUT: &str = "
- local_loop: {name: image0}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - name: esp
        type: 'EF00'
        size: 40MiB
        mkfs: {type: vfat, label: ESP, mount: {mount_point: /boot/efi}}
      - {name: pv, type: '8E00', size: 400MiB}
      - {name: many, size: 128MiB, mkfs: {type: btrfs, label: many, mount: {mount_point: /opt/many}}}
      - {name: doc, size: 64MiB, mkfs: {type: erofs, label: doc, mount: {mount_point: /usr/share/doc}}}
      - {name: words, size: 64MiB, mkfs: {type: squashfs, mount: {mount_point: /usr/share/locale}}}
      - {name: swap, size: 16MiB, mkfs: {type: swap, label: swap, mount: {mount_point: swap}}}
      - {name: root, size: 100%, mkfs: {name: mkfs_root, type: ext4, mount: {mount_point: /}}}
- lvm:
    name: lvm
    pvs: [{name: pv0, base: pv}]
    vgs: [{name: vg, base: [pv0]}]
    lvs: [{name: var, base: vg, extents: 100%FREE}]
- mkfs: {name: mkfs_var, base: var, type: xfs, label: var, mount: {mount_point: /var/lib}}
";

fn elements(env: &TestEnv) -> Result<()> {
    env.element("mine/install.d/10-look", HOOK)?;
    env.element("mine/cleanup.d/10-seen", "#!/bin/bash\nset -eu\necho beside > beside.txt\n")
}

/// Runs a command of the user's with settings that are not root's.
fn otherwise(user: &UserEnv, command: &Command) -> Result<Ran> {
    let mut other = Command::new("sh");
    other.args(["-c", "umask 077; exec taskset -c 0 \"$@\"", "sh"]).arg(command.get_program());
    other.args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            other.env(name, value);
        }
    }
    if let Some(directory) = command.get_current_dir() {
        other.current_dir(directory);
    }
    other.env("LC_ALL", "tr_TR.UTF-8").env("TZ", "Pacific/Kiritimati").env("LANG", "tr_TR.UTF-8");
    user.run_command(&other)
}

/// Builds by both and compares the outputs, which `names` lists.
fn same(
    root: &TestEnv,
    user: &UserEnv,
    words: &[&str],
    variables: &[(&str, &str)],
    names: &[&str],
) -> Result<()> {
    let build = |env: &TestEnv, run: &dyn Fn(&mut Command) -> Result<Ran>| {
        let mut command = env.command("goldsmith")?;
        command.args(words).args(["--progress", "plain"]).envs(variables.iter().copied());
        let done = run(&mut command)?;
        ensure!(done.status == 0, "{done:#?}");
        anyhow::Ok(())
    };
    build(root, &|command| ran(command))?;
    build(&user.env, &|command| otherwise(user, command))?;
    let mut unequal = Vec::new();
    for name in names {
        let (one, other) = (root.path(name), user.env.path(name));
        let cmp = Command::new("cmp").args([&one, &other]).output().context("cmp")?;
        if !cmp.status.success() {
            unequal.push(String::from_utf8_lossy(&cmp.stdout).into_owned());
            if Path::new(name).extension() == Some(OsStr::new("raw")) {
                unequal.extend(differences(&medium(&one)?, &medium(&other)?)?);
            }
        }
    }
    ensure!(unequal.is_empty(), "{unequal:?}");
    Ok(())
}

fn small() -> Result<()> {
    // The one on a tmpfs, the other on a disk.
    let shm = Path::new("/dev/shm");
    let place = tempfile::Builder::new().prefix("goldsmith-").tempdir_in(shm)?;
    let mut root = TestEnv::new()?;
    root.directory = place;
    let user = UserEnv::new()?.with_small_os()?;
    small_os(&root)?;
    for env in [&root, &user.env] {
        elements(env)?;
    }
    let words = ["build", "-n", "-t", "raw,qcow2,tar,oci", "-o", "x", "small", "mine"];
    let layout = [("DIB_BLOCK_DEVICE_CONFIG", LAYOUT), ("DIB_IMAGE_SIZE", "2")];
    same(&root, &user, &words, &layout, &["x.raw", "x.qcow2", "x.tar", "x.oci", "beside.txt"])
}

/// The element of `TestEnv::with_small_os`, for a directory that was put in place of another.
fn small_os(env: &TestEnv) -> Result<()> {
    env.element("small/element-provides", "operating-system\n")?;
    env.element("small/environment.d/10-small.bash", "export DISTRO_NAME=debian\n")?;
    env.element(
        "small/base.yaml",
        "debian:\n  suite: bookworm\n  variant: apt\n  include: [python3-minimal]\n",
    )
}

/// Programs of the image read a clock that is `days` ahead, from install.d to finalise.d. The
/// value is written down where no key sees that it is another one. Times of files are what they are:
/// update-alternatives gives a link that of what it leads to.
fn clock(env: &TestEnv, days: u32) -> Result<()> {
    let with = "#!/bin/bash\nset -eu\napt-get -y install --no-install-recommends libfaketime\n";
    env.element("clock/pre-install.d/99-clock", with)?;
    env.element(
        "clock/environment.d/99-clock.bash",
        &format!(
            "if [ -e /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 ]; then\n    export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME=+{days}d DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1\nfi\n"
        ),
    )?;
    let out = "#!/bin/bash\nset -eu\ntest $(( $(date +%s) - $(env -u LD_PRELOAD date +%s) )) -ge $((DAYS * 86000))\nenv -u LD_PRELOAD dpkg --purge libfaketime\n";
    env.element("clock/finalise.d/00-clock", &out.replace("DAYS", &days.to_string()))
}

fn debian() -> Result<()> {
    for layout in [&[][..], &["block-device-efi"]] {
        let (root, user) = (TestEnv::new()?, UserEnv::new()?);
        for (env, days) in [(&root, 0), (&user.env, 398)] {
            elements(env)?;
            // The hook leaves compiled modules.
            env.element("mine/package-installs.yaml", "python3:\n")?;
            clock(env, days)?;
        }
        let mut words = vec!["build", "--refresh", "-t", "raw,qcow2,tar,oci", "-o", "x"];
        words.extend(["debian-minimal", "vm", "mine", "clock"]);
        words.extend(layout);
        // Lists of security updates expire before 398 days are over.
        let variables = [("DIB_DEBIAN_SUITES", ""), ("DIB_DEBIAN_KERNEL", "cloud")];
        same(&root, &user, &words, &variables, &["x.raw", "x.qcow2", "x.tar", "x.oci"])?;
    }
    Ok(())
}

fn ramdisk() -> Result<()> {
    let (root, user) = (TestEnv::new()?, UserEnv::new()?);
    let words = ["ramdisk", "--refresh", "-o", "tiny", "debian-minimal"];
    let variables = [("DIB_DEBIAN_KERNEL", "cloud")];
    same(&root, &user, &words, &variables, &["tiny.kernel", "tiny.initramfs"])
}
