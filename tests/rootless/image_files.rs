//! Files of an image that the builder must not trust (R10), and its environment (R18).

use std::os::unix::fs::symlink;
use std::process::Stdio;

use anyhow::{Result, ensure};
use goldsmith_runtime::{ExitStatus, MountPlan, MountSource};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::Case;
use crate::fixture::Fixture;
use crate::own_run;

pub(crate) const CASES: &[Case] = &[
    ("a_dangling_resolv_conf_is_mounted_where_it_points_r10", dangling_resolv_conf),
    ("odd_files_at_mount_points_r10", odd_mount_points),
    ("accounts_of_the_image_are_not_read_r10", accounts),
    ("libraries_of_the_image_are_not_loaded_r10", libraries),
    ("the_builders_environment_stays_outside_r18", environment),
    ("a_path_lookup_is_that_of_the_plan", path_lookup),
];

fn text(target: &str, text: &str) -> MountPlan {
    let source = MountSource::Text(text.to_owned());
    MountPlan { target: target.into(), source, read_only: true }
}

fn dangling_resolv_conf() -> Result<()> {
    let fixture = Fixture::new()?;
    symlink("../run/systemd/resolve/stub-resolv.conf", fixture.path("root/etc/resolv.conf"))?;
    let mut plan = fixture.plan("cat /etc/resolv.conf /run/systemd/resolve/stub-resolv.conf");
    plan.mounts.push(text("/etc/resolv.conf", "nameserver ::1\n"));
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout == "nameserver ::1\n".repeat(2), "{ran:?}");
    ensure!(!fixture.path("upper/run").exists(), "the mount point stayed");
    // One that points out of the image means a place inside.
    fs_err::remove_file(fixture.path("root/etc/resolv.conf"))?;
    let outside = fixture.path("outside");
    symlink(&outside, fixture.path("root/etc/resolv.conf"))?;
    fixture.reset()?;
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout.starts_with("nameserver ::1\n"), "{ran:?}");
    ensure!(!outside.exists(), "a mount point was made outside");
    Ok(())
}

fn odd_mount_points() -> Result<()> {
    let fixture = Fixture::new()?;
    let fifo = fixture.path("root/etc/fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o644), 0)?;
    fs_err::create_dir(fixture.path("root/etc/directory"))?;
    let mut plan = fixture.plan("cat /etc/fifo");
    plan.mounts.push(text("/etc/fifo", "a file now\n"));
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout == "a file now\n", "{ran:?}");
    fixture.reset()?;
    plan.mounts.push(text("/etc/directory", "no file fits here"));
    match fixture.run(&plan) {
        Ok(ran) => anyhow::bail!("mounted on a directory: {ran:?}"),
        Err(error) => ensure!(format!("{error:#}").contains("/etc/directory"), "{error:#}"),
    }
    Ok(())
}

fn accounts() -> Result<()> {
    let fixture = Fixture::new()?;
    for name in ["passwd", "group"] {
        let path = fixture.path("root/etc").join(name);
        fs_err::remove_file(&path)?;
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0)?;
    }
    let huge = fs_err::File::create(fixture.path("root/etc/hosts"))?;
    huge.set_len(10 << 30)?;
    // Without a HOME, libcontainer would look the user up.
    for env in [vec![], vec![("HOME".to_owned(), String::new())]] {
        let mut plan = fixture.plan("");
        plan.argv = vec!["/bin/true".into()];
        plan.env = env;
        let ran = fixture.run(&plan)?;
        ensure!(ran.status == ExitStatus::Code(0), "{ran:?}");
        fixture.reset()?;
    }
    Ok(())
}

/// Name service libraries of an image ran in the builder's process in other runtimes,
/// with its descriptors (CVE-2019-14271 is of that kind).
fn libraries() -> Result<()> {
    let fixture = Fixture::new()?;
    fs_err::write(fixture.path("root/etc/nsswitch.conf"), "passwd: evil\n")?;
    let probe = fixture.path("root/lib/libnss_evil.so.2");
    mknodat(CWD, &probe, FileType::Fifo, Mode::from_raw_mode(0o644), 0)?;
    let mut plan = fixture.plan("");
    plan.argv = vec!["/bin/true".into()];
    plan.env = vec![("LD_PRELOAD".into(), String::new())];
    let ran = fixture.run(&plan)?;
    ensure!(ran.status == ExitStatus::Code(0), "{ran:?}");
    Ok(())
}

fn environment() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("");
    plan.argv = vec!["/bin/cat".into(), "/proc/self/environ".into()];
    plan.env = vec![("B".into(), "1".into()), ("A".into(), "2 3".into())];
    let output = own_run(&plan)?
        .env("AWS_SECRET_ACCESS_KEY", "canary")
        .env("LISTEN_FDS", "4")
        .env("NOTIFY_SOCKET", "/run/canary")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .output()?;
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(seen.trim_end() == "B=1\0A=2 3\0", "{seen:?}");
    Ok(())
}

fn path_lookup() -> Result<()> {
    let fixture = Fixture::new()?;
    fs_err::create_dir(fixture.path("root/opt"))?;
    let script = fixture.path("root/opt/plain");
    fs_err::write(&script, "echo by the shell: $1\n")?;
    fs_err::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs_err::write(fixture.path("root/opt/data"), "no program\n")?;
    for (argv, code, stdout) in [
        (&["plain", "x"][..], 0, "by the shell: x\n"),
        (&["/no/such/program"], 127, ""),
        (&["nothing"], 127, ""),
        (&["data"], 126, ""),
    ] {
        let mut plan = fixture.plan("");
        plan.argv = argv.iter().map(|&word| word.to_owned()).collect();
        plan.env = vec![("PATH".into(), "/nowhere:/opt".into())];
        let ran = fixture.run(&plan)?;
        ensure!(ran.status == ExitStatus::Code(code), "{argv:?} {ran:?}");
        ensure!(ran.stdout == stdout, "{argv:?} {ran:?}");
        ensure!((code == 0) == ran.stderr.is_empty(), "{argv:?} {ran:?}");
        fixture.reset()?;
    }
    Ok(())
}
