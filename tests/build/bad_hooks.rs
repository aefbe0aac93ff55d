//! Hooks that go wrong: what is said, with which status, and what stays cached.

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, Ran, TestEnv};

use crate::{member, ok};

const LINE: [&str; 7] = ["-n", "-t", "tar", "-o", "x", "small", "mine"];

fn has(ran: &Ran, texts: &[&str]) -> Result<()> {
    for text in texts {
        ensure!(ran.stdout.contains(text) || ran.stderr.contains(text), "no {text:?} in {ran:?}");
    }
    Ok(())
}

/// Text of a hook, its exit status, and what is said beside its name.
const HOOKS: [(&str, i32, &[&str]); 6] = [
    ("#!/bin/bash\nfor n in {1..60}; do echo line-$n; done\nexit 37\n", 37, &["| line-60"]),
    ("#!/bin/bash\nkill -SEGV $$\n", 139, &["status 139, as after signal 11"]),
    ("#!/bin/bash\nkill -KILL $PPID; sleep 5\n", 137, &["status 137, as after signal 9"]),
    ("#!/no/such/interpreter -x\n", 127, &["asks for /no/such/interpreter, which is not there"]),
    (
        "#!/bin/bash\n(setsid sh -c 'sleep 1000 & echo daemon; exec sleep 1000' &)\nsleep 0.2\nexit 3\n",
        3,
        &["| daemon"],
    ),
    ("#!/bin/bash\nset -eu\necho $NO_SUCH_VARIABLE\n", 1, &["NO_SUCH_VARIABLE: unbound variable"]),
];

// The bad input of hooks: each ends with its own status, names phase, element and file, shows
// its last lines and how to look at what it left; earlier steps stay cached.
#[test]
fn a_bad_hook_is_named_and_costs_no_earlier_step() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let host = HostInvariant::take(env.cache())?;
    env.element("mine/install.d/10-good", "#!/bin/sh\necho good > /good\n")?;
    ok(&env.run_as("disk-image-create", &LINE)?)?;
    for (text, status, said) in HOOKS {
        env.element("mine/post-install.d/50-bad", text)?;
        let ran = env.run_as("disk-image-create", &LINE)?;
        ensure!(ran.status == status, "{text:?}: {ran:?}");
        let file = env.path("elements/mine/post-install.d/50-bad");
        has(
            &ran,
            &[
                "install: cached",
                "hook post-install.d/50-bad of element mine ",
                &format!("the hook is {}", file.display()),
                "lines of post-install.d:",
                "`goldsmith run --failed -- bash`",
            ],
        )?;
        has(&ran, said)?;
        ensure!(!ran.stderr.contains("| line-20\n"), "more than the last lines: {ran:?}");
        let look = env.run(&["run", "--failed", "--", "cat", "/good"])?;
        ensure!(look.stdout == "good\n", "{look:?}");
    }
    host.check(env.cache())
}

#[test]
fn daemons_of_a_good_hook_end_with_its_phase() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let host = HostInvariant::take(env.cache())?;
    env.element(
        "mine/install.d/10-daemon",
        "#!/bin/bash\n(setsid sh -c 'sleep 1000 & exec sleep 1000' &)\necho $$ > /ran\n",
    )?;
    env.element("mine/root.d/10-daemon", "#!/bin/bash\n(setsid sleep 1000 &)\n")?;
    // What DIB calls a hook and is none: no failure, but told.
    env.element("mine/install.d/20-off", "echo never > /off\n")?;
    let ran = env.run_as("disk-image-create", &LINE)?;
    ok(&ran)?;
    has(&ran, &["install.d/20-off of element mine is not executable"])?;
    ensure!(!member(&env.path("x.tar"), "./ran")?.is_empty());
    ensure!(member(&env.path("x.tar"), "./off").is_err(), "it ran");
    host.check(env.cache())
}

/// Data files of elements, what is wrong with them, and the line that is told.
const DATA: [(&str, &str, usize); 4] = [
    ("package-installs.yaml", "fine:\nbad: [\n", 2),
    ("package-installs.json", "{\n  \"bad\": ,\n}\n", 2),
    ("pkg-map", "{\n  \"default\": {\n", 3),
    ("svc-map", "fine:\n  default: x\nbad: a: b\n", 3),
];

#[test]
fn data_files_that_no_hook_can_read_are_named_with_their_line() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/element-deps", "package-installs\npkg-map\nsvc-map\n")?;
    let names = "#!/bin/bash\nset -eu\npkg-map --element mine --distro debian x\n";
    env.element("mine/post-install.d/50-names", names)?;
    for (name, text, line) in DATA {
        let file = env.path(&format!("elements/mine/{name}"));
        fs_err::write(&file, text)?;
        let ran = env.run_as("disk-image-create", &LINE)?;
        ensure!(ran.status == 1, "{name}: {ran:?}");
        let place = format!("{}:{line} of element mine: no ", file.display());
        has(&ran, &[&place, "of element ", "exited with status 1", "lines of "])?;
        fs_err::remove_file(&file)?;
    }
    Ok(())
}
