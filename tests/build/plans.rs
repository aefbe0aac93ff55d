//! What `plan` says a build will do is what the build does.

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{Ran, TestEnv};

use crate::{member, ok};

const ELEMENTS: [&str; 2] = ["small", "mine"];

/// Steps of a plan: name, key, what the cache says.
type Steps = Vec<(String, String, String)>;

/// An image of this test's own: no other test, and no run before, has made its steps.
fn unique_os() -> Result<TestEnv> {
    let env = TestEnv::with_small_os()?;
    // Data of elements is part of every phase's key.
    env.element("mine/unique", &format!("{:?}\n", std::time::SystemTime::now()))?;
    env.element("mine/install.d/10-a", "#!/bin/sh\ndate +%s.%N > /when\n")?;
    env.element("mine/post-install.d/10-b", "#!/bin/sh\necho one > /which\n")?;
    env.element("mine/finalise.d/10-c", "#!/bin/sh\necho \"$DIB_IMAGE_SIZE\" > /size\n")?;
    Ok(env)
}

fn line<'a>(words: &[&'a str], output: &'a str) -> Vec<&'a str> {
    let mut line = words.to_vec();
    line.extend(["-n", "-t", "tar,raw", "-o", output]);
    line.extend(ELEMENTS);
    line
}

fn build(env: &TestEnv, output: &str) -> Result<Ran> {
    let ran = env.run(&line(&["build", "--progress", "plain"], output))?;
    ok(&ran)?;
    Ok(ran)
}

fn read(ran: &Ran) -> Result<Steps> {
    ok(ran)?;
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = plan["steps"].as_array().context("a plan has steps")?;
    Ok(list.iter().map(|s| (word(&s["step"]), word(&s["key"]), word(&s["cache"]))).collect())
}

fn plan(env: &TestEnv, output: &str) -> Result<Steps> {
    read(&env.run(&line(&["plan", "--json"], output))?)
}

/// The verdicts of the image's own steps: other tests share tools and base.
fn own(steps: &Steps) -> Vec<(&str, &str)> {
    let own = steps.iter().filter(|(step, ..)| step != "tools" && step != "base");
    own.map(|(step, _, cache)| (step.as_str(), cache.as_str())).collect()
}

/// The steps that a build ran. The hooks tree is generated beside the chain.
fn ran_steps(ran: &Ran) -> Vec<&str> {
    let said = ran.stderr.lines().filter_map(|line| Some(line.split_once("| == ")?.1));
    said.filter(|step| !step.contains(": ") && *step != "hooks").collect()
}

#[test]
fn a_plan_says_what_the_build_then_does() -> Result<()> {
    let env = unique_os()?;
    let before = plan(&env, "p")?;
    ensure!(own(&before).iter().all(|(_, cache)| *cache == "miss"), "{before:?}");
    let names: Vec<_> = before.iter().map(|(step, ..)| step.as_str()).collect();
    ensure!(
        names
            == [
                "tools",
                "base",
                "extra-data",
                "install",
                "post-install",
                "layout",
                "finalise",
                "cleanup",
                "output"
            ],
        "{names:?}"
    );
    build(&env, "p")?;
    for (step, key, _) in &before {
        let path = env.cache().join("steps").join(format!("{key}.json"));
        let record: serde_json::Value = serde_json::from_slice(&fs_err::read(path)?)?;
        ensure!(record["name"] == step.as_str(), "{step} is recorded as {}", record["name"]);
    }
    let after = plan(&env, "p")?;
    ensure!(after.iter().all(|(.., cache)| cache == "hit"), "{after:?}");
    let keys = |steps: &Steps| steps.iter().map(|(_, key, _)| key.clone()).collect::<Vec<_>>();
    ensure!(keys(&before) == keys(&after), "keys differ: {before:?} {after:?}");
    let size = member(&env.path("p.tar"), "./size")?;
    ensure!(size.trim().parse::<u64>().is_ok_and(|kib| kib > 0), "finalise.d saw size {size:?}");
    let shown = env.run(&line(&["plan"], "p"))?;
    for (step, key, _) in &after {
        let row = format!("{step:16} {}  hit\n", &key[..12]);
        ensure!(shown.stdout.contains(&row), "{row:?} in {}", shown.stdout);
    }

    env.element("mine/post-install.d/10-b", "#!/bin/sh\necho two > /which\n")?;
    let touched = plan(&env, "p")?;
    let changed = touched.iter().position(|(step, ..)| step == "post-install");
    for (at, (step, key, cache)) in touched.iter().enumerate() {
        let follows = Some(at) >= changed;
        ensure!(cache == if follows { "miss" } else { "hit" }, "{step} is a {cache}");
        ensure!((*key != before[at].1) == follows, "the key of {step}");
    }
    let ran = build(&env, "p")?;
    let missed: Vec<_> =
        touched.iter().filter(|(.., c)| c == "miss").map(|(step, ..)| step.as_str()).collect();
    ensure!(ran_steps(&ran) == missed, "{missed:?} was planned: {ran:?}");

    fs_err::remove_file(env.path("p.raw"))?;
    let gone = plan(&env, "p")?;
    let (last, others) = gone.split_last().context("steps")?;
    ensure!(last.2 == "miss" && others.iter().all(|(.., c)| c == "hit"), "{gone:?}");
    Ok(())
}

#[test]
fn steps_that_have_grown_old_run_and_so_does_what_follows() -> Result<()> {
    let env = unique_os()?;
    build(&env, "old")?;
    let when = member(&env.path("old.tar"), "./when")?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let mut command = env.command("goldsmith")?;
    command.env("GOLDSMITH_STEP_MAX_AGE", "0");
    let ran = goldsmith_tests::ran(command.args(line(&["plan", "--json"], "old")))?;
    let steps = read(&ran)?;
    let wanted = [
        ("extra-data", "stale"),
        ("install", "stale"),
        ("post-install", "stale"),
        ("layout", "miss"),
        ("finalise", "stale"),
        ("cleanup", "stale"),
        ("output", "miss"),
    ];
    ensure!(own(&steps) == wanted, "{steps:?}");
    let mut command = env.command("goldsmith")?;
    command.env("GOLDSMITH_STEP_MAX_AGE", "0");
    let ran = goldsmith_tests::ran(command.args(line(&["build", "--progress", "plain"], "old")))?;
    ok(&ran)?;
    ensure!(ran_steps(&ran) == wanted.map(|(step, _)| step), "{ran:?}");
    ensure!(member(&env.path("old.tar"), "./when")? != when, "the old tree is in the image");
    let after = plan(&env, "old")?;
    ensure!(own(&after).iter().all(|(_, cache)| *cache == "hit"), "{after:?}");
    Ok(())
}

// An element's layout without a place for its boot loader is refused; a user's own may go with a
// boot loader of their own.
#[test]
fn a_layout_without_a_place_for_grub_is_refused_or_told() -> Result<()> {
    let env = TestEnv::new()?;
    let layout = include_str!("../../elements/block-device-gpt/block-device-default.yaml");
    let without = layout.replace("type: 'EF02'", "type: '8300'");
    ensure!(without != layout, "{layout}");
    let line =
        ["plan", "-a", "amd64", "-t", "raw", "-o", "x", "debian-minimal", "vm", "block-device-gpt"];
    let what = "partitioning_image0: there is no partition of type EF02, where GRUB for BIOS goes";
    let mut command = env.command("goldsmith")?;
    let told = goldsmith_tests::ran(command.env("DIB_BLOCK_DEVICE_CONFIG", &without).args(line))?;
    ok(&told)?;
    let warned = told.stderr.lines().any(|line| {
        line.contains(what) && line.contains("unless the image brings another (element")
    });
    ensure!(warned, "{told:#?}");
    env.element("block-device-gpt/block-device-default.yaml", &without)?;
    env.element("block-device-gpt/element-provides", "block-device\n")?;
    let refused = env.run(&line)?;
    ensure!(refused.status == 3 && refused.stderr.contains(what), "{refused:#?}");
    Ok(())
}
