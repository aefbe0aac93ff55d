//! Two builds at once that lack the same step: one makes it, and the other waits for it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::TestEnv;
use rustix::process::{Pid, Signal, kill_process};

use crate::concurrent::{Running, at_once, lines, wait_for};

/// Counts in the cache of hooks how often it runs, and ends when the test says so.
const HOOK: &str = "#!/bin/bash\nset -eu\nplace=$DIB_IMAGE_CACHE/$TEST_PLACE\n\
                    echo made >> $place/count\nwhile [ ! -e $place/go ]; do sleep 0.1; done\n\
                    cat $place/count > $TARGET_ROOT/etc/count\n";

struct Site {
    env: TestEnv,
    place: PathBuf,
    name: String,
}

impl Site {
    fn new() -> Result<Self> {
        let env = TestEnv::with_small_os()?;
        env.element("slow/root.d/50-count", HOOK)?;
        let name = env.directory.path().file_name().context("a directory has a name")?;
        let name = name.to_string_lossy().into_owned();
        let place = env.cache().join("image-create").join(&name);
        fs_err::create_dir_all(&place)?;
        Ok(Self { env, place, name })
    }

    /// Starts a build in a directory of its own: all of them are the same to hooks.
    fn start(&self, directory: &str) -> Result<Running> {
        let directory = self.env.path(directory);
        fs_err::create_dir(&directory)?;
        let mut command = self.env.command("goldsmith")?;
        command
            .args(["build", "-n", "-t", "tar", "--progress", "plain", "-o", "x", "small", "slow"])
            .env("TEST_PLACE", &self.name)
            .current_dir(directory)
            .stderr(Stdio::piped());
        Ok(Running(command.spawn()?))
    }

    /// How often the step was made, or at least begun.
    fn count(&self) -> usize {
        fs_err::read_to_string(self.place.join("count")).unwrap_or_default().lines().count()
    }

    fn made(&self, times: usize, by: &mut Running) -> Result<()> {
        wait_for("the hook", || {
            let ended = by.0.try_wait()?;
            ensure!(ended.is_none(), "{ended:?}: {:?}", lines(by)?.collect::<Vec<_>>());
            Ok(self.count() >= times)
        })
    }

    /// Starts one that waits; what else it says.
    fn waiting(&self, directory: &str) -> Result<(Running, impl Iterator<Item = String> + use<>)> {
        let mut build = self.start(directory)?;
        let mut said = lines(&mut build)?;
        let told = said.find(|line| line.contains("waiting for another build that makes it"));
        ensure!(told.is_some_and(|line| line.contains("root: ")), "{directory} did not wait");
        Ok((build, said))
    }

    fn go(&self) -> Result<()> {
        Ok(fs_err::write(self.place.join("go"), "")?)
    }

    fn counted(&self, directory: &str) -> Result<String> {
        crate::member(&self.env.path(directory).join("x.tar"), "./etc/count")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(fs_err::remove_dir_all(&self.place));
    }
}

#[test]
fn a_step_that_two_builds_lack_is_made_once() -> Result<()> {
    let site = Site::new()?;
    let mut first = site.start("first")?;
    site.made(1, &mut first)?;
    let (mut second, said) = site.waiting("second")?;
    site.go()?;
    let rest: Vec<_> = said.collect();
    ensure!(second.0.wait()?.success(), "{rest:?}");
    let rest: Vec<_> = lines(&mut first)?.collect();
    ensure!(first.0.wait()?.success(), "{rest:?}");
    ensure!(site.count() == 1, "it was made {} times", site.count());
    for directory in ["first", "second"] {
        ensure!(site.counted(directory)? == "made\n", "{directory}");
    }
    Ok(())
}

#[test]
fn who_waits_can_be_interrupted_and_goes_on_after_a_kill_i30() -> Result<()> {
    let site = Site::new()?;
    let mut first = site.start("first")?;
    site.made(1, &mut first)?;
    let (mut second, said) = site.waiting("second")?;
    // Interrupted, one ends while the others go on.
    let (mut third, last) = site.waiting("third")?;
    let begun = Instant::now();
    kill_process(Pid::from_child(&third.0), Signal::INT)?;
    // Read to its end: who writes to nobody dies of that instead.
    let last: Vec<_> = last.collect();
    let status = third.0.wait()?;
    ensure!(status.code() == Some(130), "{status:?}: {last:?}");
    ensure!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
    ensure!(first.0.try_wait()?.is_none() && second.0.try_wait()?.is_none());
    ensure!(site.count() == 1, "it was made {} times", site.count());
    // The kernel takes the lock back, and the second one makes the step.
    first.0.kill()?;
    first.0.wait()?;
    wait_for("the second build", || {
        let ended = second.0.try_wait()?;
        ensure!(ended.is_none(), "{ended:?}");
        Ok(site.count() == 2)
    })?;
    site.go()?;
    let rest: Vec<_> = said.collect();
    ensure!(second.0.wait()?.success(), "{rest:?}");
    ensure!(site.count() == 2 && site.counted("second")? == "made\nmade\n", "{rest:?}");
    let left = fs_err::read_dir(site.env.cache().join("making"))?.count();
    ensure!(left == 0, "{left} locks of the dead are left");
    Ok(())
}

#[test]
fn a_layer_that_two_pulls_want_is_unpacked_once() -> Result<()> {
    let env = TestEnv::with_own_cache()?;
    let _emptied = crate::store::Emptied(&env);
    let layers = ["{\"etc/os-release\": \"ID=x\\n\", \"large\": 30000000}", "{\"small\": 10}"];
    let file = crate::tiny::make(&env, "image", "amd64", &layers)?;
    // The blobs are there: both come to the layers at the same time.
    let layout = env.path("layout");
    fs_err::create_dir(&layout)?;
    crate::registry::tool(&env, "tar", &["-xf", &file, "-C", "layout"])?;
    let server = crate::once::registry(layout, Duration::from_secs(1))?;
    let (host, name) = (server.host(), format!("{}/x:1", server.host()));
    at_once(&env, |_| {
        ["pull", "-a", "amd64", "--plain-http", &host, &name].map(str::to_owned).to_vec()
    })?;
    let used = env.run(&["store", "du", "--json"])?;
    let used: serde_json::Value = serde_json::from_str(&used.stdout)?;
    ensure!(used["kinds"]["snapshots"]["count"] == layers.len(), "{used}");
    Ok(())
}
