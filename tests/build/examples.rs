//! What the documentation shows of registries and bases, run as it stands there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{Authority, DockerRegistry, Guard, Proxy, Ran, TestEnv, WebServer, ran};

use crate::ok;
use crate::registry::skopeo;

const REGISTRIES: &str = include_str!("../../docs/registries.md");
const BASES: &str = include_str!("../../docs/base-yaml.md");

/// The blocks of a page that are in this language.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("\n```{language}\n");
    let inside = page.split(fence.as_str()).skip(1);
    inside.filter_map(|text| text.split("\n```").next()).collect()
}

/// The registries of the documentation's examples: one, behind a proxy that knows their names.
struct Registries {
    env: TestEnv,
    authority: Authority,
    proxy: Proxy,
    registry: DockerRegistry,
}

impl Registries {
    fn new(env: TestEnv) -> Result<Self> {
        let authority = Authority::new(&env.path("authority"))?;
        let names = ["registry-1.docker.io", "registry.example"];
        let given: Vec<_> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let mut given: Vec<_> = given.iter().map(String::as_str).collect();
        given.push("IP:127.0.0.1");
        let guard = Guard { tls: Some(authority.give(&given)?), auth: None };
        let registry = DockerRegistry::guarded(env.directory.path(), &guard)?;
        let ways = names.map(|name| (format!("{name}:443"), registry.host.clone()));
        let proxy = Proxy::to(BTreeMap::from(ways))?;
        Ok(Self { env, authority, proxy, registry })
    }

    fn run(&self, words: &[&str]) -> Result<Ran> {
        let mut command = self.env.command("goldsmith")?;
        command
            .env("https_proxy", format!("http://{}", self.proxy.host))
            .env("GOLDSMITH_REGISTRY_CA", &self.authority.certificate);
        ran(command.args(words))
    }
}

#[test]
fn the_examples_of_registries_run() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let line = ["build", "-n", "-t", "oci,qcow2", "-o", "server", "--progress", "plain", "small"];
    ok(&env.run(&line)?)?;
    for (name, text) in [
        ("sbom.json", "{}"),
        ("server.vmlinuz", "a kernel"),
        ("server.initrd", "a ramdisk"),
        ("other.raw", "a disk"),
    ] {
        fs_err::write(env.path(name), text)?;
    }
    env.element("mine/element-deps", "small\n")?;
    for arch in ["amd64", "arm64"] {
        crate::tiny::make(&env, arch, arch, &["{\"etc/mark\": \"x\"}"])?;
    }
    let place = Registries::new(env)?;
    let hub = format!("docker://{}/library/debian:bookworm", place.registry.host);
    let authority = place.env.path("cert.d");
    fs_err::create_dir(&authority)?;
    fs_err::copy(&place.authority.certificate, authority.join("ca.crt"))?;
    let certificates = format!("--dest-cert-dir={}", authority.display());
    // An image with something to run, as Debian's has it.
    skopeo(&place.env, &["copy", "oci-archive:server.oci:latest", "oci:debian:x"])?;
    let cmd = [
        "config",
        "--image",
        "debian:x",
        "--config.cmd",
        "cat",
        "--config.cmd",
        "/etc/debian_version",
    ];
    crate::registry::tool(&place.env, "umoci", &cmd)?;
    skopeo(&place.env, &["copy", &certificates, "oci:debian:x", &hub])?;

    let mut told = BTreeMap::new();
    for line in blocks(REGISTRIES, "sh").into_iter().flat_map(str::lines) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [program, arguments @ ..] = words.as_slice() else { continue };
        ensure!(*program == "goldsmith", "{line}");
        let ran = place.run(arguments)?;
        ensure!(ran.status == 0, "{line}: {ran:#?}");
        told.insert(line, ran.stdout);
    }
    ensure!(told.len() >= 14, "the page has lost its examples: {told:#?}");
    let of = |words: &str| {
        let mut found = told.iter().filter(|(line, _)| line.contains(words));
        found.next().map(|(_, text)| text.as_str()).with_context(|| words.to_owned())
    };
    ensure!(of("cat /etc/debian_version")?.starts_with("12."), "{told:#?}");
    let env = of("GREETING")?;
    ensure!(env.contains("GREETING=hello\n") && env.contains("HOME=/nonexistent\n"), "{env}");
    ensure!(of("store ls")?.contains("docker.io/library/debian:bookworm"), "{told:#?}");
    for (ending, magic) in [
        ("docker.tar", &b""[..]),
        ("tgz", b"\x1f\x8b"),
        ("tar.zst", b"\x28\xb5\x2f\xfd"),
        ("squash", b"hsqs"),
    ] {
        let bytes = fs_err::read(place.env.path(&format!("appliance.{ending}")))?;
        ensure!(bytes.starts_with(magic), "appliance.{ending} is something else");
    }
    let metal = of("metal:2")?;
    ensure!(metal.lines().count() == 3 && metal.contains(" kernel amd64\n"), "{metal}");
    ok(&place.run(&["store", "rm", "docker.io/library/debian:bookworm"])?)
}

/// The blocks of docs/base-yaml.md, each as the `base.yaml` of an element; what the image of the
/// second one is served by is in `published.rs`. Then its commands.
#[test]
fn the_examples_of_bases_are_planned() -> Result<()> {
    let found = blocks(BASES, "yaml");
    let [debian, published, packed, oci] = found.as_slice() else {
        anyhow::bail!("docs/base-yaml.md has {} examples, not 4", found.len());
    };
    let env = TestEnv::with_small_os()?;
    ok(&env.run(&["build", "-n", "-t", "oci", "-o", "x", "--progress", "plain", "small"])?)?;
    let registry = DockerRegistry::start(env.directory.path())?;
    let hub = format!("docker://{}/library/debian:bookworm-slim", registry.host);
    skopeo(&env, &["copy", "--dest-tls-verify=false", "oci-archive:x.oci:latest", &hub])?;
    let examples =
        [("archive", debian), ("published", published), ("mine", packed), ("registry", oci)];
    for (name, text) in examples {
        env.element(&format!("{name}/element-provides"), "operating-system\n")?;
        env.element(&format!("{name}/environment.d/10-x.bash"), "export DISTRO_NAME=debian\n")?;
        env.element(&format!("{name}/base.yaml"), &format!("{text}\n"))?;
        let replaced = text.split("root.d/").nth(1).and_then(|rest| rest.split(']').next());
        let hook = format!("{name}/root.d/{}", replaced.context("an example replaces a hook")?);
        env.element(&hook, "#!/bin/bash\nexit 1\n")?;
    }
    let run = |verb: &str, name: &str| -> Result<Ran> {
        let mut command = env.command("goldsmith")?;
        command
            .env("GOLDSMITH_PLAIN_HTTP", &registry.host)
            .env("GOLDSMITH_REGISTRY_MIRRORS", format!("docker.io={}", registry.host));
        ran(command.args([verb, "-n", "-t", "tar", "-o", name, name]))
    };
    // Of the archive the release files are read; the image is made by other tests.
    ok(&run("plan", "archive")?)?;
    let missing = run("plan", "published")?;
    ensure!(missing.stderr.contains("cloud-image-keys.asc"), "{missing:#?}");
    ok(&run("build", "registry")?)?;
    let version = crate::member(&env.path("registry.tar"), "./etc/debian_version")?;
    ensure!(version.starts_with("12."), "{version}");
    // The tree is packed by the page's own line.
    fs_err::create_dir_all(env.path("tree/etc"))?;
    fs_err::write(env.path("tree/etc/mark"), "of the tree")?;
    crate::pages::bases(&env, "mine")?;
    ensure!(crate::member(&env.path("image.tar"), "./etc/mark")? == "of the tree");
    // The same from a server that nobody vouches for.
    let server = WebServer::of_directory(env.directory.path().to_path_buf())?;
    let unsigned = format!("rootfs:\n  url: {}/rootfs.tar.zst\n", server.address());
    env.element("unsigned/element-provides", "operating-system\n")?;
    env.element("unsigned/environment.d/10-x.bash", "export DISTRO_NAME=debian\n")?;
    env.element("unsigned/base.yaml", &unsigned)?;
    crate::pages::bases(&env, "unsigned")?;
    ensure!(fs_err::read_to_string(env.path("image.d/base.json"))?.contains("insecure"));
    Ok(())
}
