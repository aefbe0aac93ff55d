//! How a qcow2 is compressed under each name of the program, and what becomes of the image that
//! had its name before.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{TestEnv, ran};

use super::ok;

/// No hook runs in the tree, so that nothing has to be installed.
const TREE: &str = "#!/bin/sh\nset -eu\nmkdir -p \"$TARGET_ROOT/etc\" \"$TARGET_ROOT/usr/bin\"\n\
    seq 200000 > \"$TARGET_ROOT/etc/numbers\"\n";

fn environment() -> Result<TestEnv> {
    let env = TestEnv::new()?;
    env.element("numbers/element-provides", "operating-system\n")?;
    env.element("numbers/root.d/10-tree", TREE)?;
    Ok(env)
}

/// The codec of a qcow2 and how many of its clusters are compressed, as QEMU reads them.
fn codec(image: &Path) -> Result<(String, u64)> {
    let ask = |verb: &str| -> Result<serde_json::Value> {
        let output = Command::new("qemu-img").args([verb, "--output=json"]).arg(image).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let info = ask("info")?;
    let name = info["format-specific"]["data"]["compression-type"].as_str();
    let clusters = ask("check")?["compressed-clusters"].as_u64().unwrap_or(0);
    Ok((name.context("a codec")?.to_owned(), clusters))
}

// contract 1.2: -u; zlib under the old name, which every QEMU reads.
#[test]
fn each_name_of_the_program_has_its_codec() -> Result<()> {
    let env = environment()?;
    for (program, words, wanted) in [
        ("disk-image-create", &["-o", "x"][..], Some("zlib")),
        ("disk-image-create", &["-u", "-o", "x"], None),
        ("goldsmith", &["build", "-o", "x"], Some("zstd")),
        ("goldsmith", &["build", "--codec", "zlib", "-o", "x"], Some("zlib")),
        ("goldsmith", &["build", "--codec", "none", "-o", "x"], None),
    ] {
        let mut command = env.command(program)?;
        ok(&ran(command.args(words).args(["-n", "numbers"]))?)?;
        let (name, clusters) = codec(&env.path("x.qcow2"))?;
        match wanted {
            Some(wanted) => ensure!(name == wanted && clusters > 5, "{words:?}: {name} {clusters}"),
            None => ensure!(clusters == 0, "{words:?}: {clusters} compressed clusters"),
        }
        fs_err::remove_file(env.path("x.qcow2"))?;
    }
    Ok(())
}

#[test]
fn an_older_image_is_kept_unless_it_may_be_overwritten() -> Result<()> {
    let env = environment()?;
    let images = || -> Result<Vec<String>> {
        let list = fs_err::read_dir(env.directory.path())?.flatten();
        let names = list.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("x")).collect();
        names.sort();
        Ok(names)
    };
    let create = |overwrite: Option<&str>| -> Result<()> {
        let mut command = env.command("disk-image-create")?;
        if let Some(value) = overwrite {
            command.env("OVERWRITE_OLD_IMAGE", value);
        }
        ok(&ran(command.args(["-n", "-t", "tar", "-o", "x", "--checksum", "numbers"]))?)
    };
    create(None)?;
    fs_err::write(env.path("x.tar"), "mine")?;
    create(Some("1"))?;
    ensure!(images()? == ["x.tar", "x.tar.md5", "x.tar.sha256"], "{:?}", images());
    fs_err::write(env.path("x.tar"), "mine")?;
    create(Some("0"))?;
    let names = images()?;
    ensure!(names.len() == 6 && names[0].starts_with("x-20"), "{names:?}");
    ensure!(fs_err::read_to_string(env.path(&names[0]))? == "mine", "{names:?}");
    Ok(())
}
