//! What a container file copies: names, patterns and links of its context, and what that leaves out.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{DockerRegistry, Ran, TestEnv, ran};

use crate::{member, ok};

const GUIDE: &str = include_str!("../../docs/base-yaml.md");

/// Runs the line of the guide that builds an image from a container file.
fn build(env: &TestEnv, host: &str) -> Result<Ran> {
    let mut lines = GUIDE.lines();
    let line = lines.find(|line| line.starts_with("DIB_CONTAINERFILE_DOCKERFILE="));
    let (variables, words) =
        line.and_then(|line| line.split_once(" goldsmith ")).context("the guide has no example")?;
    let mut command = env.command("goldsmith")?;
    for (name, value) in variables.split(' ').filter_map(|word| word.split_once('=')) {
        command.env(name, value);
    }
    ran(command.env("GOLDSMITH_PLAIN_HTTP", host).args(words.split(' ')))
}

#[test]
fn a_context_is_copied_by_patterns_without_what_it_leaves_out() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let registry = DockerRegistry::start(env.directory.path())?;
    let host = registry.host.as_str();
    let name = format!("{host}/os:1");
    ok(&env.run(&["build", "-n", "-t", "oci", "-o", "os", "small"])?)?;
    ok(&env.run(&["push", "os.oci", &name, "--plain-http", host])?)?;
    let context = env.path("context");
    for file in
        ["src/a.conf", "src/b.conf", "src/c.txt", "src/deep/d.conf", "src/key.secret", "log/x"]
    {
        let path = context.join(file);
        fs_err::create_dir_all(path.parent().context("a directory")?)?;
        fs_err::write(path, format!("{file}\n"))?;
    }
    std::os::unix::fs::symlink("a.conf", context.join("src/link"))?;
    std::os::unix::fs::symlink("/etc/debian_version", context.join("src/out"))?;
    fs_err::write(context.join(".dockerignore"), "# secrets\n**/*.secret\nlog\n!log/kept\n")?;
    let write =
        |copy: &str| fs_err::write(env.path("Containerfile"), format!("FROM {name}\n{copy}"));
    write(
        "COPY src/*.conf src/[c-d].txt /some/\nCOPY src /all\nCOPY . /whole/\nCOPY src/?.conf /owned/\nCOPY --chown=7:8 src /theirs\nRUN cat /all/link > /read\n",
    )?;
    ok(&build(&env, host)?)?;
    let tar = env.path("contained.tar");
    for (path, text) in [
        ("some/a.conf", "src/a.conf\n"),
        ("some/c.txt", "src/c.txt\n"),
        ("all/deep/d.conf", "src/deep/d.conf\n"),
        ("whole/src/b.conf", "src/b.conf\n"),
        ("read", "src/a.conf\n"),
    ] {
        ensure!(member(&tar, &format!("./{path}"))? == text, "{path}");
    }
    let list = Command::new("tar").arg("--numeric-owner").arg("-tvf").arg(&tar).output()?;
    let list = String::from_utf8(list.stdout)?;
    let has = |end: &str| list.lines().any(|line| line.ends_with(end));
    ensure!(has(" ./all/link -> a.conf") && has(" ./all/out -> /etc/debian_version"), "{list}");
    ensure!(has(" ./owned/b.conf") && !has(" ./some/deep/d.conf"), "{list}");
    let theirs = |line: &str| line.contains(" 7/8 ") && line.contains("./theirs/");
    // The directory, and seven in it.
    ensure!(list.lines().filter(|line| theirs(line)).count() == 8, "{list}");
    let whole = list.lines().find(|line| line.ends_with(" ./whole/"));
    ensure!(whole.is_some_and(|line| line.starts_with("drwxr-xr-x 0/0 ")), "{list}");
    for absent in ["key.secret", "whole/log/x"] {
        ensure!(!list.contains(absent), "{absent} was left out");
    }
    // Nothing of what is left out is part of the image, nor of its key.
    fs_err::write(context.join("src/key.secret"), "another")?;
    let again = build(&env, host)?;
    ensure!(again.status == 0 && again.stderr.contains("is up to date"), "{again:#?}");
    fs_err::write(context.join("src/deep/d.conf"), "other\n")?;
    ok(&build(&env, host)?)?;
    ensure!(member(&tar, "./all/deep/d.conf")? == "other\n");

    // What cannot be meant is told with its line.
    for (copy, words) in [
        ("COPY log/x /x\n", ".dockerignore, line 3, leaves it out"),
        ("COPY src/*.md /x/\n", "Containerfile, line 2: COPY src/*.md: nothing of the context"),
        ("COPY src/link /x\n", "src/link is a link: name what it leads to"),
        ("COPY src/[a /x\n", "a [ is without its end"),
    ] {
        write(copy)?;
        let refused = build(&env, host)?;
        ensure!(refused.status == 3 && refused.stderr.contains(words), "{words}: {refused:#?}");
    }
    fs_err::write(context.join(".dockerignore"), "log\n!\n")?;
    let refused = build(&env, host)?;
    let words = ".dockerignore, line 2: a ! without a pattern";
    ensure!(refused.status == 3 && refused.stderr.contains(words), "{refused:#?}");
    Ok(())
}
