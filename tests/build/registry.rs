//! Images for registries: built, read by other tools, pushed to a real registry, pulled back.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{DockerRegistry, TestEnv};

use crate::ok;

/// Runs another tool, which must succeed, and returns what it prints.
fn tool(env: &TestEnv, name: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(name)
        .args(arguments)
        .current_dir(env.directory.path())
        .env("HOME", env.directory.path())
        .env("XDG_RUNTIME_DIR", env.directory.path())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{name}, of the package of that name"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {arguments:?}: {text}{told}");
    Ok(text)
}

/// skopeo without a policy of the host's.
fn skopeo(env: &TestEnv, arguments: &[&str]) -> Result<String> {
    let mut all = vec!["--insecure-policy"];
    all.extend(arguments);
    tool(env, "skopeo", &all)
}

fn json(text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).with_context(|| text.to_owned())
}

#[test]
fn images_go_to_a_registry_and_come_back() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element(
        "shipped-image/install.d/50-mark",
        "#!/bin/sh\nset -eu\necho of-the-registry > /etc/mark\nrm /etc/debian_version\n",
    )?;
    let build = |output: &str, more: &[&str]| -> Result<()> {
        let mut line = vec!["build", "-n", "--progress", "plain", "-t", "oci,docker", "-o", output];
        line.extend(more);
        line.extend(["small", "shipped-image"]);
        let mut command = env.command("goldsmith")?;
        command.env("SOURCE_DATE_EPOCH", "1700000000").env("DOCKER_TARGET", "example/app:1");
        ok(&goldsmith_tests::ran(command.args(line))?)
    };
    build("x", &[])?;
    build("y", &[])?;
    for ending in ["oci", "docker.tar"] {
        let (one, two) = (env.path(&format!("x.{ending}")), env.path(&format!("y.{ending}")));
        let same = Command::new("cmp").args([one, two]).output()?;
        ensure!(same.status.success(), "{ending}: {same:?}");
    }
    read_by_others(&env)?;
    let registry = DockerRegistry::start(env.directory.path())?;
    sent_and_fetched(&env, &registry.host)?;
    fetched_from_others(&env, &registry.host, &build)?;
    built_by_a_container_file(&env, &registry.host)
}

/// What skopeo and umoci say of the archives.
fn read_by_others(env: &TestEnv) -> Result<()> {
    let image = json(&skopeo(env, &["inspect", "oci-archive:x.oci:latest"])?)?;
    ensure!(image["Architecture"] == "amd64" && image["Os"] == "linux", "{image}");
    ensure!(image["Created"] == "2023-11-14T22:13:20Z", "{image}");
    ensure!(image["Layers"].as_array().is_some_and(|layers| layers.len() == 2), "{image}");
    let docker = json(&skopeo(env, &["inspect", "docker-archive:x.docker.tar"])?)?;
    ensure!(docker["RepoTags"].is_array(), "{docker}");
    // It verifies every layer while it copies.
    skopeo(env, &["copy", "docker-archive:x.docker.tar:example/app:1", "oci:from-docker:a"])?;
    skopeo(env, &["copy", "oci-archive:x.oci:latest", "oci:layout:a"])?;
    tool(env, "umoci", &["unpack", "--rootless", "--image", "layout:a", "bundle"])?;
    let mark = fs_err::read_to_string(env.path("bundle/rootfs/etc/mark"))?;
    ensure!(mark == "of-the-registry\n", "{mark}");
    ensure!(!env.path("bundle/rootfs/etc/debian_version").exists(), "a whiteout is not obeyed");
    ensure!(env.path("bundle/rootfs/etc/os-release").symlink_metadata().is_ok());
    Ok(())
}

/// Pushed, attached to, pulled and run.
fn sent_and_fetched(env: &TestEnv, host: &str) -> Result<()> {
    let name = format!("{host}/team/app:1");
    let plain = ["--plain-http", host];
    let refused = env.run(&["push", "x.oci", &name])?;
    ensure!(refused.status == 1 && refused.stderr.contains("--plain-http"), "{refused:#?}");
    let pushed = env.run(&[&["push", "x.oci", &name][..], &plain].concat())?;
    ok(&pushed)?;
    let digest = pushed.stdout.trim().rsplit('@').next().unwrap_or_default().to_owned();
    let there =
        json(&skopeo(env, &["inspect", "--tls-verify=false", &format!("docker://{name}")])?)?;
    ensure!(there["Digest"] == digest.as_str(), "{there}");
    // Another repository takes the layers from the first.
    let mounted = format!("{host}/other:1");
    let line = ["push", "x.oci", &mounted, "--mount-from", "team/app"];
    ok(&env.run(&[&line[..], &plain].concat())?)?;
    fs_err::write(env.path("sbom.json"), "{}")?;
    let line = ["push", "sbom.json", &name, "--attach", "application/spdx+json"];
    ok(&env.run(&[&line[..], &plain].concat())?)?;
    let tag = digest.replace(':', "-");
    let list = format!("docker://{host}/team/app:{tag}");
    let list = json(&skopeo(env, &["inspect", "--raw", "--tls-verify=false", &list])?)?;
    ensure!(list["manifests"][0]["artifactType"] == "application/spdx+json", "{list}");

    let pulled = env.run(&[&["pull", &name][..], &plain].concat())?;
    ok(&pulled)?;
    ensure!(pulled.stdout.trim() == format!("{name}@{digest}"), "{pulled:#?}");
    let script = "cat /etc/mark; ls /etc/debian_version; stat -c %a:%U /tmp";
    let run = ["run", "--image", &name, "--", "sh", "-c", script];
    let ran = env.run(&run)?;
    ensure!(ran.stdout == "of-the-registry\n1777:root\n", "{ran:#?}");
    ensure!(ran.stderr.contains("No such file"), "{ran:#?}");
    // The registry need not be there any more; the name is forgotten once.
    let listed = env.run(&["store", "ls"])?;
    ensure!(listed.stdout.contains(&name), "{listed:#?}");
    ok(&env.run(&["store", "rm", &name])?)?;
    ensure!(env.run(&["store", "rm", &name])?.status == 2);
    let absent = env.run(&["run", "--image", "no-such-image", "--", "true"])?;
    ensure!(absent.status == 2, "{absent:#?}");
    Ok(())
}

/// The element of diskimage-builder's, without a container engine.
fn built_by_a_container_file(env: &TestEnv, host: &str) -> Result<()> {
    let context = env.path("context");
    fs_err::create_dir_all(context.join("deep"))?;
    fs_err::write(context.join("deep/copied"), "of the context\n")?;
    let text = format!(
        "ARG TAG=none\nFROM {host}/team/app:$TAG\nARG WORD\nENV NAME=value PLACE=/srv\nRUN echo $NAME-$WORD > /made && \\\n    cat /etc/mark >> /made\nCOPY deep ${{PLACE}}/there/\nWORKDIR $PLACE\nRUN [\"/bin/sh\", \"-c\", \"pwd >> /made\"]\nUSER nobody\nRUN id -un > /tmp/who\nUSER root\nRUN cat /tmp/who >> /made\n"
    );
    fs_err::write(env.path("Containerfile"), text)?;
    let line =
        ["build", "-n", "--progress", "plain", "-t", "tar", "-o", "contained", "containerfile"];
    let build = |options: &str| -> Result<goldsmith_tests::Ran> {
        let mut command = env.command("goldsmith")?;
        command
            .env("GOLDSMITH_PLAIN_HTTP", host)
            .env("DIB_CONTAINERFILE_DOCKERFILE", env.path("Containerfile"))
            .env("DIB_CONTAINER_CONTEXT", env.path("context"))
            .env("DIB_CONTAINERFILE_BUILDOPTS", options)
            .args(line);
        goldsmith_tests::ran(&mut command)
    };
    ok(&build("--build-arg TAG=1 --build-arg WORD=w")?)?;
    let tar = env.path("contained.tar");
    ensure!(crate::member(&tar, "./made")? == "value-w\nof-the-registry\n/srv\nnobody\n");
    ensure!(crate::member(&tar, "./srv/there/copied")? == "of the context\n");
    // Nothing has changed: nothing is run.
    let again = build("--build-arg TAG=1 --build-arg WORD=w")?;
    ensure!(again.status == 0 && again.stderr.contains("is up to date"), "{again:#?}");
    fs_err::write(env.path("Containerfile"), "FROM x\nADD a /\n")?;
    let refused = build("")?;
    ensure!(refused.status == 3 && refused.stderr.contains("line 2: ADD"), "{refused:#?}");
    Ok(())
}

/// Images that skopeo pushed, of both compressions and by index, are run straight away.
fn fetched_from_others(
    env: &TestEnv,
    host: &str,
    build: &dyn Fn(&str, &[&str]) -> Result<()>,
) -> Result<()> {
    build("z", &["--layer-compression", "zstd"])?;
    for (archive, tag) in [("x.oci", "gzip"), ("z.oci", "zstd")] {
        let to = format!("docker://{host}/copied:{tag}");
        let from = format!("oci-archive:{archive}:latest");
        skopeo(env, &["copy", "--dest-tls-verify=false", &from, &to])?;
        let name = format!("docker://{host}/copied:{tag}");
        let line = ["run", "--plain-http", host, "--image", &name, "--", "cat", "/etc/mark"];
        let ran = env.run(&line)?;
        ensure!(ran.stdout == "of-the-registry\n", "{tag}: {ran:#?}");
        let stored = format!("{host}/copied:{tag}");
        ok(&env.run(&["store", "rm", &stored])?)?;
    }
    let missing = format!("{host}/copied:nothing");
    let ran = env.run(&["pull", "--plain-http", host, &missing])?;
    ensure!(ran.status == 1 && ran.stderr.contains("404"), "{ran:#?}");
    Ok(())
}
