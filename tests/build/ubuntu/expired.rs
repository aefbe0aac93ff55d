//! Release files that have expired since they were locked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use goldsmith_tests::{Ran, TestEnv, ran};

use super::{Archive, BASE};
use crate::ok;
use crate::published::serve;

/// How long the release files hold, in seconds: they are read as soon as they are there.
const HOLDS: u64 = 30;

/// The recorded digest is what counts under a lock, and without one the date does.
#[test]
fn a_lock_outlives_its_release_files() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("like-ubuntu/element-provides", "operating-system\n")?;
    env.element("like-ubuntu/environment.d/10-x.bash", "export DISTRO_NAME=ubuntu\n")?;
    env.element("like-ubuntu/base.yaml", BASE)?;
    let archive = Archive::new(&env)?;
    let (address, _) = serve(archive.publisher.root.clone())?;
    let goldsmith = |words: &[&str], output: &str| -> Result<Ran> {
        let mut command = env.command("goldsmith")?;
        let line = ["-n", "-t", "tar", "-o", output, "--progress", "plain", "like-ubuntu"];
        command
            .env("ARCHIVE", format!("{address}/"))
            .env("DIB_APT_KEYRING", env.path("elements/publisher/keys.asc"));
        ran(command.args(words).args(line))
    };
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs());
    let end = now()? + HOLDS;
    let date = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{end}"), "+%a, %d %b %Y %H:%M:%S UTC"])
        .env("LC_ALL", "C")
        .output()?;
    archive.publish_with(&format!("Valid-Until: {}", String::from_utf8(date.stdout)?))?;
    ok(&goldsmith(&["lock"], "a")?)?;
    while now()? <= end {
        std::thread::sleep(Duration::from_secs(1));
    }
    for more in [&["--locked", "--offline"][..], &["--locked", "--refresh"]] {
        ok(&goldsmith(&[&["build"], more].concat(), "b")?)?;
        let (one, other) = (fs_err::read(env.path("a.tar"))?, fs_err::read(env.path("b.tar"))?);
        ensure!(one == other, "{more:?}: not the same bytes");
    }
    fs_err::remove_file(env.path("goldsmith.lock"))?;
    let refused = goldsmith(&["build", "--refresh"], "c")?;
    ensure!(refused.status == 6 && refused.stderr.contains("expired on "), "{refused:#?}");
    ensure!(!env.path("c.tar").exists());
    Ok(())
}
