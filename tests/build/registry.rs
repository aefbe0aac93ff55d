//! Images for registries: built, read by other tools, pushed to a real registry, pulled back.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{DockerRegistry, TestEnv};

use crate::ok;

/// Runs another tool, which must succeed, and returns what it prints.
pub(crate) fn tool(env: &TestEnv, name: &str, arguments: &[&str]) -> Result<String> {
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
pub(crate) fn skopeo(env: &TestEnv, arguments: &[&str]) -> Result<String> {
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
    let digest = sent_and_fetched(&env, &registry.host)?;
    sent_by_name_and_by_index(&env, &registry.host, &digest)?;
    started_by_kubevirt(&env, &registry.host)?;
    run_as_it_says(&env, &registry.host)?;
    fetched_from_others(&env, &registry.host, &build)?;
    built_by_a_container_file(&env, &registry.host)?;
    chosen_by_the_environment(&env, &registry.host)
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

/// Pushed, attached to, pulled and run; returns the image's digest.
fn sent_and_fetched(env: &TestEnv, host: &str) -> Result<String> {
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
    Ok(digest)
}

/// The name of a build stands for the same image as its file; images for several architectures
/// have one name.
fn sent_by_name_and_by_index(env: &TestEnv, host: &str, digest: &str) -> Result<()> {
    let plain = ["--plain-http", host];
    let push = |words: &[&str]| env.run(&[&["push"][..], words, &plain].concat());
    let named = push(&["x", &format!("{host}/team/app:named")])?;
    ok(&named)?;
    ensure!(named.stdout.trim() == format!("{host}/team/app@{digest}"), "{named:#?}");
    let nothing = push(&["no-such-build", &format!("{host}/team/app:named")])?;
    ensure!(nothing.status == 2 && nothing.stderr.contains("store ls"), "{nothing:#?}");

    let other = ["config", "--image", "layout:a", "--tag", "arm", "--architecture", "arm64"];
    tool(env, "umoci", &other)?;
    skopeo(env, &["copy", "oci:layout:arm", "oci-archive:arm.oci:latest"])?;
    let both = format!("{host}/team/app:both");
    ok(&push(&["x.oci", "arm.oci", &both])?)?;
    let list = format!("docker://{both}");
    let list = json(&skopeo(env, &["inspect", "--raw", "--tls-verify=false", &list])?)?;
    let arch = |at: usize| list["manifests"][at]["platform"]["architecture"].as_str();
    ensure!((arch(0), arch(1), arch(2)) == (Some("amd64"), Some("arm64"), None), "{list}");
    ensure!(list["manifests"][0]["digest"] == digest, "{list}");
    let pulled = env.run(&[&["pull", "-a", "arm64", &both][..], &plain].concat())?;
    ok(&pulled)?;
    ensure!(pulled.stdout.contains("/arm64@sha256:"), "{pulled:#?}");
    // What was pulled goes on, too.
    let again = push(&[&format!("{both}/arm64"), "x", &format!("{host}/other:both")])?;
    ok(&again)?;
    ok(&env.run(&["store", "rm", &format!("{both}/arm64")])?)?;
    let twice = push(&["x.oci", "x", &both])?;
    ensure!(twice.status == 2 && twice.stderr.contains("linux/amd64"), "{twice:#?}");
    Ok(())
}

/// An image of a disk, as KubeVirt wants it: other tools find the disk, and its owner.
fn started_by_kubevirt(env: &TestEnv, host: &str) -> Result<()> {
    tool(env, "qemu-img", &["create", "-q", "-f", "qcow2", "disk.qcow2", "64M"])?;
    let name = format!("{host}/team/disk:1");
    let push = |words: &[&str]| {
        let mut command = env.command("goldsmith")?;
        command.env("SOURCE_DATE_EPOCH", "1700000000").args(["push", "--plain-http", host]);
        goldsmith_tests::ran(command.args(["--as", "containerdisk"]).args(words))
    };
    let pushed = push(&["disk.qcow2", &name])?;
    ok(&pushed)?;
    let from = format!("docker://{name}");
    let image = json(&skopeo(env, &["inspect", "--tls-verify=false", &from])?)?;
    ensure!(image["Architecture"] == "amd64" && image["Os"] == "linux", "{image}");
    ensure!(image["Created"] == "2023-11-14T22:13:20Z", "{image}");
    ensure!(pushed.stdout.trim().ends_with(image["Digest"].as_str().unwrap_or("-")), "{image}");
    skopeo(env, &["copy", "--src-tls-verify=false", &from, "oci:kubevirt:1"])?;
    tool(env, "umoci", &["unpack", "--rootless", "--image", "kubevirt:1", "machine"])?;
    let same = fs_err::read(env.path("machine/rootfs/disk/disk.qcow2"))?;
    ensure!(same == fs_err::read(env.path("disk.qcow2"))?, "another disk came out");
    // What it copies it also compresses: another digest, the same archive.
    let blob = |one: &serde_json::Value| -> Result<String> {
        let digest = one["digest"].as_str().context("a digest")?;
        Ok(format!("kubevirt/blobs/{}", digest.replace(':', "/")))
    };
    let index = json(&fs_err::read_to_string(env.path("kubevirt/index.json"))?)?;
    let manifest = fs_err::read_to_string(env.path(&blob(&index["manifests"][0])?))?;
    let layer = blob(&json(&manifest)?["layers"][0])?;
    let listed = tool(env, "tar", &["--numeric-owner", "-tvf", &layer])?;
    let lines: Vec<_> = listed.lines().collect();
    ensure!(lines.len() == 2, "{listed}");
    ensure!(
        lines[0].starts_with("drwxr-xr-x 107/107 ") && lines[0].ends_with(" disk/"),
        "{listed}"
    );
    ensure!(lines[1].starts_with("-r--r----- 107/107 "), "{listed}");
    ensure!(lines[1].ends_with(" disk/disk.qcow2"), "{listed}");
    // The same bytes are the same image; another architecture makes an index.
    let again = push(&["disk.qcow2", &format!("{host}/team/disk:2")])?;
    ensure!(again.stdout == pushed.stdout, "{again:#?}");
    ok(&push(&["disk.qcow2", "arm64=disk.qcow2", &format!("{host}/team/disk:3")])?)?;
    for (words, told) in [
        (&["disk.qcow2", "disk.qcow2"][..], "same architecture"),
        (&["x.oci"], "does not say what the file is"),
        (&["none.qcow2"], "none.qcow2"),
    ] {
        let refused = push(&[words, &[&name]].concat())?;
        ensure!(refused.status == 2 && refused.stderr.contains(told), "{refused:#?}");
    }
    Ok(())
}

/// The image's own variables, directory, user, entry point and arguments; and others instead.
fn run_as_it_says(env: &TestEnv, host: &str) -> Result<()> {
    let config = [
        "config",
        "--image",
        "layout:a",
        "--tag",
        "run",
        "--config.user",
        "nobody:users",
        "--config.env",
        "WORD=of the image",
        "--config.workingdir",
        "/usr/lib",
        "--config.entrypoint",
        "sh",
        "--config.entrypoint",
        "-c",
        "--config.entrypoint",
        "echo $0 $WORD $PWD $(id -un):$(id -gn) $HOME",
        "--config.cmd",
        "cmd",
    ];
    tool(env, "umoci", &config)?;
    let name = format!("{host}/team/run:1");
    let to = format!("docker://{name}");
    skopeo(env, &["copy", "--dest-tls-verify=false", "oci:layout:run", &to])?;
    let run = |words: &[&str]| {
        env.run(&[&["run", "--plain-http", host, "--image", &name][..], words].concat())
    };
    let script = "echo $WORD $PWD $(id -u):$(id -g)";
    for (words, told) in [
        (&[][..], "cmd of the image /usr/lib nobody:users /nonexistent\n"),
        (&["--", "own"], "own of the image /usr/lib nobody:users /nonexistent\n"),
        (&["--env", "WORD=x", "--workdir", "/tmp"], "cmd x /tmp nobody:users /nonexistent\n"),
        (&["--user", "0"], "cmd of the image /usr/lib root:root /root\n"),
        (
            &["--user", "1234:7", "--entrypoint", "sh", "--", "-c", script],
            "of the image /usr/lib 1234:7\n",
        ),
        (&["--entrypoint", "", "--", "echo", "plain"], "plain\n"),
    ] {
        let ran = run(words)?;
        ensure!(ran.status == 0 && ran.stdout == told, "{words:?}: {ran:#?}");
    }
    let nothing = run(&["--entrypoint", ""])?;
    ensure!(nothing.status == 2 && nothing.stderr.contains("what to run"), "{nothing:#?}");
    let unknown = run(&["--user", "who"])?;
    ensure!(unknown.status == 2 && unknown.stderr.contains("user who"), "{unknown:#?}");
    ok(&env.run(&["store", "rm", &name])?)
}

/// Which container file is meant, `environment.d` says, and bash alone knows what that says.
fn chosen_by_the_environment(env: &TestEnv, host: &str) -> Result<()> {
    env.element("chosen/element-deps", "containerfile\n")?;
    env.element(
        "chosen/environment.d/10-chosen.bash",
        "if [ \"${DIB_FLAVOUR:-}\" = vanilla ]; then\n    export DIB_RELEASE=vanilla\nfi\nfor one in plain; do\n    export DIB_RELEASE=${DIB_RELEASE:-$one}\ndone\nexport DIB_CONTAINERFILE_BUILDOPTS=\"--build-arg 'WORD=$(echo two words)'\"\n",
    )?;
    for name in ["plain", "vanilla"] {
        let text = format!("FROM {host}/team/app:1\nARG WORD\nRUN echo {name} $WORD > /flavour\n");
        env.element(&format!("chosen/containerfiles/{name}"), &text)?;
    }
    let build = |flavour: &str| -> Result<goldsmith_tests::Ran> {
        let mut command = env.command("goldsmith")?;
        command
            .env_remove("DIB_RELEASE")
            .env("GOLDSMITH_PLAIN_HTTP", host)
            .env("DIB_FLAVOUR", flavour)
            .args(["build", "-n", "--progress", "plain", "-t", "tar", "-o", "chosen", "chosen"]);
        goldsmith_tests::ran(&mut command)
    };
    for (flavour, told) in [("", "plain two words\n"), ("vanilla", "vanilla two words\n")] {
        ok(&build(flavour)?)?;
        let found = crate::member(&env.path("chosen.tar"), "./flavour")?;
        ensure!(found == told, "{flavour}: {found}");
    }
    env.element("chosen/environment.d/20-x.bash", "echo sour >&2\nfalse\n")?;
    let failed = build("")?;
    ensure!(failed.status == 3 && failed.stderr.contains("sour"), "{failed:#?}");
    env.element("chosen/environment.d/20-x.bash", "export DIB_RELEASE=none\n")?;
    let missing = build("")?;
    ensure!(missing.status == 3 && missing.stderr.contains("containerfiles/none"), "{missing:#?}");
    Ok(())
}

/// The element of diskimage-builder's, without a container engine.
fn built_by_a_container_file(env: &TestEnv, host: &str) -> Result<()> {
    let context = env.path("context");
    fs_err::create_dir_all(context.join("deep"))?;
    fs_err::write(context.join("deep/copied"), "of the context\n")?;
    let text = format!(
        "ARG TAG=none\nFROM {host}/team/app:$TAG\nARG WORD\nENV NAME=value PLACE=/srv\nRUN echo $NAME-$WORD > /made && \\\n    cat /etc/mark >> /made\nARG FROM=deep OWNER=9\nCOPY $FROM ${{PLACE}}/there/\nCOPY --chown=$OWNER:7 [\"${{FROM}}/copied\", \"/owned\"]\nWORKDIR $PLACE\nRUN [\"/bin/sh\", \"-c\", \"pwd >> /made\"]\nUSER nobody\nRUN id -un > /tmp/who\nUSER 4321:7\nRUN id -u >> /tmp/him; id -G >> /tmp/him\nUSER root\nRUN cat /tmp/who /tmp/him >> /made\n"
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
    ensure!(crate::member(&tar, "./made")? == "value-w\nof-the-registry\n/srv\nnobody\n4321\n7\n");
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

// I21: a name that comes to stand for something else is never answered from what it stood for, and
// what lies on another layer is another layer, whatever its digest.
#[test]
fn a_tag_that_moves_is_another_base_i21() -> Result<()> {
    let env = TestEnv::new()?;
    let registry = DockerRegistry::start(env.directory.path())?;
    let host = registry.host.clone();
    let name = format!("{host}/moves/app:1");
    let top = "{\"etc/top\": \"of both\\n\"}";
    let layers = |mark: &str| format!("{{\"etc/mark\": \"{mark} {host}\\n\"}}");
    let (good, bad) = (layers("good"), layers("bad"));
    let first = crate::tiny::push(&env, "good", &[&good, top], &name)?;
    env.element("moving/element-provides", "operating-system\n")?;
    env.element("moving/environment.d/10-x.bash", "export DISTRO_NAME=debian\n")?;
    env.element("moving/base.yaml", "oci:\n  image: ${DIB_MOVING}\n")?;
    let mark = |image: &str, more: &[&str]| -> Result<String> {
        let mut command = env.command("goldsmith")?;
        let line = ["build", "-n", "-a", "amd64", "-t", "tar", "-o", "x"];
        let vars = [("DIB_MOVING", image), ("GOLDSMITH_PLAIN_HTTP", host.as_str())];
        ok(&goldsmith_tests::ran(command.args(line).args(more).arg("moving").envs(vars))?)?;
        ensure!(crate::member(&env.path("x.tar"), "./etc/top")? == "of both\n");
        let text = crate::member(&env.path("x.tar"), "./etc/mark")?;
        Ok(text.split(' ').next().unwrap_or_default().to_owned())
    };
    ensure!(mark(&name, &[])? == "good");
    let second = crate::tiny::push(&env, "bad", &[&bad, top], &name)?;
    ensure!(first != second);
    let pinned = |digest: &str| format!("{host}/moves/app@{digest}");
    // Asked anew, the tag is the second image; the first one's digest is the first.
    ensure!(mark(&name, &["--refresh"])? == "bad");
    ensure!(mark(&pinned(&first), &[])? == "good");
    ensure!(mark(&pinned(&second), &[])? == "bad");
    // Nobody is asked: each name is what it was last known to be.
    drop(registry);
    ensure!(mark(&name, &["--offline"])? == "bad");
    ensure!(mark(&pinned(&first), &["--offline"])? == "good");
    for image in [&name, &pinned(&first), &pinned(&second)] {
        let _unknown = env.run(&["store", "rm", image])?;
    }
    Ok(())
}
