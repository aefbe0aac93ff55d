//! The cache: shown, checked, made smaller; by documentation, beside others at work, killed.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{DockerRegistry, HostInvariant, TestEnv};

use crate::{ok, tiny};

const GUIDE: &str = include_str!("../../docs/cache.md");

/// Takes everything out of a test's own cache, whoever owns it.
pub(crate) struct Emptied<'a>(pub(crate) &'a TestEnv);

impl Drop for Emptied<'_> {
    fn drop(&mut self) {
        drop(self.0.run(&["store", "prune", "--max-size", "0"]));
    }
}

/// Images with names 0, 1, ... of two small layers and a large one, which they share.
fn images(env: &TestEnv, host: &str, count: usize) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for number in 0..count {
        let name = format!("{host}/tiny/app:{number}");
        let own = format!("{{\"etc/os-release\": \"ID={number}\\n\", \"own\": 100000}}");
        let layers = ["{\"large\": 3000000}", own.as_str(), "{\"usr/bin/tool\": \"x\"}"];
        tiny::push(env, &format!("image-{number}"), &layers, &name)?;
        names.push(name);
    }
    Ok(names)
}

fn pull(env: &TestEnv, name: &str) -> Result<goldsmith_tests::Ran> {
    let host = name.split('/').next().unwrap_or_default();
    env.run(&["pull", name, "--plain-http", host])
}

fn json(env: &TestEnv, line: &[&str]) -> Result<serde_json::Value> {
    let ran = env.run(line)?;
    serde_json::from_str(&ran.stdout).with_context(|| format!("{ran:#?}"))
}

#[test]
fn the_cache_is_shown_checked_and_made_smaller() -> Result<()> {
    let env = TestEnv::with_own_cache()?;
    let _emptied = Emptied(&env);
    let registry = DockerRegistry::start(env.directory.path())?;
    let names = images(&env, &registry.host, 2)?;
    for name in &names {
        ok(&pull(&env, name)?)?;
    }
    // Every example of the documentation.
    let lines: Vec<_> = GUIDE.lines().filter(|line| line.starts_with("goldsmith store ")).collect();
    ensure!(lines.len() >= 6, "the guide has lost its examples");
    for line in lines {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        let words: Vec<_> = words
            .iter()
            .map(|word| if *word == "NAME" { names[0].as_str() } else { word })
            .collect();
        ok(&env.run(&words)?).context(line.to_owned())?;
    }
    ok(&pull(&env, &names[0])?)?;
    let used = json(&env, &["store", "du", "--json"])?;
    // The large layer once: its blob and its tree.
    ensure!(used["kinds"]["snapshots"]["count"] == 5, "{used}");
    let snapshots = used["kinds"]["snapshots"]["bytes"].as_u64().unwrap_or_default();
    ensure!((3_200_000..4_000_000).contains(&snapshots), "{used}");
    let blobs = used["kinds"]["blobs"]["bytes"].as_u64().unwrap_or_default();
    ensure!((3_000_000..4_000_000).contains(&blobs), "{used}");

    // A byte of a blob flips, and a tree loses a file.
    let cache = env.cache();
    let mut all = Vec::new();
    for entry in fs_err::read_dir(cache.join("blobs/sha256"))? {
        let path = entry?.path();
        all.push((fs_err::metadata(&path)?.len(), path));
    }
    all.sort();
    let (_, largest) = all.last().context("there are blobs")?;
    let mut bytes = fs_err::read(largest)?;
    bytes[1_000_000] ^= 1;
    fs_err::write(largest, bytes)?;
    let broken = env.run(&["store", "fsck"])?;
    ensure!(
        broken.status == 6 && broken.stdout.contains("another digest than its name"),
        "{broken:#?}"
    );
    let told = json(&env, &["store", "fsck", "--json"])?;
    ensure!(told["findings"][0]["place"]["kind"] == "blob", "{told}");
    let repaired = env.run(&["store", "fsck", "--repair"])?;
    ensure!(repaired.status == 0 && repaired.stdout.contains("(removed)"), "{repaired:#?}");
    // The images that had it are not whole.
    let second = env.run(&["store", "fsck", "--repair"])?;
    ensure!(second.status == 0 && second.stdout.contains("is missing or not whole"), "{second:#?}");
    let whole = env.run(&["store", "fsck"])?;
    ensure!(whole.status == 0 && whole.stdout == "the cache is whole\n", "{whole:#?}");
    for name in &names {
        ok(&pull(&env, name)?)?;
    }
    let whole = env.run(&["store", "fsck"])?;
    ensure!(whole.status == 0, "{whole:#?}");

    let pruned = env.run(&["store", "prune", "--max-size", "1MB"])?;
    ok(&pruned)?;
    let used = json(&env, &["store", "du", "--json"])?;
    ensure!(used["bytes"].as_u64().is_some_and(|bytes| bytes < 1_000_000), "{used} {pruned:#?}");
    ok(&env.run(&["store", "prune", "--max-size", "0"])?)?;
    let used = json(&env, &["store", "du", "--json"])?;
    for kind in ["blobs", "snapshots", "steps", "downloads"] {
        ensure!(used["kinds"][kind]["count"] == 0, "{used}");
    }
    Ok(())
}

/// Starts a program of which nothing is heard any more.
fn start(env: &TestEnv, line: &[&str]) -> Result<Child> {
    let mut command = env.command("goldsmith")?;
    Ok(command.args(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

#[test]
fn killed_at_any_moment_the_cache_is_whole_again_i30() -> Result<()> {
    let env = TestEnv::with_own_cache()?;
    let _emptied = Emptied(&env);
    let registry = DockerRegistry::start(env.directory.path())?;
    let names = images(&env, &registry.host, 3)?;
    let host = HostInvariant::take(env.cache())?;
    let rounds: u64 = if std::env::var_os("GOLDSMITH_FULL").is_some() { 60 } else { 15 };
    for round in 0..rounds {
        // Spread over their time without chance, so that a failure repeats.
        let moment = |step: u64, most: u64| Duration::from_millis(5 + round * step % most);
        let name = names[usize::try_from(round % 3)?].as_str();
        let mut pulling = start(&env, &["pull", name, "--plain-http", &registry.host])?;
        let mut pruning = start(&env, &["store", "prune", "--max-size", "2MB"])?;
        std::thread::sleep(moment(37, 250));
        let mut collecting = start(&env, &["store", "gc", "--older-than", "0"])?;
        std::thread::sleep(moment(23, 120));
        for child in [&mut pruning, &mut pulling, &mut collecting] {
            child.kill()?;
            child.wait()?;
        }
        if round % 5 == 4 {
            // What is left is remains at most: nothing whole is wrong.
            let told = json(&env, &["store", "fsck", "--json"])?;
            for finding in told["findings"].as_array().into_iter().flatten() {
                let kind = finding["place"]["kind"].as_str().unwrap_or_default();
                ensure!(["remains", "stray", "record", "image"].contains(&kind), "{told:#}");
            }
            ok(&pull(&env, name)?)?;
        }
    }
    ok(&env.run(&["store", "fsck", "--repair"])?)?;
    ok(&env.run(&["store", "gc", "--older-than", "0"])?)?;
    for name in &names {
        ok(&pull(&env, name)?)?;
    }
    let whole = env.run(&["store", "fsck"])?;
    ensure!(whole.status == 0, "{whole:#?}");
    host.check(env.cache())
}
