//! Hooks that come about while others run, and somebody who looks on.

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv, ran};

use crate::{member, ok};

const LINE: [&str; 7] = ["-n", "-t", "tar", "-o", "x", "small", "mine"];

// contract 9.3: the hooks tree may be changed by host phases.
#[test]
fn hooks_that_hooks_add_run() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element(
        "mine/extra-data.d/50-add",
        "#!/bin/bash\nset -eu\nfor phase in post-install post-root finalise; do\n\
         mkdir -p $TMP_HOOKS_PATH/$phase.d\nprintf '#!/bin/bash\\necho %s >> ${TARGET_ROOT:-}${1:-}/added\\n' $phase > $TMP_HOOKS_PATH/$phase.d/10-added\n\
         chmod +x $TMP_HOOKS_PATH/$phase.d/10-added\ndone\n\
         printf '#!/bin/bash\\necho post-root >> $TMP_MOUNT_PATH/added\\n' > $TMP_HOOKS_PATH/post-root.d/10-added\n",
    )?;
    ok(&env.run(&[&["build"], &LINE[..]].concat())?)?;
    let added = member(&env.path("x.tar"), "./added")?;
    ensure!(added == "post-install\npost-root\nfinalise\n", "{added}");
    let plan = env.run(&[&["plan"], &LINE[..]].concat())?;
    ensure!(plan.status == 0 && plan.stdout.contains("finalise"), "{plan:?}");
    ensure!(!plan.stdout.contains("pre-install"), "a phase without hooks is planned: {plan:?}");
    Ok(())
}

#[test]
fn scripts_of_first_boot_are_in_the_image() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/first-boot.d/10-a", "#!/bin/sh\necho ran > /root/first\n")?;
    let built = env.run_as("disk-image-create", &LINE)?;
    ok(&built)?;
    ensure!(built.stdout.contains("first-boot.d, which is deprecated"), "{built:?}");
    let tar = env.path("x.tar");
    let home = "./usr/local/lib/dib-first-boot";
    ensure!(member(&tar, &format!("{home}/first-boot.d/10-a"))?.contains("/root/first"));
    ensure!(member(&tar, "./etc/systemd/system/dib-first-boot.service")?.contains("/run"));
    Ok(())
}

// contract 9.25: break points, and a look from outside as the functional tests do it.
#[test]
fn a_failed_hook_can_be_looked_at_from_outside() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let host = HostInvariant::take(env.cache())?;
    env.element("mine/install.d/50-fail", "#!/bin/bash\necho marked > /tmp/mark\nexit 37\n")?;
    let mut command = env.command("disk-image-create")?;
    command
        .args(LINE)
        .env("break", "after-error")
        .env("break_outside_target", "1")
        .env("break_cmd", "cp $TMP_MOUNT_PATH/tmp/mark ./found");
    let failed = ran(&mut command)?;
    ensure!(failed.status == 37, "{failed:?}");
    ensure!(fs_err::read_to_string(env.path("found"))? == "marked\n");
    let mut command = env.command("disk-image-create")?;
    let unknown = ran(command.args(LINE).env("break", "before-instal"))?;
    ensure!(unknown.status == 1 && unknown.stderr.contains("before-install, "), "{unknown:?}");
    host.check(env.cache())
}
