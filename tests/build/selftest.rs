//! `goldsmith elements test` with test elements that are built.

use anyhow::{Result, ensure};
use goldsmith_tests::TestEnv;

const HOOK: &str = "install.d/10-x";

#[test]
fn test_elements_pass_fail_and_fail_as_they_should() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/install.d/05-mine", "#!/bin/sh\necho mine > /mine\n")?;
    for (name, hook) in [
        // Elements of tests see the element that they test.
        ("works", "#!/bin/sh\ntest -e /mine\n"),
        ("fails", "#!/bin/sh\necho said before >&2\nexit 3\n"),
        ("fails-rightly", "#!/bin/sh\ntouch /tmp/dib-test-should-fail\nexit 1\n"),
    ] {
        env.element(&format!("mine/test-elements/{name}/element-deps"), "small\n")?;
        env.element(&format!("mine/test-elements/{name}/{HOOK}"), hook)?;
    }
    env.element("mine/test-elements/works/test-output-formats", "tar,qcow2\n")?;
    let ran = env.run(&["elements", "test", "--logs", "logs", "^mine/"])?;
    ensure!(ran.status == 1, "{ran:#?}");
    for part in [
        "pass mine/works (",
        " s, failed as it should)\n",
        "said before\n",
        " s): the build failed: exit status: 3; /",
        "2 passed, 1 failed\n",
    ] {
        ensure!(ran.stdout.contains(part), "{part:?} in {ran:#?}");
    }
    let log = fs_err::read_to_string(env.path("logs/mine-works.log"))?;
    ensure!(log.contains("Build completed successfully"), "{log}");
    let ran = env.run(&["elements", "test", "mine/(works|fails-rightly)$"])?;
    ensure!(ran.status == 0 && ran.stdout.ends_with("2 passed, 0 failed\n"), "{ran:#?}");
    Ok(())
}
