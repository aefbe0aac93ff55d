//! Locks of bases that are no packages: images of a registry, published ones, container files.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use goldsmith_tests::{DockerRegistry, Ran, TestEnv, Web, ran};

use crate::published::publisher;
use crate::store::Emptied;
use crate::{member, ok, tiny};

/// Variables of a run, which are no part of a lock.
type Vars<'a> = [(&'a str, &'a str)];

fn run(env: &TestEnv, words: &[&str], vars: &Vars<'_>) -> Result<Ran> {
    ran(env.command("goldsmith")?.args(words).envs(vars.iter().copied()))
}

fn lock(env: &TestEnv, element: &str, vars: &Vars<'_>) -> Result<String> {
    let words = ["lock", "-n", "-a", "amd64", "-t", "tar", "-o", "a", element];
    ok(&run(env, &words, vars)?)?;
    Ok(fs_err::read_to_string(env.path("goldsmith.lock"))?)
}

fn build(env: &TestEnv, element: &str, more: &[&str], vars: &Vars<'_>) -> Result<Ran> {
    let line = ["build", "-n", "-a", "amd64", "-t", "tar", "-o", "b", "--progress", "plain"];
    run(env, &[&line[..], more, &[element]].concat(), vars)
}

fn element(env: &TestEnv, name: &str, base: &str) -> Result<()> {
    env.element(&format!("{name}/element-provides"), "operating-system\n")?;
    env.element(&format!("{name}/environment.d/10-x.bash"), "export DISTRO_NAME=debian\n")?;
    env.element(&format!("{name}/base.yaml"), base)
}

fn same(one: &Path, two: &Path) -> Result<()> {
    ensure!(fs_err::read(one)? == fs_err::read(two)?, "{} is not {}", two.display(), one.display());
    Ok(())
}

/// Asks anew, without the lock, what the base's name stands for, which the cache remembers.
fn known_anew(env: &TestEnv, element: &str, vars: &Vars<'_>) -> Result<()> {
    let (lock, away) = (env.path("goldsmith.lock"), env.path("away.lock"));
    fs_err::rename(&lock, &away)?;
    let line = ["plan", "-n", "-a", "amd64", "-t", "tar", "-o", "p", "--refresh", element];
    ok(&run(env, &line, vars)?)?;
    Ok(fs_err::rename(away, lock)?)
}

/// Builds are what the lock's first one was, whatever names stand for now.
fn kept(env: &TestEnv, element: &str, vars: &Vars<'_>) -> Result<()> {
    for more in [&["--locked", "--offline"][..], &["--locked"], &[]] {
        ok(&build(env, element, more, vars)?)?;
        same(&env.path("a.tar"), &env.path("b.tar"))?;
    }
    Ok(())
}

/// What is asked for is not what the lock has: an error under `--locked`, else a warning.
fn drifts(env: &TestEnv, element: &str, vars: &Vars<'_>, said: &str, image: &str) -> Result<()> {
    let strict = build(env, element, &["--locked"], vars)?;
    ensure!(strict.status == 5 && strict.stderr.contains(said), "{said}: {strict:#?}");
    let loose = build(env, element, &[], vars)?;
    ok(&loose)?;
    ensure!(loose.stderr.contains(said), "{said}: {loose:#?}");
    let mark = member(&env.path("b.tar"), "./etc/mark")?;
    ensure!(mark == image, "{mark:?}");
    Ok(())
}

/// `outdated` says what the base was and is, `update base` takes it, and then there is no news.
fn updated(env: &TestEnv, vars: &Vars<'_>, news: [&str; 2]) -> Result<()> {
    let told = run(env, &["outdated"], vars)?;
    ok(&told)?;
    let line = told.stdout.lines().find(|line| line.starts_with("base  "));
    let parts = line.and_then(|line| line.split_once(" -> "));
    ensure!(
        parts.is_some_and(|(old, new)| old.contains(news[0]) && new.contains(news[1])),
        "{news:?}: {told:#?}"
    );
    ok(&run(env, &["update", "base"], vars)?)?;
    let lock = fs_err::read_to_string(env.path("goldsmith.lock"))?;
    ensure!(lock.contains(news[1]) && !lock.contains(news[0]), "{news:?}: {lock}");
    let told = run(env, &["outdated", "--json"], vars)?;
    ensure!(told.stdout == "[]\n", "{told:#?}");
    Ok(())
}

/// A layer with a mark; that of a registry of its own, which no cache has seen.
fn layer(host: &str, mark: &str) -> String {
    format!("{{\"etc/mark\": \"{mark}\", \"etc/place\": \"{host}\"}}")
}

#[test]
fn an_image_of_a_registry_is_locked_by_its_digest() -> Result<()> {
    let env = TestEnv::new()?;
    let registry = DockerRegistry::start(env.directory.path())?;
    let host = registry.host.as_str();
    let (name, other) = (format!("{host}/base:1"), format!("{host}/other:1"));
    let push = |mark: &str, to: &str| tiny::push(&env, mark, &[&layer(host, mark)], to);
    let one = push("one", &name)?;
    push("else", &other)?;
    element(&env, "imaged", "oci:\n  image: ${DIB_BASE}\n")?;
    let vars = [("GOLDSMITH_PLAIN_HTTP", host), ("DIB_BASE", name.as_str())];
    let locked = lock(&env, "imaged", &vars)?;
    ensure!(locked.contains("[base.oci]") && locked.contains(&one), "{locked}");
    // The tag moves: builds do not, and the reference is asked for nowhere.
    let two = push("two", &name)?;
    known_anew(&env, "imaged", &vars)?;
    kept(&env, "imaged", &vars)?;
    let moved = [vars[0], ("DIB_BASE", other.as_str())];
    drifts(&env, "imaged", &moved, &format!("base: {other} is not in the lock"), "else")?;
    updated(&env, &vars, [&one, &two])?;
    ensure!(member(&env.path("a.tar"), "./etc/mark")? == "two");
    // What it stands for is asked again, however short ago that was done.
    let three = push("three", &name)?;
    ok(&run(&env, &["update", "base"], &vars)?)?;
    ensure!(member(&env.path("a.tar"), "./etc/mark")? == "three");
    // Neither the cache nor the registry has it any more, and then the registry has it again.
    let manifest = env.cache().join("blobs").join(three.replace(':', "/"));
    let revisions = env.path("registry/docker/registry/v2/repositories/base/_manifests/revisions");
    fs_err::remove_file(manifest)?;
    fs_err::remove_dir_all(revisions.join(three.replace(':', "/")))?;
    let none = build(&env, "imaged", &["--locked", "--refresh"], &vars)?;
    ensure!(none.status == 5 && none.stderr.contains(&format!("{name}@{three}")), "{none:#?}");
    ensure!(none.stderr.contains("the registry answers 404"), "{none:#?}");
    push("three", &name)?;
    ok(&build(&env, "imaged", &["--locked", "--refresh"], &vars)?)?;
    same(&env.path("a.tar"), &env.path("b.tar"))?;
    // A lock without a base.
    let end = locked.find("[base.oci]").unwrap_or_default();
    let rest = locked[end..].split_once("\n\n").map_or("", |(_, rest)| rest);
    fs_err::write(env.path("goldsmith.lock"), format!("{}{rest}", &locked[..end]))?;
    let none = build(&env, "imaged", &["--locked"], &vars)?;
    ensure!(none.status == 5 && none.stderr.contains("is not in the lock"), "{none:#?}");
    Ok(())
}

/// What the registry means by the name is an index of two architectures: the lock has its digest, and
/// the cache keeps it for as long as it has the image.
#[test]
fn an_image_of_an_index_is_found_after_a_collection() -> Result<()> {
    let env = TestEnv::with_own_cache()?;
    let _emptied = Emptied(&env);
    let registry = DockerRegistry::start(env.directory.path())?;
    let host = registry.host.clone();
    let name = format!("{host}/base:1");
    let layer = layer(&host, "one");
    let files = ["amd64", "arm64"].map(|arch| tiny::make(&env, arch, arch, &[&layer]));
    let [amd64, arm64] = files;
    let index = tiny::push_all(&env, &[&amd64?, &arm64?], &name)?;
    element(&env, "imaged", "oci:\n  image: ${DIB_BASE}\n")?;
    let vars = [("GOLDSMITH_PLAIN_HTTP", host.as_str()), ("DIB_BASE", name.as_str())];
    let locked = lock(&env, "imaged", &vars)?;
    ensure!(locked.contains(&index), "{index}: {locked}");
    drop(registry);
    let blob = env.cache().join("blobs").join(index.replace(':', "/"));
    ensure!(blob.is_file(), "the index is not there");
    let pinned = format!("{host}/base@{index}");
    let pinned = [vars[0], ("DIB_BASE", pinned.as_str())];
    for (more, vars) in [(&["--locked", "--offline"][..], &vars), (&["--offline"], &pinned)] {
        collected(&env)?;
        ensure!(blob.is_file(), "the index is collected");
        ok(&build(&env, "imaged", more, vars)?)?;
        ensure!(member(&env.path("b.tar"), "./etc/mark")?.starts_with("one"));
    }
    // When the image goes, so does its index.
    for image in images(&env)? {
        ok(&env.run(&["store", "rm", &image])?)?;
    }
    ok(&env.run(&["store", "gc", "--older-than", "0"])?)?;
    ensure!(!blob.exists(), "the index is left over");
    Ok(())
}

/// Collects when what names stand for was not looked up for three weeks, and blobs were not used: what
/// no image needs is then gone, and so is what the names stood for.
fn collected(env: &TestEnv) -> Result<()> {
    let unused = env.cache().join("blobs/sha256").join("0".repeat(64));
    fs_err::write(&unused, "nobody's")?;
    let old = SystemTime::now() - Duration::from_secs(21 * 24 * 3600);
    for directory in ["steps", "blobs/sha256"] {
        for entry in fs_err::read_dir(env.cache().join(directory))? {
            let path = entry?.path();
            if directory != "steps" || fs_err::read_to_string(&path)?.contains("\"named\"") {
                fs_err::OpenOptions::new().read(true).open(&path)?.file().set_modified(old)?;
            }
        }
    }
    let ran = env.run(&["store", "gc"])?;
    ok(&ran)?;
    ensure!(!unused.exists(), "nothing was collected: {ran:#?}");
    Ok(())
}

/// The names of the cache's images.
fn images(env: &TestEnv) -> Result<Vec<String>> {
    let listed = env.run(&["store", "ls", "--json"])?;
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout)?;
    let images = listed["images"].as_array().into_iter().flatten();
    Ok(images.filter_map(|image| Some(image["name"].as_str()?.to_owned())).collect())
}

#[test]
fn a_container_file_is_locked_by_its_image() -> Result<()> {
    let env = TestEnv::new()?;
    let registry = DockerRegistry::start(env.directory.path())?;
    let host = registry.host.as_str();
    let (name, other) = (format!("{host}/base:1"), format!("{host}/other:1"));
    let push = |mark: &str, to: &str| tiny::push(&env, mark, &[&layer(host, mark)], to);
    let one = push("one", &name)?;
    push("else", &other)?;
    let file = env.path("Containerfile");
    fs_err::write(&file, "ARG FROM\nFROM $FROM\nENV NAME=value\n")?;
    let file = file.display().to_string();
    let options = |from: &str| format!("--build-arg FROM={from}");
    let (usual, moved) = (options(&name), options(&other));
    let vars = [
        ("GOLDSMITH_PLAIN_HTTP", host),
        ("DIB_CONTAINERFILE_DOCKERFILE", file.as_str()),
        ("DIB_CONTAINERFILE_BUILDOPTS", usual.as_str()),
    ];
    let locked = lock(&env, "containerfile", &vars)?;
    ensure!(locked.contains("[base.oci]") && locked.contains(&one), "{locked}");
    let two = push("two", &name)?;
    known_anew(&env, "containerfile", &vars)?;
    kept(&env, "containerfile", &vars)?;
    let moved = [vars[0], vars[1], (vars[2].0, moved.as_str())];
    drifts(&env, "containerfile", &moved, &format!("base: {other} is not in the lock"), "else")?;
    updated(&env, &vars, [&one, &two])?;
    ensure!(member(&env.path("a.tar"), "./etc/mark")? == "two");
    Ok(())
}

/// What RUN fetches is in the lock as what hooks fetch is.
#[test]
fn commands_of_a_container_file_are_locked() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let registry = DockerRegistry::start(env.directory.path())?;
    let name = format!("{}/os:1", registry.host);
    let vars = [("GOLDSMITH_PLAIN_HTTP", registry.host.as_str())];
    ok(&run(&env, &["build", "-n", "-t", "oci", "-o", "os", "small"], &vars)?)?;
    ok(&run(&env, &["push", "os.oci", &name], &vars)?)?;
    let place = env.path("www");
    fs_err::create_dir(&place)?;
    let publish = |text: &str| fs_err::write(place.join("file"), text);
    publish("one")?;
    let web = Web::serve(place.clone())?;
    let fetch = format!("/usr/lib/apt/apt-helper download-file {}/file /fetched", web.address);
    let file = env.path("Containerfile");
    fs_err::write(&file, format!("FROM {name}\nRUN {fetch}\n"))?;
    let file = file.display().to_string();
    let vars = [vars[0], ("DIB_CONTAINERFILE_DOCKERFILE", file.as_str())];
    let locked = lock(&env, "containerfile", &vars)?;
    ensure!(locked.contains("/file\""), "{locked}");
    publish("two")?;
    known_anew(&env, "containerfile", &vars)?;
    kept(&env, "containerfile", &vars)?;
    ensure!(member(&env.path("b.tar"), "./fetched")? == "one");
    // Something else than the lock has.
    fs_err::write(&file, format!("FROM {name}\nRUN {}\n", fetch.replace("/file ", "/other ")))?;
    let strict = build(&env, "containerfile", &["--locked"], &vars)?;
    ensure!(strict.status == 5 && strict.stderr.contains("/other"), "{strict:#?}");
    fs_err::remove_file(env.path("goldsmith.lock"))?;
    fs_err::write(&file, format!("FROM {name}\nRUN {fetch}\n"))?;
    ok(&build(&env, "containerfile", &["--refresh"], &vars)?)?;
    ensure!(member(&env.path("b.tar"), "./fetched")? == "two");
    Ok(())
}

#[test]
fn a_published_image_is_locked_by_its_checksum() -> Result<()> {
    let env = TestEnv::new()?;
    let (publisher, address, asked) = publisher(&env)?;
    let vars = [("DIB_CLOUD_IMAGES", address.as_str())];
    let release = |mark: &str, time: &str| publisher.release(&env, mark, time);
    let one = release("one", "20240601T000000")?;
    let locked = lock(&env, "publisher", &vars)?;
    ensure!(locked.contains("[base.image]") && locked.contains(&one), "{locked}");
    ensure!(member(&env.path("a.tar"), "./etc/mark")? == "one");
    // The publisher puts another one in its place: builds keep theirs and ask for nothing.
    let two = release("two", "20240701T000000")?;
    let count = || asked.lock().map(|list| list.len()).unwrap_or_default();
    known_anew(&env, "publisher", &vars)?;
    let before = count();
    kept(&env, "publisher", &vars)?;
    ensure!(count() == before, "{:?}", asked.lock());
    let (moved, _) = crate::published::serve(publisher.root.clone())?;
    let moved = [("DIB_CLOUD_IMAGES", moved.as_str())];
    drifts(&env, "publisher", &moved, "squashfs is not in the lock", "two")?;
    // Bytes that nobody has: those of the publisher are others.
    let gone = "0".repeat(64);
    fs_err::write(env.path("goldsmith.lock"), locked.replace(&one, &gone))?;
    let offline = build(&env, "publisher", &["--locked", "--offline"], &vars)?;
    let said = format!("sha256:{gone}) is not in the cache");
    ensure!(offline.status == 5 && offline.stderr.contains(&said), "{offline:#?}");
    let other = build(&env, "publisher", &["--locked"], &vars)?;
    let said = format!("sha256:{gone}) has changed: the digest is sha256:");
    ensure!(other.status == 5 && other.stderr.contains(&said), "{other:#?}");
    // Nor has the publisher any.
    let image = publisher.root.join("noble/current/noble-server-cloudimg-amd64.squashfs");
    fs_err::rename(&image, env.path("away"))?;
    let none = build(&env, "publisher", &["--locked"], &vars)?;
    let said = format!("sha256:{gone}) is gone: the server answers 404");
    ensure!(none.status == 5 && none.stderr.contains(&said), "{none:#?}");
    fs_err::rename(env.path("away"), &image)?;
    fs_err::write(env.path("goldsmith.lock"), &locked)?;
    updated(&env, &vars, [&one, &two])?;
    ensure!(member(&env.path("a.tar"), "./etc/mark")? == "two");
    Ok(())
}

/// `plan` and `ramdisk` follow the lock of the working directory, too.
#[test]
fn plans_and_ramdisks_follow_a_lock() -> Result<()> {
    let env = TestEnv::new()?;
    let registry = DockerRegistry::start(env.directory.path())?;
    let host = registry.host.as_str();
    let name = format!("{host}/base:1");
    let push = |mark: &str| tiny::push(&env, mark, &[&layer(host, mark)], &name);
    push("one")?;
    element(&env, "imaged", &format!("oci:\n  image: {name}\n"))?;
    env.element(
        "imaged/cleanup.d/10-x",
        "#!/bin/bash\ncat \"$TARGET_ROOT/etc/mark\" > \"$IMAGE_NAME.kernel\"\n",
    )?;
    let vars = [("GOLDSMITH_PLAIN_HTTP", host)];
    lock(&env, "imaged", &vars)?;
    push("two")?;
    let line = ["plan", "--json", "-n", "-a", "amd64", "-t", "tar", "-o", "a", "--refresh"];
    let plan = |more: &[&str]| run(&env, &[&line[..], more, &["imaged"]].concat(), &vars);
    let (locked, strict) = (plan(&[])?, plan(&["--locked"])?);
    ok(&locked)?;
    ensure!(locked.stdout == strict.stdout, "{locked:#?} {strict:#?}");
    let ramdisk = ["ramdisk", "-n", "-a", "amd64", "--ramdisk-element", "imaged"];
    for (more, mark) in [(&["-o", "r"][..], "one"), (&["--locked", "-o", "s"], "one")] {
        ok(&run(&env, &[&ramdisk[..], more, &["imaged"]].concat(), &vars)?)?;
        let kernel = format!("{}.kernel", more[more.len() - 1]);
        ensure!(fs_err::read_to_string(env.path(&kernel))? == mark, "{kernel}");
    }
    fs_err::rename(env.path("goldsmith.lock"), env.path("away.lock"))?;
    let anew = plan(&[])?;
    ok(&anew)?;
    ensure!(anew.stdout != locked.stdout, "the plan did not follow the lock: {anew:#?}");
    ok(&run(&env, &[&ramdisk[..], &["-o", "t", "imaged"]].concat(), &vars)?)?;
    ensure!(fs_err::read_to_string(env.path("t.kernel"))? == "two");
    let named = ["--lock", "away.lock", "-o", "u", "imaged"];
    ok(&run(&env, &[&ramdisk[..], &named].concat(), &vars)?)?;
    ensure!(fs_err::read_to_string(env.path("u.kernel"))? == "one");
    Ok(())
}
