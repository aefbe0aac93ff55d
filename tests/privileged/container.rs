//! The Containerfile: packed by buildah on a base that goldsmith made, and used to build an image.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv};

pub(crate) const CASES: &[crate::Case] =
    &[("container::an_image_is_built_inside_a_container_of_our_own", inside)];

/// buildah with everything it keeps below the test's directory.
fn buildah(env: &TestEnv, arguments: &[&str]) -> Result<String> {
    let output = Command::new("buildah")
        .arg("--root")
        .arg(env.path("containers"))
        .arg("--runroot")
        .arg(env.path("containers-run"))
        .args(["--storage-driver", "vfs"])
        .args(arguments)
        .current_dir(env.directory.path())
        .output()
        .context("buildah")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "buildah {arguments:?}: {told}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn elements(env: &TestEnv) -> Result<()> {
    env.element(
        "small/post-install.d/10-sources",
        "#!/bin/sh\nset -eu\necho \"deb $DIB_DEBIAN_DISTRIBUTION_MIRROR bookworm main\" > /etc/apt/sources.list\n",
    )?;
    env.element("mine/post-install.d/10-x", "#!/bin/sh\necho inside > /made\n")
}

/// Removes containers and images also when a step fails.
struct Containers<'a>(&'a TestEnv);

impl Drop for Containers<'_> {
    fn drop(&mut self) {
        for line in [&["rm", "--all"][..], &["rmi", "--all", "--force"]] {
            if let Err(error) = buildah(self.0, line) {
                drop(std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("{error:#}\n").as_bytes(),
                ));
            }
        }
    }
}

fn inside() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    elements(&env)?;
    let host = HostInvariant::take(env.cache())?;
    let ran =
        env.run(&["build", "-n", "-t", "tar", "-o", "base", "--progress", "plain", "small"])?;
    ensure!(ran.status == 0, "{ran:#?}");

    let containers = Containers(&env);
    let scratch = buildah(&env, &["from", "scratch"])?;
    buildah(&env, &["add", "-q", &scratch, "base.tar", "/"])?;
    buildah(&env, &["commit", "-q", &scratch, "localhost/base"])?;
    let context = env.path("context");
    fs_err::create_dir(&context)?;
    let binary = context.join("goldsmith");
    fs_err::copy(std::env::var_os("GOLDSMITH_BIN").context("GOLDSMITH_BIN")?, &binary)?;
    let linked = Command::new("ldd").arg(&binary).output()?;
    let told = [linked.stdout, linked.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    ensure!(
        told.contains("statically linked") || told.contains("not a dynamic executable"),
        "the program wants libraries: {told}"
    );
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Containerfile");
    let recipe = recipe.to_string_lossy();
    let bud = ["bud", "-q", "--isolation", "chroot", "--pull-never", "--build-arg"];
    let line =
        [&bud[..], &["BASE=localhost/base", "-t", "localhost/goldsmith", "-f", &recipe, "context"]];
    buildah(&env, &line.concat())?;

    // The same downloads, a cache of its own: ids inside are not those outside.
    let cache = env.path("volume");
    let downloads = cache.join("goldsmith/downloads");
    fs_err::create_dir_all(&downloads)?;
    for file in fs_err::read_dir(env.cache().join("downloads"))? {
        let file = file?;
        fs_err::hard_link(file.path(), downloads.join(file.file_name()))
            .or_else(|_| fs_err::copy(file.path(), downloads.join(file.file_name())).map(|_| ()))?;
    }
    fs_err::create_dir(env.path("out"))?;
    let pod = ["--isolation", "oci", "--cap-add", "CAP_SYS_ADMIN"];
    let from =
        [&["from"][..], &pod, &["--security-opt", "seccomp=unconfined", "localhost/goldsmith"]];
    let container = buildah(&env, &from.concat())?;
    let volume = |from: &str, to: &str| format!("{}:{to}", env.path(from).display());
    let (cache, elements, out) =
        (volume("volume", "/cache"), volume("elements", "/elements:ro"), volume("out", "/work"));
    let build = ["--", "goldsmith", "build", "-E", "/elements", "-n", "-t", "tar,raw", "-o", "x"];
    let run = [
        &["run", "--runtime", "runc", "-v", &cache, "-v", &elements, "-v", &out][..],
        &pod,
        &[&container],
        &build,
        &["small", "mine"],
    ];
    buildah(&env, &run.concat())?;
    drop(containers);

    let made = Command::new("tar").arg("-xOf").arg(env.path("out/x.tar")).arg("./made").output()?;
    ensure!(made.stdout == b"inside\n", "{made:?}");
    let checked = Command::new("e2fsck").arg("-fn").arg(env.path("out/x.raw")).output()?;
    ensure!(checked.status.success(), "{checked:?}");
    host.check(env.cache())
}
