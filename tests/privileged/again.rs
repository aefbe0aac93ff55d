//! Builds by root whose outputs are there already.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv, ran};

pub(crate) const CASES: &[crate::Case] =
    &[("again::hooks_change_what_an_earlier_build_left_beside", changed)];

/// Replaces a directory as `manifests` does, and writes to a file that nobody else may read.
fn hook(word: &str) -> String {
    format!(
        "#!/bin/bash\nset -eu\nrm -rf out.d\nmkdir -p out.d/sub\necho {word} > out.d/sub/file\n\
         echo {word} >> log.txt\n[ \"$(stat -c %u:%g log.txt)\" = 0:0 ]\n"
    )
}

fn changed() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let log = env.path("log.txt");
    fs_err::write(&log, "mine\n")?;
    fs_err::set_permissions(&log, std::fs::Permissions::from_mode(0o600))?;
    let host = HostInvariant::take(env.cache())?;
    for word in ["one", "two"] {
        env.element("mine/cleanup.d/10-beside", &hook(word))?;
        let mut command = env.command("goldsmith")?;
        command.args(["build", "-n", "-t", "tar", "-o", "out", "--progress", "plain"]);
        let built = ran(command.args(["small", "mine"]))?;
        ensure!(built.status == 0, "{built:#?}");
        ensure!(fs_err::read_to_string(env.path("out.d/sub/file"))? == format!("{word}\n"));
    }
    ensure!(fs_err::read_to_string(&log)? == "mine\none\ntwo\n");
    let data = fs_err::metadata(&log)?;
    ensure!((data.uid(), data.gid(), data.mode() & 0o7777) == (0, 0, 0o600), "{data:?}");
    ensure!(fs_err::metadata(env.path("out.d/sub"))?.uid() == 0);
    host.check(env.cache())
}
