//! `goldsmith elements lint`.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::with_os;

#[test]
fn the_shipped_elements_are_clean() -> Result<()> {
    let env = with_os()?;
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../elements");
    let ran = env.run(&["elements", "lint", &own.to_string_lossy()])?;
    ensure!(ran.status == 0 && ran.stdout.contains(", 0 findings\n"), "{ran:?}");
    // The copy that the program carries, by name.
    let ran = env.run(&["elements", "lint", "base", "dpkg"])?;
    ensure!(ran.status == 0 && ran.stdout.starts_with("2 elements, "), "{ran:?}");
    Ok(())
}

#[test]
fn findings_have_file_line_check_reason_and_cure() -> Result<()> {
    let env = with_os()?;
    env.element("fake-os/README.rst", "x\n")?;
    env.element("mine/element-deps", "b\na\n")?;
    env.element(
        "mine/root.d/10-mine",
        "#!/bin/bash\n# dib-lint: disable=sete setu\nlosetup -f x\n",
    )?;
    let ran = env.run(&["elements", "lint"])?;
    ensure!(ran.status == 1, "{ran:?}");
    for part in [
        "/elements/mine: readme: ",
        "/mine/element-deps:2: sorted: a stands after b; instead: ",
        "/mine/root.d/10-mine:1: setpipefail: ",
        "/mine/root.d/10-mine:3: rootless: losetup: loop devices need a privileged host; instead: ",
        "2 elements, ",
    ] {
        ensure!(ran.stdout.contains(part), "{part:?} in {}", ran.stdout);
    }
    ensure!(!ran.stdout.contains("mine/root.d/10-mine:1: sete: "), "{ran:?}");
    let json = env.run(&["elements", "lint", "--json", "elements/mine"])?;
    ensure!(json.status == 1, "{json:?}");
    let value: serde_json::Value = serde_json::from_str(&json.stdout)?;
    let found = value["findings"].as_array().context("no findings")?;
    let sorted = found.iter().find(|found| found["check"] == "sorted").context("not found")?;
    ensure!(sorted["file"] == "elements/mine/element-deps" && sorted["line"] == 2, "{sorted}");
    fs_err::write(
        env.path("tox.ini"),
        "[dib-lint]\nignore = readme sorted rootless setpipefail\n",
    )?;
    let ran = env.run(&["elements", "lint", "mine"])?;
    ensure!(ran.status == 1 && ran.stdout.lines().count() == 2, "{ran:?}");
    ensure!(ran.stdout.contains(" dibdebugtrace: "), "{ran:?}");
    let ran = env.run(&["elements", "lint", "nowhere"])?;
    ensure!(ran.status == 3 && ran.stderr.contains("nowhere is not found"), "{ran:?}");
    Ok(())
}
