//! Bases that publishers put on the web, in their names and layouts: what is signed is taken,
//! once; what is not is refused.

mod partitioned;
mod redirect;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use goldsmith_images::digest::Digest;
use goldsmith_tests::{HostInvariant, Ran, TestEnv, ran};

use crate::{member, ok};

/// The paths that a server was asked for.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

/// Serves a directory until the test ends; the list has what was asked for.
pub(crate) fn serve(directory: PathBuf) -> Result<(String, Asked)> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", server.local_addr()?);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || -> Result<()> {
        for stream in server.incoming() {
            let mut stream = stream?;
            let mut request = String::new();
            let mut lines = BufReader::new(stream.try_clone()?);
            lines.read_line(&mut request)?;
            let mut rest = String::new();
            while lines.read_line(&mut rest)? > 2 {}
            let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
            let (status, bytes) = match fs_err::read(directory.join(&path)) {
                Ok(bytes) => ("200 OK", bytes),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            if let Ok(mut log) = log.lock() {
                log.push(path);
            }
            let length = bytes.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            // A client that has seen enough goes away.
            let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
        }
        Ok(())
    });
    Ok((address, asked))
}

pub(crate) fn tool(name: &str, words: &[&str]) -> Result<()> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output =
        Command::new(name).env("PATH", path).args(words).output().context(name.to_owned())?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// A publisher: a directory of its web server, and a key.
pub(crate) struct Publisher {
    pub(crate) root: PathBuf,
    home: PathBuf,
}

impl Publisher {
    pub(crate) fn new(env: &TestEnv) -> Result<Self> {
        let this = Self { root: env.path("www"), home: env.path("gpg") };
        fs_err::create_dir_all(&this.root)?;
        fs_err::create_dir(&this.home)?;
        tool("chmod", &["700", text(&this.home)])?;
        let key = ["--quick-gen-key", "images@example.org", "ed25519", "sign", "never"];
        this.gpg("20240101T000000", &[&["--passphrase", ""][..], &key].concat())?;
        let public = env.path("elements/publisher/keys.asc");
        this.gpg("20240101T000000", &["--armor", "--output", text(&public), "--export"])?;
        Ok(this)
    }

    pub(crate) fn gpg(&self, time: &str, words: &[&str]) -> Result<()> {
        let usual =
            ["--homedir", text(&self.home), "--batch", "--yes", "--faked-system-time", time];
        tool("gpg", &[&usual[..], words].concat())
    }

    /// Writes `SHA256SUMS` for what is in a directory, and its signature beside it.
    fn sign_beside(&self, directory: &str, time: &str) -> Result<()> {
        let directory = self.root.join(directory);
        tool("sh", &["-c", "cd \"$0\" && sha256sum -b *.squashfs > SHA256SUMS", text(&directory)])?;
        let sums = directory.join("SHA256SUMS");
        let signature = directory.join("SHA256SUMS.gpg");
        let words = ["--output", text(&signature), "--detach-sign", text(&sums)];
        self.gpg(time, &words)
    }

    /// Publishes another image in the place of the first one; returns its checksum.
    pub(crate) fn release(&self, env: &TestEnv, mark: &str, time: &str) -> Result<String> {
        let tree = env.path("noble");
        fs_err::write(tree.join("etc/mark"), mark)?;
        let image = self.root.join("noble/current/noble-server-cloudimg-amd64.squashfs");
        fs_err::remove_file(&image)?;
        let words = ["-all-root", "-noappend", "-no-progress", "-quiet"];
        tool("mksquashfs", &[&[text(&tree), text(&image)][..], &words].concat())?;
        self.sign_beside("noble/current", time)?;
        Ok(Digest::of(fs_err::read(&image)?).hex())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // Its agent would go by itself, but later.
        let words = ["--homedir", text(&self.home), "--kill", "all"];
        let _ended = Command::new("gpgconf").args(words).status();
    }
}

/// The publisher's element: where its images are, a variable says.
const BASE: &str = r#"cloud-image:
  when: ${DIB_STYLE:-ubuntu} == ubuntu
  url: ${DIB_CLOUD_IMAGES}/noble/current/noble-server-cloudimg-${ARCH}.squashfs
  sums: ${DIB_CLOUD_IMAGES}/noble/current/SHA256SUMS
  signature: ${DIB_CLOUD_IMAGES}/noble/current/SHA256SUMS.gpg
  keyring: keys.asc
rootfs:
  when: ${DIB_STYLE:-} == debian
  url: ${DIB_LOCAL_IMAGE:-${DIB_CLOUD_IMAGES}/bookworm/latest/debian-12-genericcloud-${ARCH}.qcow2}
  sums: ${DIB_CLOUD_IMAGES}/bookworm/latest/SHA512SUMS
  sha512: "${DIB_SUM:-}"
"#;
const FEDORA: &str = r#"cloud-image:
  url: ${DIB_CLOUD_IMAGES}/42/Cloud/${MACHINE}/images/Fedora-Cloud-Base-Generic*.qcow2
  sums: ${DIB_CLOUD_IMAGES}/42/Cloud/${MACHINE}/images/Fedora-Cloud-42-1.1-${MACHINE}-CHECKSUM
  signature: inside
  keyring: ../publisher/keys.asc
"#;

/// A system that hooks inside of it cannot run in, which none wants.
fn system(env: &TestEnv, name: &str) -> Result<PathBuf> {
    let tree = env.path(name);
    fs_err::create_dir_all(tree.join("etc"))?;
    fs_err::create_dir_all(tree.join("usr/bin"))?;
    fs_err::write(tree.join("etc/os-release"), format!("ID={name}\n"))?;
    fs_err::write(tree.join("usr/bin/tool"), "x")?;
    tool("chmod", &["6755", text(&tree.join("usr/bin/tool"))])?;
    std::os::unix::fs::symlink("usr/bin", tree.join("bin"))?;
    Ok(tree)
}

fn build(env: &TestEnv, verb: &str, more: &[&str], vars: &[(&str, &str)]) -> Result<Ran> {
    let mut command = env.command("goldsmith")?;
    let line = [verb, "-n", "-a", "amd64", "-t", "tar", "-o", "x"];
    ran(command.args(line).args(more).envs(vars.iter().copied()))
}

fn refused(ran: &Ran, words: &str) -> Result<()> {
    ensure!(ran.status == 6 && ran.stderr.contains(words), "{words}: {ran:#?}");
    Ok(())
}

/// A publisher, its web server's address, and what that was asked for.
pub(crate) fn publisher(env: &TestEnv) -> Result<(Publisher, String, Asked)> {
    env.element("publisher/element-provides", "operating-system\n")?;
    env.element("publisher/environment.d/10-x.bash", "export DISTRO_NAME=debian\n")?;
    env.element("publisher/base.yaml", BASE)?;
    let publisher = Publisher::new(env)?;
    let place = publisher.root.join("noble/current");
    fs_err::create_dir_all(&place)?;
    let image = place.join("noble-server-cloudimg-amd64.squashfs");
    let tree = system(env, "noble")?;
    let words = ["-all-root", "-noappend", "-no-progress", "-quiet"];
    tool("mksquashfs", &[&[text(&tree), text(&image)][..], &words].concat())?;
    publisher.sign_beside("noble/current", "20240301T000000")?;
    let (address, asked) = serve(publisher.root.clone())?;
    Ok((publisher, address, asked))
}

#[test]
fn a_signed_image_is_fetched_once_and_becomes_the_base() -> Result<()> {
    let env = TestEnv::new()?;
    let host = HostInvariant::take(env.cache())?;
    let (publisher, address, asked) = publisher(&env)?;
    let vars = [("DIB_CLOUD_IMAGES", address.as_str())];
    ok(&build(&env, "build", &["publisher"], &vars)?)?;
    ensure!(member(&env.path("x.tar"), "./etc/os-release")? == "ID=noble\n");
    let listed =
        Command::new("tar").args(["-tvf", "x.tar"]).current_dir(env.directory.path()).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    ensure!(
        listed
            .lines()
            .any(|l| l.starts_with("-rwsr-sr-x 0/0") || l.starts_with("-rwsr-sr-x root/root")),
        "{listed}"
    );
    let count = || asked.lock().map(|list| list.len()).unwrap_or_default();
    let first = count();
    ensure!(first == 3, "{:?}", asked.lock());
    // Again: nobody is asked anything. Nor is anybody for another image on the same base.
    ok(&build(&env, "build", &["publisher"], &vars)?)?;
    env.element("more/cleanup.d/10-x", "#!/bin/bash\ntouch $TARGET_ROOT/more\n")?;
    ok(&build(&env, "build", &["publisher", "more"], &vars)?)?;
    ok(&build(&env, "build", &["publisher"], &[vars[0], ("DIB_OFFLINE", "1")])?)?;
    ensure!(count() == first, "{:?}", asked.lock());
    let plan = build(&env, "plan", &["--json", "publisher"], &vars)?;
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout)?;
    ensure!(plan["base_image"]["trust"]["signed"]["key"].is_string(), "{plan}");
    ensure!(plan["base_image"]["form"] == "squashfs", "{plan}");
    drop(publisher);
    host.check(env.cache())
}

// I28: each lie beside its legal twin.
#[test]
fn i28_what_the_publisher_did_not_sign_is_refused() -> Result<()> {
    let env = TestEnv::new()?;
    let (publisher, address, _) = publisher(&env)?;
    let vars = [("DIB_CLOUD_IMAGES", address.as_str())];
    let plan = |more: &[&str]| build(&env, "plan", &[more, &["publisher"]].concat(), &vars);
    ok(&plan(&[])?)?;
    let place = publisher.root.join("noble/current");
    let sums = place.join("SHA256SUMS");
    let good = fs_err::read_to_string(&sums)?;
    // Other checksums, a signature of others, none.
    fs_err::write(&sums, good.replace(['a', 'b', 'c'], "d"))?;
    refused(&plan(&["--refresh"])?, "no key of the keyring")?;
    fs_err::write(&sums, &good)?;
    ok(&plan(&["--refresh"])?)?;
    let signature = fs_err::read(place.join("SHA256SUMS.gpg"))?;
    fs_err::write(place.join("SHA256SUMS.gpg"), "")?;
    refused(&plan(&["--refresh"])?, "carries no signature")?;
    // An older state of the publisher's own.
    publisher.sign_beside("noble/current", "20240201T000000")?;
    refused(&plan(&["--refresh"])?, "older than those that were seen before")?;
    publisher.sign_beside("noble/current", "20240401T000000")?;
    ok(&plan(&["--refresh"])?)?;
    fs_err::write(place.join("SHA256SUMS.gpg"), signature)?;
    refused(&plan(&["--refresh"])?, "older than those that were seen before")?;
    publisher.sign_beside("noble/current", "20240501T000000")?;
    ok(&plan(&["--refresh"])?)?;
    // The checksum is signed, but something else is sent.
    let image = place.join("noble-server-cloudimg-amd64.squashfs");
    let mut bytes = fs_err::read(&image)?;
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    fs_err::write(&image, bytes)?;
    refused(&build(&env, "build", &["publisher"], &vars)?, "the digest is")
}

#[test]
fn what_nobody_signs_needs_its_checksum_or_a_word() -> Result<()> {
    let env = TestEnv::new()?;
    let (publisher, address, _) = publisher(&env)?;
    let place = publisher.root.join("bookworm/latest");
    fs_err::create_dir_all(&place)?;
    let tree = system(&env, "bookworm")?;
    let raw = env.path("raw");
    let words = ["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d"];
    tool("mke2fs", &[&words[..], &[text(&tree), text(&raw), "16M"]].concat())?;
    let image = place.join("debian-12-genericcloud-amd64.qcow2");
    tool("qemu-img", &["convert", "-c", "-O", "qcow2", text(&raw), text(&image)])?;
    tool("sh", &["-c", "cd \"$0\" && sha512sum *.qcow2 > SHA512SUMS", text(&place)])?;
    let sums = fs_err::read_to_string(place.join("SHA512SUMS"))?;
    let sum = sums.split(' ').next().unwrap_or_default();
    let debian = [("DIB_CLOUD_IMAGES", address.as_str()), ("DIB_STYLE", "debian")];
    refused(&build(&env, "plan", &["publisher"], &debian)?, "nobody vouches")?;
    let named = [debian[0], debian[1], ("DIB_SUM", sum)];
    ok(&build(&env, "build", &["publisher"], &named)?)?;
    ensure!(member(&env.path("x.tar"), "./etc/os-release")? == "ID=bookworm\n");
    let wrong = "0".repeat(128);
    let lie = [debian[0], debian[1], ("DIB_SUM", wrong.as_str())];
    refused(&build(&env, "build", &["publisher"], &lie)?, "the digest is")?;
    let insecure = build(&env, "plan", &["--json", "--insecure-base", "publisher"], &debian)?;
    let plan: serde_json::Value = serde_json::from_str(&insecure.stdout)?;
    ensure!(plan["base_image"]["trust"] == "insecure", "{plan}");
    let warned = build(&env, "build", &["--insecure-base", "publisher"], &debian)?;
    ok(&warned)?;
    ensure!(warned.stderr.contains("INSECURE"), "{warned:#?}");
    // It goes on saying so, beside the image, until one with that name is believed.
    let note = env.path("x.d/base.json");
    let said: serde_json::Value = serde_json::from_str(&fs_err::read_to_string(&note)?)?;
    let (base, url) = (&said["base"], format!("{address}/bookworm/latest/"));
    ensure!(base["kind"] == "image" && base["trust"] == "insecure", "{said}");
    ensure!(base["checksum"] == format!("sha512:{sum}").as_str(), "{said}");
    ensure!(base["url"].as_str().is_some_and(|text| text.starts_with(&url)), "{said}");
    ok(&build(&env, "build", &["publisher"], &named)?)?;
    ensure!(!note.exists(), "an image that is believed is still called insecure");
    // A file of one's own is one's own; what it is, its name says and not its bytes.
    let own = [debian[0], debian[1], ("DIB_LOCAL_IMAGE", "raw.raw")];
    fs_err::rename(&raw, env.path("raw.raw"))?;
    ok(&build(&env, "build", &["publisher"], &own)?)?;
    fs_err::copy(&image, env.path("lie.raw"))?;
    let lie = [debian[0], debian[1], ("DIB_LOCAL_IMAGE", "lie.raw")];
    let lie = build(&env, "build", &["publisher"], &lie)?;
    ensure!(lie.status == 1 && lie.stderr.contains("holds a root file system"), "{lie:#?}");
    Ok(())
}

#[test]
fn clear_signed_checksums_name_the_image() -> Result<()> {
    let env = TestEnv::new()?;
    let (publisher, address, _) = publisher(&env)?;
    env.element("fedora-like/element-provides", "operating-system\n")?;
    env.element("fedora-like/environment.d/10-x.bash", "export DISTRO_NAME=fedora\n")?;
    env.element("fedora-like/base.yaml", FEDORA)?;
    let place = publisher.root.join("42/Cloud/x86_64/images");
    fs_err::create_dir_all(&place)?;
    let list = env.path("list");
    let release = env.path("release");
    fs_err::write(&release, "ID=fedora\n")?;
    let lines = format!(
        "/none\n0 0\nd--755 0 0\netc d--755 0 0\nos-release ---644 0 0 {}\n$\n$\n",
        text(&release)
    );
    fs_err::write(&list, lines)?;
    let raw = env.path("disk.raw");
    fs_err::File::create(&raw)?.set_len(300 << 20)?;
    tool("mkfs.xfs", &["-q", "-p", text(&list), text(&raw)])?;
    let image = place.join("Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2");
    tool("qemu-img", &["convert", "-O", "qcow2", text(&raw), text(&image)])?;
    let sums = "Fedora-Cloud-42-1.1-x86_64-CHECKSUM";
    tool("sh", &["-c", "cd \"$0\" && sha256sum --tag *.qcow2 > plain", text(&place)])?;
    let (plain, around) = (place.join("plain"), place.join(sums));
    let words = ["--output", text(&around), "--clear-sign", text(&plain)];
    publisher.gpg("20250401T000000", &words)?;
    let vars = [("DIB_CLOUD_IMAGES", address.as_str())];
    ok(&build(&env, "build", &["fedora-like"], &vars)?)?;
    ensure!(member(&env.path("x.tar"), "./etc/os-release")? == "ID=fedora\n");
    // The shipped element looks for it in the same places, and believes Fedora alone.
    let vars = [vars[0], ("DIB_FEDORA_COMPOSE", "1.1"), ("DIB_RELEASE", "42")];
    let place = format!("{address}/42/Cloud/x86_64/images");
    let vars = [("DIB_CLOUD_IMAGES", place.as_str()), vars[1], vars[2]];
    refused(&build(&env, "plan", &["fedora"], &vars)?, "no key of the keyring")?;
    let keyring = env.path("elements/publisher/keys.asc");
    let vars = [vars[0], vars[1], vars[2], ("DIB_CLOUD_IMAGE_KEYRING", text(&keyring))];
    ok(&build(&env, "plan", &["fedora"], &vars)?)?;
    // So does that for Ubuntu.
    let place = format!("{address}/noble/current");
    let vars = [("DIB_CLOUD_IMAGES", place.as_str()), ("DIB_RELEASE", "noble")];
    refused(&build(&env, "plan", &["ubuntu"], &vars)?, "no key of the keyring")?;
    let vars = [vars[0], vars[1], ("DIB_CLOUD_IMAGE_KEYRING", text(&keyring))];
    ok(&build(&env, "plan", &["ubuntu"], &vars)?)
}
