//! Status, output, time limits: what a caller relies on.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use goldsmith_runtime::{Cancel, ExitStatus, RootPlan, SandboxPlan, UserPlan};

use crate::Case;
use crate::fixture::Fixture;
use crate::own_run;

pub(crate) const CASES: &[Case] = &[
    ("exit_status_is_exact", exit_status_is_exact),
    ("signals_are_exact", signals_are_exact),
    ("both_streams_arrive", both_streams_arrive),
    ("a_missing_program_is_127", a_missing_program),
    ("another_user_has_its_groups_and_no_capability", another_user),
    ("the_time_limit_kills_the_tree", time_limit),
    ("cancel_kills_the_tree", cancel),
    ("children_do_not_survive_r17", children_do_not_survive),
    ("a_killed_builder_leaves_nothing_r17", killed_builder),
    ("the_upper_directory_holds_what_was_written", upper_holds_result),
    ("a_tmpfs_takes_what_is_written", tmpfs),
    ("directory_roots_are_written_in_place", directory_root),
    ("renaming_a_lower_directory_is_refused_by_overlays_only", cross_device_rename),
];

fn exit_status_is_exact() -> Result<()> {
    let fixture = Fixture::new()?;
    for code in [0, 1, 37, 255] {
        let ran = fixture.run(&fixture.plan(&format!("rm -rf /x; exit {code}")))?;
        ensure!(ran.status == ExitStatus::Code(code), "{ran:?}");
        fixture.reset()?;
    }
    Ok(())
}

fn signals_are_exact() -> Result<()> {
    let fixture = Fixture::new()?;
    // Process 1 is not killed by signals of its own; its child is, and the shell says so.
    let ran = fixture.run(&fixture.plan("bash -c 'kill -TERM $$'; exit $?"))?;
    ensure!(ran.status == ExitStatus::Code(128 + 15), "{ran:?}");
    Ok(())
}

fn both_streams_arrive() -> Result<()> {
    let fixture = Fixture::new()?;
    let ran = fixture.run(&fixture.plan("echo out; echo err >&2; printf 'no newline'"))?;
    ensure!(ran.stdout == "out\nno newline\n", "{ran:?}");
    ensure!(ran.stderr == "err\n", "{ran:?}");
    Ok(())
}

fn another_user() -> Result<()> {
    let fixture = Fixture::new()?;
    let script = "echo $UID ${GROUPS[*]}; while read -r key value; do case $key in Cap*) echo $key $value ;; esac; done < /proc/self/status; echo x > /mine";
    let user = UserPlan { uid: 1000, gid: 100, groups: vec![5, 27] };
    let plan = SandboxPlan { user, ..fixture.plan(script) };
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout.starts_with("1000 100 5 27\n"), "{ran:?}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        ensure!(ran.stdout.contains(&format!("{set}: 0000000000000000\n")), "{set}: {ran:?}");
    }
    ensure!(ran.stderr.contains("/mine: Permission denied"), "{ran:?}");
    Ok(())
}

fn a_missing_program() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("");
    plan.argv = vec!["/no/such/program".into()];
    let ran = fixture.run(&plan)?;
    ensure!(ran.status == ExitStatus::Code(127), "{ran:?}");
    ensure!(ran.stderr == "goldsmith: /no/such/program: No such file or directory\n", "{ran:?}");
    Ok(())
}

fn time_limit() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("trap '' TERM INT; setsid sleep 1000 & sleep 1000");
    plan.time_limit_ms = Some(1500);
    let begun = Instant::now();
    let ran = fixture.run(&plan)?;
    ensure!(ran.status == ExitStatus::TimedOut, "{ran:?}");
    ensure!(begun.elapsed() < Duration::from_secs(60), "the tree lived on");
    Ok(())
}

fn cancel() -> Result<()> {
    let fixture = Fixture::new()?;
    let cancel = Cancel::default();
    let from_elsewhere = cancel.clone();
    let waiter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        from_elsewhere.cancel();
    });
    let ran = fixture.run_with(&fixture.plan("sleep 1000"), &cancel)?;
    ensure!(ran.status == ExitStatus::Interrupted, "{ran:?}");
    ensure!(waiter.join().is_ok(), "the canceller panicked");
    Ok(())
}

fn children_do_not_survive() -> Result<()> {
    let fixture = Fixture::new()?;
    let marker = format!("3{}", std::process::id());
    fixture
        .output(&format!("setsid bash -c 'trap \"\" TERM; sleep {marker} & wait' & sleep 0.3"))?;
    let left = sleepers(&marker)?;
    ensure!(left.is_empty(), "still there: {left:?}");
    Ok(())
}

fn killed_builder() -> Result<()> {
    let fixture = Fixture::new()?;
    let marker = format!("4{}", std::process::id());
    let mounts = fs_err::read_to_string("/proc/self/mountinfo")?;
    let script = format!("trap '' TERM; setsid sleep {marker} & sleep {marker}; true");
    let mut builder =
        own_run(&fixture.plan(&script))?.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    // Both must run; the plan's time limit ends the wait when they never do.
    while sleepers(&marker)?.len() < 2 {
        ensure!(builder.try_wait()?.is_none(), "the builder is gone");
        std::thread::sleep(Duration::from_millis(20));
    }
    builder.kill()?;
    builder.wait()?;
    // The kernel takes the rest down; the test's own time limit ends this.
    while !sleepers(&marker)?.is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(mounts == fs_err::read_to_string("/proc/self/mountinfo")?, "mounts are left");
    Ok(())
}

/// Command lines of living processes that sleep for `marker`.
fn sleepers(marker: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        let line = fs_err::read(entry?.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains(&format!("sleep\0{marker}")) {
            found.push(line);
        }
    }
    Ok(found)
}

fn upper_holds_result() -> Result<()> {
    let fixture = Fixture::new()?;
    fixture.output("echo new > /etc/new; rm /etc/group; mkdir /made")?;
    ensure!(fs_err::read_to_string(fixture.path("upper/etc/new"))? == "new\n");
    ensure!(fixture.path("upper/made").is_dir());
    ensure!(fixture.path("root/etc/group").is_file(), "a lower directory was written");
    ensure!(fs_err::symlink_metadata(fixture.path("upper/etc/group")).is_ok(), "no whiteout");
    Ok(())
}

fn directory_root() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("echo here > /etc/here");
    plan.root = RootPlan::Directory(fixture.path("root"));
    let ran = fixture.run(&plan)?;
    ensure!(ran.status == ExitStatus::Code(0), "{ran:?}");
    ensure!(fs_err::read_to_string(fixture.path("root/etc/here"))? == "here\n");
    Ok(())
}

fn cross_device_rename() -> Result<()> {
    let fixture = Fixture::new()?;
    // mv copies where rename(2) is refused; --no-copy (coreutils 9.5) is not everywhere, so
    // the overlay shows itself by the inode changing hands.
    let script =
        "before=$(stat -c %i /usr/lib); mv /usr/lib /usr/lib2 && [ -d /usr/lib2 ] && echo moved";
    ensure!(fixture.output(script)?.contains("moved"));
    let mut plan = fixture.plan(
        "before=$(stat -c %i /usr/lib); mv /usr/lib /usr/lib2; [ $before = $(stat -c %i /usr/lib2) ] && echo same",
    );
    plan.root = RootPlan::Directory(fixture.path("root"));
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout.contains("same"), "{ran:?}");
    Ok(())
}

fn tmpfs() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan(
        "rm /etc/passwd; rm -rf /usr; mkdir /usr; echo text > /new; chown 7:8 /new\n\
         while cat /bin/bash >> /large; do :; done",
    );
    plan.scratch_bytes = Some(8 << 20);
    let ran = fixture.run(&plan)?;
    ensure!(ran.status == ExitStatus::Code(0), "{ran:?}");
    ensure!(ran.stderr.contains("No space left on device"), "{ran:?}");
    ensure!(!fixture.path("upper").exists(), "something lies on disk");
    let scratch = ran.scratch.as_ref().context("no tmpfs came along")?;
    let size = rustix::fs::fstatvfs(scratch)?;
    ensure!(size.f_blocks * size.f_frsize == 8 << 20, "{} blocks", size.f_blocks);
    let upper = format!("/proc/self/fd/{}/0/upper", scratch.as_raw_fd());
    let upper = std::path::Path::new(&upper);
    ensure!(fs_err::read_to_string(upper.join("new"))? == "text\n");
    let map = |ranges: &[goldsmith_runtime::IdRange], id: u32| {
        let range =
            ranges.iter().find(|range| (range.inside..range.inside + range.count).contains(&id));
        range.map(|range| range.outside + id - range.inside)
    };
    let data = fs_err::metadata(upper.join("new"))?;
    ensure!(Some(data.uid()) == map(&fixture.identity.uids, 7), "{data:?}");
    ensure!(Some(data.gid()) == map(&fixture.identity.gids, 8), "{data:?}");
    let whiteout = fs_err::symlink_metadata(upper.join("etc/passwd"))?;
    ensure!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0, "{whiteout:?}");
    let mut value = [0; 4];
    let count = rustix::fs::lgetxattr(upper.join("usr"), "user.overlay.opaque", &mut value[..])?;
    ensure!(value[..count] == *b"y", "{value:?}");
    Ok(())
}
