//! How much memory imports take: no more for large images than for small ones.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{DockerRegistry, TestEnv};

use crate::tiny;

/// What any import may take, of all its processes the largest.
const MOST: u64 = 256 << 20;

/// Runs a program and prints the peak of its processes' memory, in KiB.
const MEASURE: &str = "import resource, subprocess, sys\n\
    status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n\
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n\
    sys.exit(status)\n";

/// Makes a tree of 40000 files and half a gigabyte below the first argument.
const TREE: &str = r"
import os, sys
for directory in range(400):
    place = f'{sys.argv[1]}/usr/share/a-directory-with-a-name-{directory}'
    os.makedirs(place)
    for number in range(100):
        with open(f'{place}/one-of-the-many-files-{number}', 'w') as out:
            out.write('text ' * 20)
os.makedirs(f'{sys.argv[1]}/etc')
with open(f'{sys.argv[1]}/usr/large', 'wb') as out:
    for block in range(512):
        out.write(bytes([block % 256, 1, 2, 3] * (1 << 18)))
";

fn measured(env: &TestEnv, line: &[&str], vars: &[(&str, &str)]) -> Result<u64> {
    let goldsmith = env.command("goldsmith")?;
    let mut command = Command::new("python3");
    command.args(["-c", MEASURE]).arg(goldsmith.get_program()).args(line);
    command.env_clear().current_dir(env.directory.path());
    for (name, value) in goldsmith.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = command.envs(vars.iter().copied()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line:?}: {told}");
    let kib: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().context("KiB")?;
    ensure!(kib << 10 < MOST, "{line:?} took {} MiB", kib >> 10);
    Ok(kib << 10)
}

fn run(env: &TestEnv, program: &str, words: &[&str]) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new(program);
    let output =
        command.args(words).env("PATH", path).current_dir(env.directory.path()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {words:?}: {told}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Pulls the tree as a layer of either compression.
fn layers(env: &TestEnv) -> Result<()> {
    let registry = DockerRegistry::start(env.directory.path())?;
    let name = format!("{}/large:gzip", registry.host);
    tiny::push(env, "large", &["@tree"], &name)?;
    let (from, to) = (format!("docker://{name}"), name.replace("gzip", "zstd"));
    let to = format!("docker://{to}");
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let words = ["--insecure-policy", "copy", plain[0], plain[1], "--format=oci"];
    run(env, "skopeo", &[&words[..], &["--dest-compress-format=zstd", &from, &to]].concat())?;
    for kind in ["gzip", "zstd"] {
        let name = name.replace("gzip", kind);
        measured(env, &["pull", &name, "--plain-http", &registry.host], &[])?;
    }
    Ok(())
}

/// Builds an image on each of these files, whose name ends as their form is called.
fn images(env: &TestEnv, names: &[&str]) -> Result<()> {
    env.element("imported/element-provides", "operating-system\n")?;
    env.element("imported/environment.d/10-x.bash", "export DISTRO_NAME=debian\n")?;
    env.element("imported/base.yaml", "rootfs:\n  url: ${DIB_LOCAL_IMAGE}\n")?;
    for name in names {
        let line = ["build", "-n", "-a", "amd64", "-t", "tar", "-o", "x", "imported"];
        measured(env, &line, &[("DIB_LOCAL_IMAGE", name)])?;
    }
    Ok(())
}

fn squashfs(env: &TestEnv, name: &str) -> Result<()> {
    let words = ["-all-root", "-noappend", "-no-progress", "-quiet"];
    run(env, "mksquashfs", &[&["tree", name][..], &words].concat()).map(drop)
}

/// Files that are small: what grows with their number shows.
#[test]
fn many_files_take_little_memory() -> Result<()> {
    let env = TestEnv::new()?;
    run(
        &env,
        "python3",
        &[
            "-c",
            &TREE.replace("range(400)", "range(100)").replace("range(512)", "range(8)"),
            "tree",
        ],
    )?;
    squashfs(&env, "many.squashfs")?;
    images(&env, &["many.squashfs"])
}

#[test]
fn full_large_images_take_little_memory() -> Result<()> {
    let env = TestEnv::new()?;
    run(&env, "python3", &["-c", TREE, "tree"])?;
    squashfs(&env, "large.squashfs")?;
    run(&env, "sh", &["-c", "tar -C tree --owner=0 --group=0 -c . | xz -1 -T0 > large.tar.xz"])?;
    let words = ["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d", "tree", "raw", "1G"];
    run(&env, "mke2fs", &words)?;
    run(&env, "qemu-img", &["convert", "-c", "-O", "qcow2", "raw", "large.qcow2"])?;
    fs_err::remove_file(env.path("raw"))?;
    images(&env, &["large.squashfs", "large.tar.xz", "large.qcow2"])
}

/// Packages are unpacked side by side.
#[test]
fn full_a_base_of_packages_takes_little_memory() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let line = ["build", "-n", "-t", "tar", "-o", "x", "--refresh", "small"];
    measured(&env, &line, &[]).map(drop)
}

#[test]
fn full_a_large_layer_takes_little_memory() -> Result<()> {
    let env = TestEnv::with_own_cache()?;
    let _emptied = crate::store::Emptied(&env);
    run(&env, "python3", &["-c", TREE, "tree"])?;
    layers(&env)
}
