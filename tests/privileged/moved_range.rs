//! Root's range of ids moves when somebody is given the one that it had.

use std::os::unix::fs::{MetadataExt, lchown};

use anyhow::{Result, ensure};
use goldsmith_tests::TestEnv;

pub(crate) const CASES: &[crate::Case] =
    &[("moved_range::hooks_write_to_their_cache_all_the_same", adopted)];

fn adopted() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let line = ["build", "-n", "-t", "tar", "-o", "x", "--progress", "plain", "small", "mine"];
    for turn in [1, 2] {
        // A text of its own for each run of the test: a cached step would not write it.
        let turn = format!("{turn} of {}", std::process::id());
        let hook = format!(
            "#!/bin/bash\nset -eu\nmkdir -p $DIB_IMAGE_CACHE/mine\necho '{turn}' > $DIB_IMAGE_CACHE/mine/turn\n"
        );
        env.element("mine/extra-data.d/10-cache", &hook)?;
        let ran = env.run(&line)?;
        ensure!(ran.status == 0, "{ran:#?}");
        let directory = env.cache().join("image-create");
        let turn_file = directory.join("mine/turn");
        ensure!(fs_err::read_to_string(&turn_file)?.trim() == turn);
        let owner = fs_err::metadata(&directory)?.uid();
        ensure!(fs_err::metadata(&turn_file)?.uid() == owner, "two owners");
        // Somebody else's range, as if it had been goldsmith's.
        for path in [&turn_file, &directory.join("mine"), &directory] {
            let moved = fs_err::metadata(path)?.uid() - owner + 7_000_000;
            lchown(path, Some(moved), Some(moved))?;
        }
    }
    Ok(())
}
