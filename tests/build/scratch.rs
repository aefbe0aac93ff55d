//! Phases that write to a tmpfs, as `DIB_MIN_TMPFS` and `--no-tmpfs` say.

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{HostInvariant, Ran, TestEnv, ran};

use crate::ok;

const LINE: [&str; 10] =
    ["build", "-n", "-t", "tar", "--progress", "plain", "-o", "x", "small", "mine"];

fn build(env: &TestEnv, options: &[&str], output: &str) -> Result<Ran> {
    let mut line = LINE;
    line[7] = output;
    let mut command = env.command("goldsmith")?;
    let built = ran(command.args(line).args(options).env("DIB_MIN_TMPFS", "1"))?;
    ok(&built)?;
    Ok(built)
}

/// What a hook said of the size of the file system that it writes to.
fn size(built: &Ran) -> Result<u64> {
    let (_, text) = built.stderr.split_once("blocks=").context("no size")?;
    Ok(text.lines().next().unwrap_or_default().trim().parse()?)
}

#[test]
fn a_tmpfs_makes_no_other_image() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let host = HostInvariant::take(env.cache())?;
    env.element(
        "mine/install.d/10-write",
        "#!/bin/bash\nset -eu\necho blocks=$(stat -f -c %b /) >&2\n\
         rm -r /usr/share/doc; mkdir /usr/share/doc; touch -d @4 /usr/share/doc\n\
         rm /etc/debian_version; chmod 4711 /usr/bin/wall; mv /etc/issue /etc/issue.old\n\
         echo text > /a; ln /a /b; chown 7:8 /a; touch -d @5.123456789 /a\n\
         truncate -s 64M /hole; echo end >> /hole; touch -d @6 /hole\n\
         mkfifo -m 600 /pipe; ln -s nowhere /link; touch -hd @7 /pipe /link\n",
    )?;
    env.element(
        "mine/cleanup.d/10-after",
        "#!/bin/bash\nset -eu\ntest ! -e $TARGET_ROOT/usr/share/doc/apt\necho made > beside\n",
    )?;
    let on_tmpfs = build(&env, &[], "memory")?;
    let on_disk = build(&env, &["--no-tmpfs"], "disk")?;
    // A machine whose memory others use has none.
    let without = on_tmpfs.stderr.contains("no tmpfs: ");
    ensure!(without || size(&on_tmpfs)? != size(&on_disk)?, "both lie on disk: {on_tmpfs:?}");
    ensure!(fs_err::read(env.path("memory.tar"))? == fs_err::read(env.path("disk.tar"))?);
    ensure!(fs_err::read_to_string(env.path("beside"))? == "made\n");
    host.check(env.cache())
}

#[test]
fn a_phase_that_fills_the_tmpfs_runs_again_on_disk() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    // A tmpfs refuses at once what it cannot hold.
    env.element(
        "mine/install.d/10-large",
        "#!/bin/bash\nset -eu\nmemory=$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)\n\
         if [ $(stat -f -c %b /) -le $((memory / 8 + 1)) ]; then\n\
         fallocate -l $((memory / 2 + 1024))KiB /large\nfi\necho done > /done\n",
    )?;
    let built = build(&env, &[], "x")?;
    let texts = ["running the phase again on disk", "no tmpfs: "];
    ensure!(texts.iter().any(|text| built.stderr.contains(text)), "{built:?}");
    ensure!(crate::member(&env.path("x.tar"), "./done")? == "done\n");
    Ok(())
}

#[test]
fn without_the_memory_there_is_no_tmpfs() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/install.d/10-x", "#!/bin/sh\n")?;
    let mut command = env.command("disk-image-create")?;
    command.args(["--min-tmpfs", "100000", "-n", "-t", "tar", "-o", "x", "small", "mine"]);
    let built = ran(&mut command)?;
    ok(&built)?;
    ensure!(built.stdout.contains("no tmpfs: it wants twice 100000 GiB"), "{built:?}");
    let mut command = env.command("goldsmith")?;
    let wrong = ran(command.args(LINE).env("DIB_MIN_TMPFS", "much"))?;
    ensure!(wrong.status == 2 && wrong.stderr.contains("number of GiB"), "{wrong:?}");
    Ok(())
}
