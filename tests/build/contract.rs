//! The behaviours that matter most (contract section 9), by the numbers they have there. Rows
//! that are tested elsewhere name theirs in a comment; `tests/tidy` misses none.
//!
//! One image with hooks in every phase serves them all: the first test builds it, the others
//! find its steps in the cache.

use std::process::Command;

use anyhow::{Result, ensure};
use goldsmith_tests::{TestEnv, ran};

use crate::{member, ok};

/// Writes down what a hook of any phase sees.
const RECORD: &str = r#"#!/bin/bash
set -eu
set -o pipefail
phase=$(basename "$(dirname "$0")")
place=host rows=$TMP_MOUNT_PATH/rows
if [ ! -d /goldsmith/lib ]; then
    place=image rows=/rows
fi
mkdir -p "$rows"
echo "$phase $place" >> "$rows/order"
{
    echo "counted=$ROWS_COUNT byte=$ROWS_BYTE"
    echo "LC_ALL=$LC_ALL"
    echo "HOME=$HOME"
    echo "proxy=${no_proxy-unset}"
    echo "TMPDIR=${TMPDIR-unset}"
    echo "VIRTUAL_ENV=${VIRTUAL_ENV-unset}"
    echo "TARGET_ROOT=${TARGET_ROOT-unset}"
    echo "mnt=$([ "$TMP_MOUNT_PATH" = "$TMP_BUILD_DIR/mnt" ] && echo below)"
    echo "build=${TMP_BUILD_DIR##*/}"
    echo "hooks=$TMP_HOOKS_PATH"
    echo "label=$DIB_ROOT_LABEL type=$DIB_ROOT_FSTYPE mounts=$DIB_MOUNTPOINTS"
    echo "device=${IMAGE_BLOCK_DEVICE-unset}"
    echo "elements=$IMAGE_ELEMENT"
    echo "files=$(cat ${DIB_YUM_REPO_CONF-/dev/null} | tr '\n' ' ')"
    if [ "$place" = host ]; then
        declare -A found
        eval "found=($(get_image_element_array))"
        echo "own=$(cat "${found[mine]}/marker") beside=$(cat "$(dirname "$0")/../marker")"
        echo "yaml=$(grep -c "mine: ${found[mine]}" <<< "$IMAGE_ELEMENT_YAML")"
        echo "sudo=$(sudo -E id -u) $(echo piped | sudo tee "$rows/tee") $(sudo sh -c 'echo "$SUDO_USER"')"
    else
        echo "kept=$(cat /tmp/kept)"
        echo "readonly=$(touch /tmp/in_target.d/x 2> /dev/null || echo yes)"
        echo "data=$(ls /tmp/in_target.d/static/etc)"
        echo "resolv=$(head -c 10 /etc/resolv.conf) $(cat /etc/resolv.conf.ORIG)"
    fi
} > "$rows/$phase"
"#;

const PHASES: &str = "root.d host\nextra-data.d host\npre-install.d image\ninstall.d image\npost-install.d image\npost-root.d host\npre-finalise.d host\nfinalise.d image\ncleanup.d host\n";

fn rows() -> Result<TestEnv> {
    let env = TestEnv::with_small_os()?;
    for phase in PHASES.lines().filter_map(|line| line.split(' ').next()) {
        env.element(&format!("mine/{phase}/50-record"), RECORD)?;
    }
    env.element("mine/marker", "mine\n")?;
    env.element("mine/environment.d/10-a", "export ROWS_BYTE=${ROWS_BYTE:-}ten\n")?;
    env.element("mine/environment.d/9-b", "export ROWS_BYTE=$ROWS_BYTE-nine\n")?;
    env.element("mine/environment.d/50-n", "export ROWS_COUNT=$((${ROWS_COUNT:-0} + 1))\n")?;
    for name in ["2-a", "010-c", "10-b", "zz", "dotted.sh"] {
        let text = format!("#!/bin/sh\nmkdir -p /rows\necho {name} >> /rows/install-order\n");
        env.element(&format!("mine/install.d/{name}"), &text)?;
    }
    env.element("mine/install.d/20-off", "touch /rows/not-executable\n")?;
    env.element("mine/static/etc/from-mine", "")?;
    env.element("other/static/etc/from-other", "")?;
    env.element(
        "mine/root.d/60-root",
        "#!/bin/bash\nset -eu\necho mine > $TARGET_ROOT/etc/resolv.conf\necho kept > $TARGET_ROOT/tmp/kept\nmkdir -p $TARGET_ROOT/var/log\necho text > $TARGET_ROOT/var/log/some\necho text > $TARGET_ROOT/root/x.log\nmkdir $TARGET_ROOT/lost+found\ntouch $TARGET_ROOT/lost+found/x\n",
    )?;
    env.element(
        "mine/cleanup.d/60-tmp",
        "#!/bin/bash\nset -eu\nls $TMP_MOUNT_PATH/tmp > $TMP_MOUNT_PATH/rows/tmp\necho beside > $IMAGE_NAME.vmlinuz\n",
    )?;
    let lists = ["one", "two"].map(|name| env.path(&format!("{name}.repo")));
    for (path, text) in lists.iter().zip(["first\n", "second\n"]) {
        fs_err::write(path, text)?;
    }
    let mut command = env.command("disk-image-create")?;
    command
        .args(["-n", "-t", "tar", "-o", "x", "small", "mine", "other"])
        .env("DIB_YUM_REPO_CONF", lists.map(|path| path.display().to_string()).join(" "))
        .env("no_proxy", "example.org")
        .env("TMPDIR", "/var/tmp")
        .env("VIRTUAL_ENV", "/venv");
    ok(&ran(&mut command)?)?;
    Ok(env)
}

fn row(env: &TestEnv, name: &str) -> Result<String> {
    member(&env.path("x.tar"), &format!("./rows/{name}"))
}

/// Fails unless the report of a phase has each of the lines.
fn has(env: &TestEnv, phase: &str, lines: &[&str]) -> Result<()> {
    let report = row(env, phase)?;
    for line in lines {
        ensure!(report.lines().any(|other| other == *line), "{phase}: no {line:?} in\n{report}");
    }
    Ok(())
}

// contract 9.1: every phase in its order and place; an empty one is skipped (block-device.d).
#[test]
fn row_01_phases() -> Result<()> {
    let env = rows()?;
    let order = row(&env, "order")?;
    ensure!(order == PHASES, "{order}");
    Ok(())
}

// contract 9.2
#[test]
fn row_02_order_of_hooks_and_environment() -> Result<()> {
    let env = rows()?;
    let order = row(&env, "install-order")?;
    ensure!(order == "zz\n2-a\n010-c\n10-b\n", "{order}");
    for phase in ["root.d", "install.d", "cleanup.d"] {
        has(&env, phase, &["counted=1 byte=ten-nine"])?;
    }
    Ok(())
}

// contract 9.3
#[test]
fn row_03_hooks_tree() -> Result<()> {
    let env = rows()?;
    has(&env, "install.d", &["readonly=yes", "data=from-mine", "from-other"])?;
    env.element("other/install.d/2-a", "#!/bin/sh\n")?;
    let twice = env.run(&["build", "-n", "-t", "tar", "-o", "y", "small", "mine", "other"])?;
    ensure!(twice.status == 3, "{twice:?}");
    ensure!(twice.stderr.contains("elements mine and other both have a file install.d/2-a"));
    Ok(())
}

// contract 9.4
#[test]
fn row_04_variables() -> Result<()> {
    let env = rows()?;
    for phase in ["root.d", "pre-install.d", "finalise.d", "cleanup.d"] {
        let lines =
            ["LC_ALL=C", "HOME=/root", "proxy=example.org", "TMPDIR=unset", "VIRTUAL_ENV=unset"];
        has(&env, phase, &lines)?;
        has(&env, phase, &["files=first second "])?;
    }
    Ok(())
}

// contract 9.5
#[test]
fn row_05_target_root() -> Result<()> {
    let env = rows()?;
    for phase in PHASES.lines().filter_map(|line| line.split(' ').next()) {
        let set = phase == "root.d" || phase == "cleanup.d";
        let line =
            format!("TARGET_ROOT={}", if set { "/tmp/dib_build.goldsmit/mnt" } else { "unset" });
        has(&env, phase, &[&line, "mnt=below", "build=dib_build.goldsmit"])?;
    }
    Ok(())
}

// contract 9.6: implicit elements; the rest is in `element/resolve.rs` and the compat tier.
#[test]
fn row_06_resolution() -> Result<()> {
    let env = rows()?;
    has(&env, "root.d", &["elements=small mine other"])?;
    let plan = env.run(&["plan", "--json", "--offline", "vm", "small"])?;
    ensure!(plan.stdout.contains("\"block-device-mbr\"") && plan.stdout.contains("\"base\""));
    Ok(())
}

// contract 9.7
#[test]
fn row_07_sudo() -> Result<()> {
    has(&rows()?, "extra-data.d", &["sudo=0 piped root"])
}

// contract 9.9
#[test]
fn row_09_tmp_of_the_image() -> Result<()> {
    let env = rows()?;
    for phase in ["pre-install.d", "post-install.d", "finalise.d"] {
        has(&env, phase, &["kept=kept"])?;
    }
    ensure!(row(&env, "tmp")?.contains("kept"), "gone before cleanup.d");
    let list = Command::new("tar").arg("-tf").arg(env.path("x.tar")).output()?;
    let list = String::from_utf8(list.stdout)?;
    ensure!(list.contains("./tmp/\n") && !list.contains("./tmp/kept"), "left in the image");
    ensure!(!list.contains("./root/x.log"), "a log of root's is left");
    ensure!(!list.contains("./lost+found"), "a file system's own directory is left");
    ensure!(member(&env.path("x.tar"), "./var/log/some")?.is_empty(), "a log has content");
    Ok(())
}

// contract 9.12
#[test]
fn row_12_elements_of_the_image() -> Result<()> {
    let env = rows()?;
    for phase in ["root.d", "post-root.d", "cleanup.d"] {
        has(&env, phase, &["own=mine beside=mine", "yaml=1", "elements=small mine other"])?;
    }
    Ok(())
}

// contract 9.17
#[test]
fn row_17_facts_of_the_disk() -> Result<()> {
    let env = rows()?;
    for phase in ["root.d", "install.d", "post-root.d"] {
        has(&env, phase, &["label=cloudimg-rootfs type=ext4 mounts=/", "device=unset"])?;
    }
    for phase in ["pre-finalise.d", "finalise.d", "cleanup.d"] {
        has(&env, phase, &["device=/dev/loop0"])?;
    }
    Ok(())
}

// contract 9.19
#[test]
fn row_19_resolv_conf() -> Result<()> {
    let env = rows()?;
    has(&env, "install.d", &["resolv=nameserver mine"])?;
    ensure!(member(&env.path("x.tar"), "./etc/resolv.conf")? == "mine\n");
    env.element("link/install.d/10-l", "#!/bin/sh\nln -sf /run/resolv.conf /etc/resolv.conf\n")?;
    ok(&env.run(&["build", "-n", "-t", "tar", "-o", "l", "small", "mine", "other", "link"])?)?;
    let list = Command::new("tar").arg("-tvf").arg(env.path("l.tar")).output()?;
    let list = String::from_utf8(list.stdout)?;
    ensure!(list.contains("./etc/resolv.conf -> /run/resolv.conf"), "the link is lost");
    ensure!(!list.contains("resolv.conf.ORIG"), "the older one is left");
    Ok(())
}

// contract 9.20
#[test]
fn row_20_names_of_outputs() -> Result<()> {
    let env = rows()?;
    ensure!(fs_err::read_to_string(env.path("x.vmlinuz"))? == "beside\n");
    let first = fs_err::read(env.path("x.tar"))?;
    let line = ["-n", "-t", "tar,raw", "--checksum", "-o", "x", "small", "mine", "other"];
    let options = ["--mkfs-options", "-m 1 -i 8192", "--docker-target", "repo:tag"];
    ok(&env.run_as("disk-image-create", &[&options[..], &line].concat())?)?;
    let disk = Command::new("/sbin/dumpe2fs").arg("-h").arg(env.path("x.raw")).output()?;
    let disk = String::from_utf8(disk.stdout)?;
    let count = |name: &str| -> Option<u64> {
        disk.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    let blocks = count("Block count:").ok_or_else(|| anyhow::anyhow!("no ext4: {disk}"))?;
    ensure!(count("Reserved block count:").is_some_and(|kept| kept <= blocks / 100), "{disk}");
    ensure!(count("Inode count:").is_some_and(|inodes| inodes < blocks * 6 / 10), "{disk}");
    let names: Vec<String> = fs_err::read_dir(env.directory.path())?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    for name in ["x.tar", "x.raw", "x.raw.md5", "x.raw.sha256", "x.tar.sha256"] {
        ensure!(names.iter().any(|other| other == name), "no {name} in {names:?}");
    }
    let old = names.iter().find(|name| name.starts_with("x-2") && name.ends_with(".tar"));
    let old = old.ok_or_else(|| anyhow::anyhow!("the old one is not kept: {names:?}"))?;
    ensure!(old.len() == "x-YYYY.MM.DD-HH.MM.SS.tar".len(), "{old}");
    ensure!(fs_err::read(env.path(old))? == first, "the old one has changed");
    Ok(())
}

// contract 9.24
#[test]
fn row_24_log() -> Result<()> {
    let env = rows()?;
    env.element("mine/post-install.d/60-again", "#!/bin/bash\nset -x\nset +o xtrace\necho said\n")?;
    let line = ["-n", "-t", "tar", "-o", "x", "small", "mine", "other"];
    let mut command = env.command("disk-image-create")?;
    let logged = ran(command.args(["--logfile", "x.log"]).args(line))?;
    ok(&logged)?;
    ensure!(logged.stdout.is_empty(), "a log file makes it quiet: {logged:?}");
    let log = fs_err::read_to_string(env.path("x.log"))?;
    for line in log.lines() {
        let (stamp, _) = line.split_once(" | ").ok_or_else(|| anyhow::anyhow!("{line:?}"))?;
        ensure!(stamp.len() == "2026-01-01 00:00:00.000".len(), "{line:?}");
    }
    for text in [
        " | dib-run-parts Running /tmp/in_target.d/post-install.d/60-again",
        " | said",
        " | dib-run-parts 60-again completed",
        "PROFILING",
    ] {
        ensure!(log.contains(text), "no {text:?} in {log}");
    }
    ensure!(!log.contains("xtrace"), "tracing is traced");
    Ok(())
}

// contract 9.25: the report of what is large; break points are in `hooks.rs`.
#[test]
fn row_25_usage() -> Result<()> {
    let env = rows()?;
    let mut command = env.command("disk-image-create")?;
    command
        .args(["-n", "-t", "tar", "-o", "x", "small", "mine", "other"])
        .env("DIB_SHOW_IMAGE_USAGE", "1");
    let shown = ran(&mut command)?;
    ok(&shown)?;
    let sizes: Vec<(u64, &str)> = shown
        .stdout
        .lines()
        .filter_map(|line| line.split_once(" | ")?.1.trim().split_once(' '))
        .filter_map(|(size, path)| Some((size.parse().ok()?, path)))
        .filter(|(_, path)| path.starts_with('/'))
        .collect();
    ensure!(sizes.iter().any(|(_, path)| *path == "/usr"), "{shown:?}");
    ensure!(sizes.iter().all(|(size, _)| *size >= 10 << 10) && sizes.is_sorted(), "{sizes:?}");
    ensure!(sizes.last().is_some_and(|(_, path)| *path == "/"), "{sizes:?}");
    Ok(())
}
