//! `--offline`: an image of a registry that is gone, taken from the cache or missed by name.

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{DockerRegistry, Ran, TestEnv, ran};

use crate::{member, ok, tiny};

/// A build by a container file on an image of `host`.
fn build(env: &TestEnv, host: &str, more: &[&str]) -> Result<Ran> {
    let line = ["-n", "-a", "amd64", "-t", "tar", "--progress", "plain"];
    let (verb, more) = more.split_first().context("a verb")?;
    let mut command = env.command("goldsmith")?;
    command
        .env("GOLDSMITH_PLAIN_HTTP", host)
        .env("DIB_CONTAINERFILE_DOCKERFILE", env.path("Containerfile"))
        .arg(verb)
        .args(line)
        .args(more)
        .arg("containerfile");
    ran(&mut command)
}

/// The container file says this now.
fn says(env: &TestEnv, from: &str, mark: &str) -> Result<()> {
    let text = format!("FROM {from}\nRUN [\"/bin/goldsmith\", \"--{mark}\"]\n");
    Ok(fs_err::write(env.path("Containerfile"), text)?)
}

#[test]
fn nobody_is_asked_for_an_image_that_is_there() -> Result<()> {
    let env = TestEnv::new()?;
    let registry = DockerRegistry::start(env.directory.path())?;
    let host = registry.host.clone();
    let name = format!("{host}/offline/app:1");
    // A program without a library, for RUN.
    let program = env.path("image/bin/goldsmith");
    fs_err::create_dir_all(env.path("image/bin"))?;
    fs_err::copy(env.command("goldsmith")?.get_program(), &program)?;
    fs_err::create_dir_all(env.path("image/etc"))?;
    fs_err::write(env.path("image/etc/os-release"), format!("ID=debian\nMARK={host}\n"))?;
    let tree = format!("@{}", env.path("image").display());
    let digest = tiny::push(&env, "app", &[&tree], &name)?;

    says(&env, &name, "version")?;
    ok(&build(&env, &host, &["build", "-o", "x"])?)?;
    ok(&build(&env, &host, &["lock", "-f", "app.lock", "-o", "x"])?)?;
    let lock = fs_err::read_to_string(env.path("app.lock"))?;
    ensure!(lock.contains(&digest), "{lock}");
    drop(registry);

    // What is done on the image has changed, the image has not.
    says(&env, &name, "help")?;
    ok(&build(&env, &host, &["build", "--offline", "-o", "y"])?)?;
    ensure!(member(&env.path("y.tar"), "./etc/os-release")?.contains(&host));
    // A digest is nothing else later: nobody is asked what it stands for.
    let pinned = format!("{host}/offline/app@{digest}");
    says(&env, &pinned, "version")?;
    forget(&env, &digest)?;
    ok(&build(&env, &host, &["build", "-o", "y"])?)?;

    // Under the lock everything is made anew, also when it is not known what names stood for.
    says(&env, &name, "version")?;
    let locked = ["build", "--locked", "--lock", "app.lock", "--offline", "-o", "y"];
    ok(&build(&env, &host, &[&locked[..], &["--refresh"]].concat())?)?;
    let forgotten = forget(&env, &digest)?;
    ensure!(forgotten >= 3, "{forgotten} records");
    ok(&build(&env, &host, &locked)?)?;

    // A layer that is gone is missed by name, whoever asks.
    let layer = layer(&env, &digest)?;
    fs_err::remove_file(blob(&env, &layer))?;
    forget(&env, &digest)?;
    let missing = build(&env, &host, &locked)?;
    ensure!(missing.status == 5 && missing.stderr.contains(&layer), "{missing:#?}");
    ensure!(missing.stderr.contains("app.lock"), "{missing:#?}");
    says(&env, &pinned, "help")?;
    let missing = build(&env, &host, &["build", "--offline", "-o", "y"])?;
    ensure!(missing.status == 1 && missing.stderr.contains("--offline forbids"), "{missing:#?}");
    ensure!(missing.stderr.contains(&layer), "{missing:#?}");
    // So is an image that nothing is known of.
    forget(&env, &digest)?;
    fs_err::remove_file(blob(&env, &digest))?;
    says(&env, &name, "version")?;
    let missing = build(&env, &host, &locked)?;
    ensure!(missing.status == 5 && missing.stderr.contains(&digest), "{missing:#?}");
    for image in [&name, &pinned] {
        let _unknown = env.run(&["store", "rm", image])?;
    }
    Ok(())
}

fn blob(env: &TestEnv, digest: &str) -> std::path::PathBuf {
    env.cache().join("blobs").join(digest.replace(':', "/"))
}

/// The only layer of an image.
fn layer(env: &TestEnv, digest: &str) -> Result<String> {
    let manifest = fs_err::read(blob(env, digest))?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
    let layer = manifest["layers"][0]["digest"].as_str();
    layer.map(str::to_owned).with_context(|| manifest.to_string())
}

/// Takes away what the store remembers of names for an image and of bases made of it; says how
/// many records there were.
fn forget(env: &TestEnv, digest: &str) -> Result<usize> {
    let mut count = 0;
    for entry in fs_err::read_dir(env.cache().join("steps"))? {
        let path = entry?.path();
        let Ok(text) = fs_err::read_to_string(&path) else { continue };
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if value["manifest"] == digest || value["data"] == digest {
            fs_err::remove_file(path)?;
            count += 1;
        }
    }
    Ok(count)
}
