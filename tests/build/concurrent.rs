//! Two builds of one user at once, and a cache that is emptied beside them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use goldsmith_tests::{Answer, TestEnv, WebServer};

/// The cache that both bind, as dpkg elements do; nobody else's.
const BIND: &str = "#!/bin/bash\nset -eu\ncache=$DIB_IMAGE_CACHE/$TEST_CACHE\nmkdir -p $cache \
                    $TARGET_ROOT/var/cache/apt/archives\n\
                    sudo mount --bind $cache $TARGET_ROOT/var/cache/apt/archives\n";

/// Takes the lock as apt does, which does not wait, and keeps it until the test says so.
const USE: &str = "#!/bin/bash\nset -eu\ncd /var/cache/apt/archives\nexec 9> lock\n\
                   flock -n 9 || { echo 'Could not get lock'; exit 100; }\ntouch started-NAME\n\
                   while [ ! -e go ]; do sleep 0.1; done\n";

/// Waits for something that the other processes do; never decides how a test ends unless
/// they hang.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !done()? {
        if begun.elapsed() > Duration::from_secs(300) {
            bail!("still waiting for {what}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A running build, which a test that fails takes with it.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

fn start(env: &TestEnv, name: &str, cache: &str) -> Result<Running> {
    env.element(&format!("{name}/install.d/10-use"), &USE.replace("NAME", name))?;
    env.element(&format!("{name}/root.d/50-bind"), BIND)?;
    let mut command: Command = env.command("goldsmith")?;
    command
        .args(["build", "-n", "-t", "tar", "--progress", "plain", "-o", name, "small", name])
        .env("TEST_CACHE", cache)
        .stderr(Stdio::piped());
    Ok(Running(command.spawn()?))
}

/// Passes on what a build says, line by line.
pub(crate) fn lines(build: &mut Running) -> Result<impl Iterator<Item = String> + use<>> {
    let pipe = build.0.stderr.take().context("a pipe")?;
    Ok(BufReader::new(pipe).lines().map_while(|line| line.ok()))
}

#[test]
fn a_shared_package_cache_is_used_in_turn() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let name = env.directory.path().file_name().context("a directory has a name")?;
    let name = name.to_string_lossy().into_owned();
    let cache = env.cache().join("image-create").join(&name);
    let mut first = start(&env, "first", &name)?;
    wait_for("the first build", || {
        let ended = first.0.try_wait()?;
        ensure!(ended.is_none(), "{ended:?}: {:?}", lines(&mut first)?.collect::<Vec<_>>());
        Ok(cache.join("started-first").exists())
    })?;
    let mut second = start(&env, "second", &name)?;
    let mut said = lines(&mut second)?;
    let told = said.find(|line| line.contains("waiting for another build"));
    ensure!(told.is_some_and(|line| line.contains(&name)), "the second did not wait");
    ensure!(!cache.join("started-second").exists(), "the second did not wait");
    fs_err::write(cache.join("go"), "")?;
    let rest: Vec<_> = said.collect();
    ensure!(second.0.wait()?.success(), "{rest:?}");
    let rest: Vec<_> = lines(&mut first)?.collect();
    ensure!(first.0.wait()?.success(), "{rest:?}");
    ensure!(cache.join("started-second").exists());
    fs_err::remove_dir_all(&cache)?;
    Ok(())
}

/// Takes everything out of the cache, again and again, while two builds use it.
#[test]
fn full_prune_beside_builds_takes_nothing_that_they_use() -> Result<()> {
    let env = TestEnv::with_own_cache()?;
    env.small_os()?;
    let _emptied = crate::store::Emptied(&env);
    let mut builds = Vec::new();
    for name in ["first", "second"] {
        for phase in ["extra-data", "pre-install", "install", "post-install", "finalise"] {
            let to = if phase == "extra-data" { "$TMP_MOUNT_PATH" } else { "" };
            let hook = format!("#!/bin/bash\nset -eu\nsleep 1\necho {phase} >> {to}/etc/{name}\n");
            env.element(&format!("{name}/{phase}.d/10-x"), &hook)?;
        }
        let line = ["build", "-n", "-t", "tar", "--progress", "plain", "-o", name, "small", name];
        let mut command = env.command("goldsmith")?;
        let log = fs_err::File::create(env.path(&format!("{name}.log")))?;
        builds.push((name, Running(command.args(line).stderr(log.into_parts().0).spawn()?)));
    }
    let mut count = 0;
    wait_for("both builds", || {
        crate::ok(&env.run(&["store", "prune", "--max-size", "0"])?)?;
        count += 1;
        let ended =
            |(_, build): &mut (_, Running)| build.0.try_wait().map(|status| status.is_some());
        builds.iter_mut().map(ended).try_fold(true, |all, one| Ok(all & one?))
    })?;
    ensure!(count > 10, "it was emptied {count} times");
    for (name, build) in &mut builds {
        let log = fs_err::read_to_string(env.path(&format!("{name}.log")))?;
        ensure!(build.0.wait()?.success(), "{log}");
        let text = crate::member(&env.path(&format!("{name}.tar")), &format!("./etc/{name}"))?;
        ensure!(text == "extra-data\npre-install\ninstall\npost-install\nfinalise\n", "{text}");
    }
    crate::ok(&env.run(&["store", "fsck"])?)
}

/// How late servers answer: whoever does not wait for another's download asks meanwhile.
const LATE: Duration = Duration::from_secs(2);

/// Runs the same twice at once; the words for each are its own.
pub(crate) fn at_once(env: &TestEnv, words: impl Fn(&str) -> Vec<String>) -> Result<()> {
    let mut both = Vec::new();
    for name in ["one", "two"] {
        let mut command = env.command("goldsmith")?;
        let log = fs_err::File::create(env.path(&format!("{name}.log")))?;
        command.args(words(name)).stdout(Stdio::null()).stderr(log.into_parts().0);
        both.push((name, Running(command.spawn()?)));
    }
    for (name, running) in &mut both {
        let ended = running.0.wait()?;
        let log = fs_err::read_to_string(env.path(&format!("{name}.log")))?;
        ensure!(ended.success(), "{name}: {log}");
    }
    Ok(())
}

/// How often each path was asked for that has this in it.
fn counts(server: &WebServer, part: &str) -> std::collections::BTreeMap<String, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for asked in server.asked().into_iter().filter(|asked| asked.path.contains(part)) {
        *counts.entry(asked.path).or_default() += 1;
    }
    counts
}

#[test]
fn two_pulls_of_one_image_at_once_fetch_each_blob_once() -> Result<()> {
    let env = TestEnv::with_own_cache()?;
    let _emptied = crate::store::Emptied(&env);
    let layers = ["{\"etc/os-release\": \"ID=x\\n\", \"large\": 3000000}", "{\"small\": 10}"];
    let file = crate::tiny::make(&env, "image", "amd64", &layers)?;
    let layout = env.path("layout");
    fs_err::create_dir(&layout)?;
    let unpacked =
        Command::new("tar").arg("-xf").arg(env.path(&file)).arg("-C").arg(&layout).status()?;
    ensure!(unpacked.success(), "tar");
    let server = crate::once::registry(layout, LATE)?;
    let (host, name) = (server.host(), format!("{}/x:1", server.host()));
    at_once(&env, |_| {
        ["pull", "-a", "amd64", "--plain-http", &host, &name].map(str::to_owned).to_vec()
    })?;
    let blobs = counts(&server, "/blobs/");
    ensure!(blobs.len() == 3 && blobs.values().all(|count| *count == 1), "{blobs:?}");
    let listed = env.run(&["store", "ls"])?;
    ensure!(listed.stdout.contains(&name), "{listed:#?}");
    crate::ok(&env.run(&["store", "fsck"])?)
}

#[test]
fn two_builds_on_one_image_at_once_fetch_it_once() -> Result<()> {
    let env = TestEnv::new()?;
    let tree = env.path("tree/etc");
    fs_err::create_dir_all(&tree)?;
    fs_err::write(tree.join("mark"), format!("{}\n", env.directory.path().display()))?;
    let packed = Command::new("tar")
        .args(["--owner=0", "--group=0", "-czf", "root.tar.gz", "-C", "tree", "."])
        .current_dir(env.directory.path())
        .status()?;
    ensure!(packed.success(), "tar");
    let bytes = fs_err::read(env.path("root.tar.gz"))?;
    let sum = goldsmith_images::digest::Digest::of(&bytes).hex();
    let server = WebServer::start(move |_| {
        std::thread::sleep(LATE);
        Answer::new(200, bytes.clone())
    })?;
    env.element("based/element-provides", "operating-system\n")?;
    env.element("based/environment.d/10-x.bash", "export DISTRO_NAME=debian\n")?;
    let url = format!("{}/root.tar.gz", server.address());
    env.element("based/base.yaml", &format!("rootfs:\n  url: {url}\n  sha256: {sum}\n"))?;
    at_once(&env, |name| {
        ["build", "-n", "-a", "amd64", "-t", "tar", "-o", name, "based"].map(str::to_owned).to_vec()
    })?;
    ensure!(server.count() == 1, "{:?}", counts(&server, ""));
    let [one, two] =
        ["one.tar", "two.tar"].map(|name| crate::member(&env.path(name), "./etc/mark"));
    ensure!(one? == two?);
    Ok(())
}
