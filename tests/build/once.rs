//! A second build of anything fetches nothing: every kind of base, by servers that count.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{Answer, Proxy, Ran, TestEnv, WebServer, ran};

use crate::ok;
use crate::registry::{skopeo, tool};

/// A registry with what is in an OCI layout: one image, by the tags `1` and `2`. Blobs come so late.
pub(crate) fn registry(layout: PathBuf, late: Duration) -> Result<WebServer> {
    WebServer::start(move |asked| {
        if asked.path.contains("/blobs/") {
            std::thread::sleep(late);
        }
        let Some(rest) = asked.path.strip_prefix("/v2/x/") else { return Answer::new(404, "") };
        let index = fs_err::read(layout.join("index.json")).unwrap_or_default();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap_or_default();
        let image = &index["manifests"][0];
        let name = match rest {
            "manifests/1" | "manifests/2" => image["digest"].as_str().unwrap_or_default(),
            other => other.split_once('/').map_or("", |(_, digest)| digest),
        };
        let kind = image["mediaType"].as_str().unwrap_or_default();
        match fs_err::read(layout.join("blobs").join(name.replace(':', "/"))) {
            Ok(bytes) => Answer::new(200, bytes).with("Content-Type", kind),
            Err(_) => Answer::new(404, ""),
        }
    })
}

/// An operating system of the test's own, with this base.
fn element(env: &TestEnv, name: &str, base: &str) -> Result<()> {
    env.element(&format!("{name}/element-provides"), "operating-system\n")?;
    env.element(&format!("{name}/environment.d/10-x.bash"), "export DISTRO_NAME=debian\n")?;
    env.element(&format!("{name}/base.yaml"), base)
}

/// Makes what is served: a squashfs and archives in `www`, an image in `served`, all with a mark
/// of this run, which none before has fetched. Returns the tree with the mark.
fn published(env: &TestEnv) -> Result<PathBuf> {
    let tree = env.path("tree");
    fs_err::create_dir_all(tree.join("etc"))?;
    fs_err::write(tree.join("etc/mark"), format!("{}\n", env.directory.path().display()))?;
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(tree.join("etc/mark"), "user.note", b"kept", flags)?;
    fs_err::create_dir(env.path("www"))?;
    let words = ["-all-root", "-noappend", "-no-progress", "-quiet"];
    tool(env, "mksquashfs", &[&["tree", "www/disk.squashfs"][..], &words].concat())?;
    let owners = ["--owner=0", "--group=0", "--numeric-owner"];
    for (ending, packer) in [("gz", "gzip"), ("xz", "xz"), ("zst", "zstd")] {
        let file = format!("www/root.tar.{ending}");
        let line = [&["-I", packer][..], &owners, &["-cf", &file, "-C", "tree", "."]].concat();
        tool(env, "tar", &line)?;
    }
    tool(env, "umoci", &["init", "--layout", "layout"])?;
    tool(env, "umoci", &["new", "--image", "layout:1"])?;
    let line = [&owners[..], &["-cf", "layer.tar", "-C", "tree", "."]].concat();
    tool(env, "tar", &line)?;
    tool(env, "umoci", &["raw", "add-layer", "--image", "layout:1", "layer.tar"])?;
    skopeo(env, &["copy", "oci:layout:1", "oci:served:1"])?;
    Ok(tree)
}

#[test]
fn a_second_build_fetches_nothing() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let tree = published(&env)?;
    let images = registry(env.path("served"), Duration::ZERO)?;
    let files = WebServer::of_directory(env.path("www"))?;
    let sum = |name: &str| -> Result<String> {
        let line = tool(&env, "sha256sum", &[name])?;
        Ok(line.split(' ').next().context("a checksum")?.to_owned())
    };
    element(&env, "of-registry", &format!("oci:\n  image: {}/x:1\n", images.host()))?;
    let disk = sum("www/disk.squashfs")?;
    let address = files.address();
    let text = format!("cloud-image:\n  url: {address}/disk.squashfs\n  sha256: {disk}\n");
    element(&env, "of-disk", &text)?;
    let mut names = vec!["of-registry".to_owned(), "of-disk".to_owned()];
    for ending in ["gz", "xz", "zst"] {
        let sum = sum(&format!("www/root.tar.{ending}"))?;
        let text = format!("rootfs:\n  url: {address}/root.tar.{ending}\n  sha256: {sum}\n");
        element(&env, &format!("of-{ending}"), &text)?;
        names.push(format!("of-{ending}"));
    }
    // As in foreign.rs: the same base.
    element(&env, "foreign", "debian:\n  suite: trixie\n  variant: apt\n")?;
    let proxy = Proxy::open()?;
    let run = |line: &[&str]| -> Result<Ran> {
        let proxy = format!("http://{}", proxy.host);
        let mut command = env.command("goldsmith")?;
        command
            .env("GOLDSMITH_PLAIN_HTTP", images.host())
            .env("DIB_CONTAINERFILE_DOCKERFILE", env.path("Containerfile"))
            .envs([("http_proxy", proxy.as_str()), ("https_proxy", &proxy)])
            .env("no_proxy", "127.0.0.1");
        ran(command.args(line))
    };
    // A container file on an image of its own tag, which nobody has asked for before.
    let file = format!("FROM {}/x:2\nENV WORD=value\n", images.host());
    fs_err::write(env.path("Containerfile"), file)?;
    names.push("containerfile".to_owned());
    let build = |more: &[&str], output: &str| {
        let line = ["build", "-n", "-t", "tar", "-o", output, "--progress", "plain"];
        run(&[&line[..], more].concat())
    };
    let counts = || (images.count(), files.count(), proxy.asked().len());
    for name in &names {
        let before = counts();
        ok(&build(&[name], name)?)?;
        let between = counts();
        ensure!(between.0 + between.1 > before.0 + before.1, "{name}: nothing was fetched");
        let tar = env.path(&format!("{name}.tar"));
        let mark = crate::member(&tar, "./etc/mark")?;
        ensure!(mark == fs_err::read_to_string(tree.join("etc/mark"))?, "{name}: {mark}");
        ok(&build(&[name], "again")?)?;
        ok(&build(&["--offline", name], "offline")?)?;
        ensure!(counts() == between, "{name}: {:?} {:?}", images.asked(), files.asked());
    }
    // What a squashfs knows of a file beside its bytes comes along.
    let tar = fs_err::read(env.path("of-disk.tar"))?;
    let note = b"SCHILY.xattr.user.note=kept\n";
    ensure!(tar.windows(note.len()).any(|window| window == note), "the attribute is lost");
    // Bases of Debian, for this machine and for another one, whose programs an emulator of the
    // archive runs: the archive is behind the proxy, as a look at it shows.
    for more in [&["small"][..], &["-a", "arm64", "foreign"]] {
        let look = ["plan", "-n", "-t", "tar", "-o", "again", "--refresh"];
        let asked = proxy.asked().len();
        ok(&run(&[&look[..], more].concat())?)?;
        ensure!(proxy.asked().len() > asked, "{more:?}: the archive is asked by another way");
        ok(&build(more, "archive")?)?;
        let before = counts();
        ok(&build(more, "again")?)?;
        ok(&build(&[&["--offline"], more].concat(), "offline")?)?;
        ensure!(counts() == before, "{more:?}: {:?}", proxy.asked());
    }
    Ok(())
}

#[test]
fn a_download_goes_on_after_a_kill() -> Result<()> {
    let env = TestEnv::new()?;
    fs_err::create_dir_all(env.path("tree/etc"))?;
    let noise = "head -c 3000000 /dev/urandom > tree/etc/noise && mksquashfs tree disk.squashfs -all-root -quiet -no-progress";
    tool(&env, "sh", &["-c", noise])?;
    let bytes = fs_err::read(env.path("disk.squashfs"))?;
    let half = bytes.len() / 2;
    let killed = Arc::new(AtomicBool::new(false));
    let (gone, asks) = (Arc::clone(&killed), AtomicUsize::new(0));
    let server =
        WebServer::start(move |asked| match (asks.fetch_add(1, Ordering::SeqCst), asked.from()) {
            (0, _) => Answer::new(200, bytes.clone()).with("ETag", "\"1\"").cut(half),
            // The second try is not answered before the builder is dead.
            (1, _) => {
                while !gone.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Answer::new(404, "")
            }
            (_, Some(from)) if asked.header("if-range") == Some("\"1\"") => {
                let span = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                let rest = Answer::new(206, &bytes[from..]);
                rest.with("ETag", "\"1\"").with("Content-Range", span)
            }
            _ => Answer::new(500, ""),
        })?;
    let sum = tool(&env, "sha256sum", &["disk.squashfs"])?;
    let sum = sum.split(' ').next().context("a checksum")?;
    let text = format!("rootfs:\n  url: {}/disk.squashfs\n  sha256: {sum}\n", server.address());
    element(&env, "large", &text)?;
    let line = ["build", "-n", "-t", "tar", "-o", "x", "--progress", "plain", "large"];
    let mut builder = env.command("goldsmith")?.args(line).stderr(Stdio::null()).spawn()?;
    for _ in 0..6_000 {
        if server.count() > 1 || builder.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    builder.kill()?;
    builder.wait()?;
    killed.store(true, Ordering::SeqCst);
    ensure!(server.count() == 2, "{:?}", server.asked());
    ok(&env.run(&line)?)?;
    let asked = server.asked();
    ensure!(asked.len() == 3 && asked[2].from() == Some(half), "{asked:?}");
    Ok(())
}
