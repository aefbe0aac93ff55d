//! Image layouts as directories: written whole, kept when they are up to date, pushed.

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{DockerRegistry, Ran, TestEnv};

use crate::ok;
use crate::registry::skopeo;

fn build(env: &TestEnv, types: &str) -> Result<Ran> {
    env.run(&["build", "-n", "--progress", "plain", "-t", types, "-o", "x", "small", "laid-out"])
}

fn digest(text: &str) -> Result<String> {
    let image: serde_json::Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
    Ok(image["Digest"].as_str().context("a digest")?.to_owned())
}

#[test]
fn a_layout_directory_is_the_archive_laid_out() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("laid-out/install.d/50-mark", "#!/bin/sh\necho laid-out > /etc/mark\n")?;
    let names = || -> Result<Vec<String>> {
        let list = fs_err::read_dir(env.directory.path())?;
        let names = list.map(|one| Ok(one?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.retain(|name| name != "elements" && !name.starts_with("bin-"));
        names.sort();
        Ok(names)
    };
    ok(&build(&env, "oci,oci-dir")?)?;
    ensure!(names()? == ["x.oci", "x.oci-dir"], "{:?}", names());
    // skopeo verifies every blob while it copies.
    let archive = digest(&skopeo(&env, &["inspect", "oci-archive:x.oci:latest"])?)?;
    ensure!(digest(&skopeo(&env, &["inspect", "oci:x.oci-dir:latest"])?)? == archive);
    skopeo(&env, &["copy", "oci:x.oci-dir:latest", "oci:copied:1"])?;

    let again = build(&env, "oci,oci-dir")?;
    ensure!(again.stderr.contains("x.oci-dir is up to date"), "{again:#?}");
    // Something of it is gone or another: it is written anew, whole.
    let blobs = env.path("x.oci-dir/blobs/sha256");
    let hex = archive.strip_prefix("sha256:").context("a digest")?;
    fs_err::remove_file(blobs.join(hex))?;
    ok(&build(&env, "oci,oci-dir")?)?;
    ensure!(blobs.join(hex).is_file(), "a blob is missing");
    fs_err::write(blobs.join(hex), "{}")?;
    env.element("laid-out/install.d/50-mark", "#!/bin/sh\necho again > /etc/mark\n")?;
    ok(&build(&env, "oci-dir")?)?;
    let other = digest(&skopeo(&env, &["inspect", "oci:x.oci-dir:latest"])?)?;
    ensure!(other != archive && !blobs.join(hex).exists(), "the older one is left: {other}");

    let registry = DockerRegistry::start(env.directory.path())?;
    let name = format!("{}/team/laid-out:1", registry.host);
    let push = |what: &str| env.run(&["push", what, &name, "--plain-http", &registry.host]);
    let pushed = push("x.oci-dir")?;
    ok(&pushed)?;
    ensure!(pushed.stdout.trim().ends_with(&format!("@{other}")), "{pushed:#?}");
    let there = skopeo(&env, &["inspect", "--tls-verify=false", &format!("docker://{name}")])?;
    ensure!(digest(&there)? == other, "{there}");

    // What is no layout is neither pushed nor replaced.
    let none = push("elements")?;
    ensure!(none.status == 2 && none.stderr.contains("has no oci-layout"), "{none:#?}");
    fs_err::remove_dir_all(env.path("x.oci-dir"))?;
    fs_err::create_dir(env.path("x.oci-dir"))?;
    fs_err::write(env.path("x.oci-dir/precious"), "")?;
    let refused = build(&env, "oci-dir")?;
    ensure!(refused.status == 2 && refused.stderr.contains("is no image layout"), "{refused:#?}");
    ensure!(env.path("x.oci-dir/precious").exists());
    Ok(())
}
