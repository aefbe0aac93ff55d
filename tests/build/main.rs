//! Whole builds as an ordinary user, on the smallest Debian there is.
//!
//! The tests share one cache of downloads and steps; each names what it adds by an element
//! of its own. The archive is the one that this machine is set up for.

mod attributes;
mod bad_hooks;
mod board;
mod btrfs;
mod choice;
mod cloud_image;
mod codecs;
mod concurrent;
mod container_context;
mod contract;
mod directory;
mod disks;
mod elements;
mod examples;
mod failures;
mod faults;
mod foreign;
mod formats;
mod guide;
mod hooks;
mod hostile_layers;
mod image;
mod kernels;
mod layout;
mod lock;
mod lock_bases;
mod lock_https;
mod lock_managers;
mod lvm;
mod memory;
mod offline;
mod once;
mod one_step;
mod pages;
mod plans;
mod probe;
mod published;
mod python;
mod ramdisks;
mod read_only;
mod registry;
mod registry_access;
mod rpm;
mod scratch;
mod selftest;
mod store;
mod tiny;
mod ubuntu;
mod verify;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{HostInvariant, Ran, TestEnv};

pub(crate) fn ok(ran: &Ran) -> Result<()> {
    ensure!(ran.status == 0, "{ran:#?}");
    Ok(())
}

pub(crate) fn member(tar: &std::path::Path, name: &str) -> Result<String> {
    let output = Command::new("tar").arg("-xOf").arg(tar).arg(name).output()?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

// contract 9.8: bind mounts last until the tree is sealed, and nothing of them is in the image.
#[test]
fn hooks_run_where_and_how_the_contract_says() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let host = HostInvariant::take(env.cache())?;
    let note = |place: &str| {
        format!(
            "#!/bin/bash\nset -eu\nprintf '%s uid=%s home=%s target=%s mnt=%s cwd=%s secret=%s\\n' {place} \"$(id -u)\" \"$HOME\" \"${{TARGET_ROOT-none}}\" \"$TMP_MOUNT_PATH\" \"$PWD\" \"$(printenv | grep -c sesame || true)\""
        )
    };
    env.element("mine/root.d/10-x", &format!("{} > \"$TARGET_ROOT/root.txt\"\n", note("root")))?;
    env.element("mine/extra-data.d/10-x", "#!/bin/bash\nset -eu\ntouch \"$TMP_MOUNT_PATH/tmp/kept\"\nmkdir -p $DIB_IMAGE_CACHE/mine && echo shared > $DIB_IMAGE_CACHE/mine/file\nmkdir -p $TMP_MOUNT_PATH/opt/bound && sudo mount --bind $DIB_IMAGE_CACHE/mine $TMP_MOUNT_PATH/opt/bound\n")?;
    env.element("mine/install.d/10-x", &format!("{} > /install.txt\ntest -e /tmp/kept\ncat /opt/bound/file > /bound.txt\ncat /etc/resolv.conf > /dev/null\n(echo x > /tmp/in_target.d/x) 2>/dev/null && exit 9\nexit 0\n", note("install")))?;
    env.element("mine/cleanup.d/10-x", "#!/bin/bash\nset -eu\ntest ! -e $TARGET_ROOT/opt/bound/file\necho made > made-by-cleanup.txt\n")?;
    let mut command = env.command("goldsmith")?;
    command.env("CANARY_TOKEN", "sesame-4711").args([
        "build",
        "-n",
        "-t",
        "tar",
        "-o",
        "x",
        "--progress",
        "plain",
        "small",
        "mine",
    ]);
    let output = command.output()?;
    goldsmith_tests::succeeded(&output)?;
    let tar = env.path("x.tar");
    let root = member(&tar, "./root.txt")?;
    ensure!(
        root == "root uid=0 home=/root target=/tmp/dib_build.goldsmit/mnt mnt=/tmp/dib_build.goldsmit/mnt cwd=/goldsmith/output secret=0\n",
        "{root}"
    );
    let install = member(&tar, "./install.txt")?;
    ensure!(
        install.starts_with("install uid=0 home=/root target=none")
            && install.contains("cwd=/ secret=0"),
        "{install}"
    );
    ensure!(member(&tar, "./bound.txt")? == "shared\n");
    ensure!(fs_err::read_to_string(env.path("made-by-cleanup.txt"))? == "made\n");
    let list = Command::new("tar").arg("-tvf").arg(&tar).output()?;
    let list = String::from_utf8(list.stdout)?;
    ensure!(
        !list.contains("./tmp/kept") && !list.contains("./opt/bound/file"),
        "left in the image"
    );
    ensure!(list.contains("crw-rw-rw- 0/0") && list.contains("./dev/null"), "no device nodes");
    ensure!(
        list.lines()
            .any(|line| line.starts_with("-rwsr-xr-x 0/0") && line.ends_with("./usr/bin/passwd")),
        "set-id bits are lost"
    );
    ensure!(
        list.lines().any(|line| line.contains(" 0/42 ") && line.ends_with("./etc/shadow")),
        "owners are lost"
    );
    let bytes = fs_err::read(&tar)?;
    ensure!(!bytes.windows(11).any(|window| window == b"sesame-4711"), "a secret is in the image");
    host.check(env.cache())
}

#[test]
fn a_second_build_does_nothing_and_a_changed_hook_only_what_follows() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/install.d/10-a", "#!/bin/sh\ndate +%N > /when\n")?;
    env.element("mine/post-install.d/10-b", "#!/bin/sh\necho one > /which\n")?;
    let line = ["build", "-n", "-t", "tar", "-o", "y", "--progress", "plain", "small", "mine"];
    ok(&env.run(&line)?)?;
    let when = member(&env.path("y.tar"), "./when")?;
    let again = env.run(&line)?;
    ok(&again)?;
    ensure!(
        again.stderr.contains("y.tar is up to date") && !again.stderr.contains("Running"),
        "{again:?}"
    );
    env.element("mine/post-install.d/10-b", "#!/bin/sh\necho two > /which\n")?;
    let changed = env.run(&line)?;
    ok(&changed)?;
    ensure!(changed.stderr.contains("install: cached"), "{changed:?}");
    ensure!(member(&env.path("y.tar"), "./when")? == when, "install ran again");
    ensure!(member(&env.path("y.tar"), "./which")? == "two\n");
    Ok(())
}

#[test]
fn the_same_input_gives_the_same_bytes() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/install.d/10-a", "#!/bin/sh\necho fixed > /file\n")?;
    for name in ["one", "two"] {
        let size = ["--image-size", "1"];
        let mut line =
            vec!["build", "-n", "-t", "tar,raw,qcow2", "-o", name, "--progress", "plain"];
        line.extend(size);
        if name == "two" {
            line.push("--refresh");
        }
        line.extend(["small", "mine"]);
        ok(&env.run(&line)?)?;
    }
    // What only differs from day to day: packages' scripts give users a password's date.
    let mut newest = 0;
    for entry in tar::Archive::new(fs_err::File::open(env.path("one.tar"))?).entries()? {
        newest = entry?.header().mtime()?.max(newest);
    }
    let shadow = member(&env.path("one.tar"), "./etc/shadow")?;
    let days: Vec<_> = shadow.lines().filter_map(|line| line.split(':').nth(2)).collect();
    ensure!(!days.is_empty(), "{shadow}");
    for day in days {
        ensure!(day == (newest / 86_400).to_string(), "not {newest}: {shadow}");
    }
    for ending in ["tar", "raw", "qcow2"] {
        let same = Command::new("cmp")
            .arg(env.path(&format!("one.{ending}")))
            .arg(env.path(&format!("two.{ending}")))
            .output()?;
        ensure!(same.status.success(), "{ending}: {}", String::from_utf8_lossy(&same.stdout));
    }
    let check =
        Command::new("qemu-img").args(["check", "-q"]).arg(env.path("one.qcow2")).status()?;
    ensure!(check.success(), "qemu-img check");
    let compare = Command::new("qemu-img")
        .args(["compare", "-q"])
        .args([env.path("one.qcow2"), env.path("one.raw")])
        .status()
        .context("qemu-img")?;
    ensure!(compare.success(), "qemu-img compare");
    let fsck = Command::new("e2fsck").args(["-fn"]).arg(env.path("one.raw")).output()?;
    ensure!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
    Ok(())
}

#[test]
fn a_program_that_renames_a_lower_directory_works() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element(
        "mine/install.d/10-rename",
        &format!(
            "#!/usr/bin/python3\n# {:?}: no cached step\nimport os\nos.rename('/usr/share/doc', '/usr/share/doc-moved')\n",
            std::time::SystemTime::now()
        ),
    )?;
    let ran =
        env.run(&["build", "-n", "-t", "tar", "-o", "r", "--progress", "plain", "small", "mine"])?;
    ok(&ran)?;
    ensure!(ran.stderr.contains("EXDEV"), "nobody noticed: {ran:?}");
    let list = Command::new("tar").arg("-tf").arg(env.path("r.tar")).output()?;
    let list = String::from_utf8(list.stdout)?;
    ensure!(
        list.contains("./usr/share/doc-moved/") && !list.contains("./usr/share/doc/"),
        "not moved"
    );
    Ok(())
}

#[test]
fn packages_and_the_personality() -> Result<()> {
    let env = TestEnv::new()?;
    let mut command = env.command("disk-image-create")?;
    command.args(["-t", "tar,qcow2", "-o", "p", "-p", "hello", "--checksum", "debian-minimal"]);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(text.contains("Build completed successfully"), "{text}");
    ensure!(member(&env.path("p.tar"), "./var/lib/dpkg/status")?.contains("Package: hello\n"));
    for file in ["p.qcow2.md5", "p.qcow2.sha256", "p.d/dib-manifests"] {
        ensure!(env.path(file).exists(), "no {file}");
    }
    let sum = Command::new("sha256sum")
        .arg("-c")
        .arg("p.qcow2.sha256")
        .current_dir(env.directory.path())
        .status()?;
    ensure!(sum.success(), "the checksum file is wrong");
    ensure!(
        member(&env.path("p.tar"), "./etc/machine-id")?.is_empty(),
        "machine-id is in the image"
    );
    Ok(())
}

#[test]
fn an_image_of_the_cache_is_run_by_its_name() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/install.d/10-x", "#!/bin/sh\necho golden > /made\n")?;
    ok(&env.run(&["build", "-n", "-t", "tar", "-o", "by-name", "small", "mine"])?)?;
    let ran = env.run(&["run", "--image", "by-name", "--", "cat", "/made"])?;
    ensure!(ran.status == 0 && ran.stdout == "golden\n", "{ran:#?}");
    let listed = env.run(&["store", "ls", "--json"])?;
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout)?;
    let names: Vec<_> =
        listed["images"].as_array().context("images")?.iter().map(|i| &i["name"]).collect();
    ensure!(names.contains(&&"by-name".into()), "{names:?}");
    let base = names.iter().find_map(|name| name.as_str().filter(|n| n.starts_with("debian:")));
    let base = base.context("no base is named")?;
    let ran = env.run(&["run", "--image", base, "--", "ls", "/made"])?;
    ensure!(ran.status != 0, "the base has what a hook made: {ran:#?}");
    let ran = env.run(&["run", "--image", "by-nome", "--", "true"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("by-name"), "{ran:#?}");
    ok(&env.run(&["store", "rm", "by-name"])?)?;
    let ran = env.run(&["run", "--image", "by-name", "--", "true"])?;
    ensure!(ran.status == 2, "{ran:#?}");
    Ok(())
}
