//! The builder killed and interrupted: the host and the cache are as before.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv};

use crate::ok;

/// Moments of the kill: spread over a build without chance, so that a failure repeats.
fn moments() -> Vec<Duration> {
    let count = if std::env::var_os("GOLDSMITH_FULL").is_some() { 100 } else { 20 };
    (0..count).map(|n| Duration::from_millis(20 + n * 97 % 1900)).collect()
}

#[test]
fn sigkill_at_any_moment_leaves_nothing_that_the_next_start_does_not_sweep() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element(
        "mine/install.d/10-slow",
        "#!/bin/bash\nfor n in 1 2 3; do (setsid sleep 7 &); sleep 0.2; done\n",
    )?;
    env.element("mine/post-install.d/10-slow", "#!/bin/bash\nsleep 0.4\n")?;
    let line = ["build", "-n", "-t", "tar", "-o", "k", "--progress", "plain", "small", "mine"];
    ok(&env.run(&line)?)?;
    let host = HostInvariant::take(env.cache())?;
    for moment in moments() {
        let mut command = env.command("goldsmith")?;
        // The base stays cached: --refresh would bootstrap it every time.
        env.element("mine/install.d/11-now", &format!("#!/bin/sh\n: {moment:?}\n"))?;
        let mut child = command.args(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(moment);
        child.kill()?;
        child.wait()?;
    }
    ok(&env.run(&line)?)?;
    host.check(env.cache())
}

#[test]
fn ctrl_c_ends_the_build_cleanly() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element(
        "mine/install.d/10-slow",
        "#!/bin/bash\ntrap '' INT TERM\nsleep 600 &\nsleep 600\n",
    )?;
    let host = HostInvariant::take(env.cache())?;
    let mut command = env.command("goldsmith")?;
    let mut child = command
        .args(["build", "-n", "-t", "tar", "-o", "c", "--progress", "plain", "small", "mine"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(8));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let status = child.wait()?;
    ensure!(status.code() == Some(130), "{status:?}");
    ensure!(begun.elapsed() < Duration::from_secs(60), "it took {:?}", begun.elapsed());
    ensure!(!env.path("c.tar").exists(), "something was written");
    host.check(env.cache())
}
