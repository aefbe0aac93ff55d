//! Verbs about elements, the links, and images described in YAML.

use anyhow::{Result, ensure};
use goldsmith_tests::TestEnv;

use crate::with_os;

fn ok(env: &TestEnv, words: &[&str]) -> Result<String> {
    let ran = env.run(words)?;
    ensure!(ran.status == 0, "{words:?}: {ran:?}");
    Ok(ran.stdout)
}

#[test]
fn elements_are_listed_shown_and_drawn() -> Result<()> {
    let env = with_os()?;
    env.element("mine/element-deps", "fake-os\npkg-map\n")?;
    env.element("mine/post-install.d/20-late", "#!/bin/sh\n")?;
    env.element("vm/README.rst", "ours\n")?;
    let list = ok(&env, &["elements", "list"])?;
    ensure!(list.contains("mine ") && list.contains("cloud-init "), "{list}");
    ensure!(list.contains("(hidden)"), "{list}");
    let list = ok(&env, &["elements", "list", "--no-builtin-elements", "--json"])?;
    let list: serde_json::Value = serde_json::from_str(&list)?;
    let names: Vec<_> = list["elements"].as_array().into_iter().flatten().collect();
    ensure!(names.len() == 3, "{list}");
    let shown = ok(&env, &["elements", "show", "fake-os"])?;
    for part in ["provides   operating-system", "needed by  mine", "root.d\n  10-root"] {
        ensure!(shown.contains(part), "{part:?} in {shown}");
    }
    let graph = ok(&env, &["elements", "graph", "-n", "mine"])?;
    ensure!(graph.contains("\"mine\" -> \"fake-os\";"), "{graph}");
    ok(&env, &["elements", "graph", "-n", "-o", "x.svg", "mine"])?;
    ensure!(fs_err::read_to_string(env.path("x.svg"))?.contains("<svg"));
    let ran = env.run(&["elements", "show", "min"])?;
    ensure!(ran.status == 3 && ran.stderr.contains("did you mean"), "{ran:?}");
    let ran = env.run(&["plan", "-n", "--no-builtin-elements", "fake-os", "vm", "cloud-init"])?;
    ensure!(ran.status == 3 && ran.stderr.contains("cloud-init is not found"), "{ran:?}");
    Ok(())
}

#[test]
fn links_are_made_once_and_nothing_is_replaced() -> Result<()> {
    let env = with_os()?;
    let made = ok(&env, &["install-links", "bin"])?;
    ensure!(made.lines().count() == 6, "{made}");
    ensure!(ok(&env, &["install-links", "bin"])?.is_empty());
    let output = std::process::Command::new(env.path("bin/element-info"))
        .args(["fake-os"])
        .env("ELEMENTS_PATH", env.path("elements"))
        .output()?;
    ensure!(output.stdout == b"fake-os\n", "{output:?}");
    fs_err::create_dir(env.path("other"))?;
    fs_err::write(env.path("other/element-info"), "somebody's")?;
    let ran = env.run(&["install-links", "other"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("left alone"), "{ran:?}");
    ensure!(!env.path("other/disk-image-create").exists());
    Ok(())
}

// contract 9.23
#[test]
fn images_in_yaml_become_command_lines() -> Result<()> {
    let env = with_os()?;
    fs_err::write(
        env.path("a.yaml"),
        "- imagename: one\n  types: [tar]\n  elements: [fake-os]\n- imagename: two\n  skip-base: true\n  elements: [nowhere]\n",
    )?;
    fs_err::write(env.path("r.yaml"), "- ramdisk: true\n  elements: [fake-os]\n")?;
    let ran = env.run_as("diskimage-builder", &["--dry-run", "r.yaml"])?;
    ensure!(ran.stderr.contains("ramdisk-image-create -o image fake-os\n"), "{ran:?}");
    fs_err::write(env.path("b.yaml"), "- imagename: one\n  environment: {X: 'a b'}\n")?;
    let ran = env.run_as("diskimage-builder", &["--dry-run", "a.yaml", "b.yaml"])?;
    ensure!(ran.status == 0, "{ran:?}");
    ensure!(
        ran.stderr.contains(
            "X='a b' disk-image-create -o one -t tar fake-os\ndisk-image-create -o two -n nowhere\n"
        ),
        "{ran:?}"
    );
    fs_err::write(
        env.path("c.yaml"),
        "- imagename: two\n  skip-base: true\n  elements: [nowhere]\n- imagename: three\n  skip-base: true\n  elements: [also-nowhere]\n",
    )?;
    let ran = env.run_as("diskimage-builder", &["c.yaml"])?;
    ensure!(ran.status == 1 && ran.stderr.contains("2 of 2 images failed"), "{ran:?}");
    let ran = env.run_as("diskimage-builder", &["--stop-on-failure", "c.yaml"])?;
    ensure!(ran.status == 1 && !ran.stderr.contains("also-nowhere is"), "{ran:?}");
    fs_err::write(env.path("d.yaml"), "- imagename: x\n  flavour: y\n")?;
    let ran = env.run_as("diskimage-builder", &["d.yaml"])?;
    ensure!(ran.status == 1 && ran.stderr.contains("d.yaml: entry 1: the key flavour"), "{ran:?}");
    Ok(())
}

// Who reads neither what it prints nor what it complains of still has its status.
#[test]
fn the_status_is_the_same_where_nobody_reads() -> Result<()> {
    let env = with_os()?;
    for (words, status) in [
        (&["elements", "list"][..], 0),
        (&["elements", "show", "nothing-of-that-name"], 3),
        (&["build", "-o", "x", "-t", "nothing-of-that-name", "fake-os"], 2),
        (&["--nothing-of-that-name"], 2),
    ] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = env.command("goldsmith")?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let found = command.args(words).status()?;
        ensure!(found.code() == Some(status), "{words:?}: {found:?}");
    }
    Ok(())
}
