//! Locks: what a build read is read again and nothing else, whatever upstream has become.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use goldsmith_images::digest::Digest;
use goldsmith_tests::{HostInvariant, Ran, TestEnv, Web, ran};

use crate::{member, ok};

const GUIDE: &str = include_str!("../../docs/lock.md");

/// An upstream that this test owns: an archive with one package, a repository, a file.
struct Upstream {
    root: PathBuf,
    web: Web,
}

fn tool(directory: &Path, name: &str, words: &[&str]) -> Result<()> {
    let output = Command::new(name)
        .args(words)
        .current_dir(directory)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .output()
        .with_context(|| name.to_owned())?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {words:?}: {told}");
    Ok(())
}

impl Upstream {
    fn new(env: &TestEnv) -> Result<Self> {
        let root = env.path("www");
        fs_err::create_dir_all(&root)?;
        tool(&root, "git", &["init", "-q", "-b", "main", "work"])?;
        tool(&root, "git", &["clone", "-q", "--bare", "work", "tool.git"])?;
        let this = Self { web: Web::serve(root.clone())?, root };
        this.publish("1.0")?;
        Ok(this)
    }

    /// Everything in a new version.
    fn publish(&self, version: &str) -> Result<()> {
        self.packages(version)?;
        self.commit(version)?;
        Ok(fs_err::write(self.root.join("file.txt"), format!("file {version}\n"))?)
    }

    fn packages(&self, version: &str) -> Result<()> {
        let entries = ["greeting", "farewell"].map(|name| self.package(name, version));
        let index = entries.into_iter().collect::<Result<String>>()?;
        fs_err::write(self.root.join("Packages"), &index)?;
        // A flat archive; its release file is long over.
        let (size, digest) = (index.len(), Digest::of(&index).hex());
        let release = format!(
            "Origin: t\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest} {size} Packages\n"
        );
        Ok(fs_err::write(self.root.join("Release"), release)?)
    }

    /// Makes a package; returns its entry in the index.
    fn package(&self, name: &str, version: &str) -> Result<String> {
        let from = format!("{name}-{version}");
        let tree = self.root.join(&from);
        let share = tree.join("usr/share").join(name);
        fs_err::create_dir_all(tree.join("DEBIAN"))?;
        fs_err::create_dir_all(&share)?;
        fs_err::write(share.join("version"), format!("{version}\n"))?;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.invalid>\nDescription: says hello\n"
        );
        fs_err::write(tree.join("DEBIAN/control"), &control)?;
        let file = format!("{name}_{version}_all.deb");
        tool(&self.root, "dpkg-deb", &["--root-owner-group", "--build", &from, &file])?;
        let bytes = fs_err::read(self.root.join(&file))?;
        let (size, digest) = (bytes.len(), Digest::of(&bytes).hex());
        Ok(format!("{control}Filename: ./{file}\nSize: {size}\nSHA256: {digest}\n\n"))
    }

    fn commit(&self, text: &str) -> Result<()> {
        let work = self.root.join("work");
        fs_err::write(work.join("tool"), format!("tool {text}\n"))?;
        tool(&work, "git", &["add", "tool"])?;
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"];
        tool(&work, "git", &[&who[..], &["commit", "-q", "-m", text]].concat())?;
        tool(&work, "git", &["push", "-q", "../tool.git", "main"])
    }

    /// The element that asks for all of it.
    fn element(&self, env: &TestEnv) -> Result<()> {
        let at = &self.web.address;
        env.element(
            "mine/extra-data.d/10-sources",
            &format!(
                "#!/bin/bash\nset -eu\ngit clone -q {at}/tool.git /tmp/tool\nmkdir -p $TMP_MOUNT_PATH/opt/tool\ncp /tmp/tool/tool $TMP_MOUNT_PATH/opt/tool/\ncurl -sSf -o $TMP_MOUNT_PATH/etc/file.txt {at}/file.txt\n"
            ),
        )?;
        env.element(
            "mine/install.d/10-greeting",
            &format!(
                "#!/bin/sh\nset -eu\necho 'deb [trusted=yes] {at}/ ./' > /etc/apt/sources.list.d/mine.list\napt-get update\napt-get install -y greeting\n/usr/lib/apt/apt-helper download-file {at}/file.txt /file.txt\n"
            ),
        )
    }
}

/// The lines of the guide that are commands, without `goldsmith`.
fn guide(first: &str) -> Result<Vec<&'static str>> {
    let mut lines = GUIDE.lines().filter_map(|line| line.strip_prefix("    goldsmith "));
    let line = lines.find(|line| line.split(' ').next() == Some(first));
    Ok(line
        .with_context(|| format!("docs/lock.md has no example of {first}"))?
        .split(' ')
        .collect())
}

fn build(env: &TestEnv, output: &str, more: &[&str]) -> Result<Ran> {
    let line = ["build", "-n", "-t", "tar", "--progress", "plain", "-o", output];
    env.run(&[&line[..], more, &["small", "mine"]].concat())
}

fn same(env: &TestEnv, one: &str, two: &str) -> Result<()> {
    let output = Command::new("cmp").args([env.path(one), env.path(two)]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// What the image has of each of the three.
fn versions(env: &TestEnv, tar: &str) -> Result<[String; 3]> {
    let text = |name: &str| member(&env.path(tar), name).map(|text| text.trim().to_owned());
    Ok([text("./usr/share/greeting/version")?, text("./opt/tool/tool")?, text("./etc/file.txt")?])
}

const OLD: [&str; 3] = ["1.0", "tool 1.0", "file 1.0"];
const NEW: [&str; 3] = ["2.0", "tool 2.0", "file 2.0"];

#[test]
fn a_locked_build_reads_what_the_lock_has_and_nothing_else() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let host = HostInvariant::take(env.cache())?;
    let upstream = Upstream::new(&env)?;
    upstream.element(&env)?;
    ok(&env.run(&guide("lock")?)?)?;
    let locked = fs_err::read_to_string(env.path("goldsmith.lock"))?;
    for part in [
        "[[element]]",
        "[[tools.package]]",
        "[base.debian]",
        "[[release]]",
        "name = \"greeting\"",
        "commits = [",
        "/file.txt\"",
    ] {
        ensure!(locked.contains(part), "no {part}");
    }
    ensure!(versions(&env, "image.tar")? == OLD, "{:?}", versions(&env, "image.tar"));
    let leak = Command::new("grep")
        .args(["-c", "-e", "/goldsmith/lock"])
        .arg(env.path("image.tar"))
        .output()?;
    ensure!(leak.stdout == b"0\n", "the proxy is in the image");

    // Straight after, nothing is to be done; and whatever upstream becomes, it is the same.
    let again = env.run(&guide("build")?)?;
    ok(&again)?;
    ensure!(again.stderr.contains("image.tar is up to date"), "{again:#?}");
    upstream.publish("2.0")?;
    upstream.web.asked();
    for (output, options) in
        [("two", &["--locked", "--offline"][..]), ("three", &["--locked"]), ("four", &[])]
    {
        let ran = build(&env, output, options)?;
        ok(&ran)?;
        ensure!(!ran.stderr.contains("install: cached"), "{ran:#?}");
        same(&env, "image.tar", &format!("{output}.tar"))?;
    }
    ensure!(upstream.web.asked().is_empty(), "a locked build has asked upstream");
    missing(&env, &upstream, &locked)?;
    news(&env, &upstream)?;
    host.check(env.cache())
}

/// A stored file that is gone: named, or fetched again if it is still the same.
fn missing(env: &TestEnv, upstream: &Upstream, locked: &str) -> Result<()> {
    let digest = Digest::of("file 1.0\n");
    ensure!(locked.contains(&digest.to_string()), "the file's digest is not in the lock");
    let body = env.cache().join(format!("downloads/sha256-{}", digest.hex()));
    fs_err::remove_file(&body)?;
    let offline = build(env, "five", &["--locked", "--offline"])?;
    ensure!(offline.status == 5, "{offline:#?}");
    ensure!(
        offline.stderr.contains("/file.txt") && offline.stderr.contains("not in the cache"),
        "{offline:#?}"
    );
    let changed = build(env, "five", &["--locked"])?;
    ensure!(changed.status == 5, "{changed:#?}");
    ensure!(changed.stderr.contains("/file.txt is sha256:"), "{changed:#?}");
    fs_err::write(upstream.root.join("file.txt"), "file 1.0\n")?;
    ok(&build(env, "five", &["--locked"])?)?;
    same(env, "image.tar", "five.tar")?;
    ensure!(body.exists(), "it was not kept");
    Ok(fs_err::write(upstream.root.join("file.txt"), "file 2.0\n")?)
}

/// What is newer upstream, and taking it, in part and all.
fn news(env: &TestEnv, upstream: &Upstream) -> Result<()> {
    let told = env.run(&guide("outdated")?)?;
    ok(&told)?;
    for part in ["/Packages", "/Release", "/file.txt  sha256:", "/tool.git  refs/heads/main "] {
        ensure!(told.stdout.contains(part), "{told:#?}");
    }
    ensure!(!told.stdout.contains("base ") && !told.stdout.contains("tools "), "{told:#?}");
    ok(&env.run(&guide("update")?)?)?;
    ensure!(
        versions(env, "image.tar")? == [OLD[0], NEW[1], OLD[2]],
        "{:?}",
        versions(env, "image.tar")
    );
    let unknown = env.run(&["update", "no-such-thing"])?;
    ensure!(unknown.status == 2 && unknown.stderr.contains("no-such-thing"), "{unknown:#?}");
    ok(&env.run(&["update"])?)?;
    ensure!(versions(env, "image.tar")? == NEW, "{:?}", versions(env, "image.tar"));
    let told = env.run(&["outdated", "--json"])?;
    ensure!(told.stdout == "[]\n", "{told:#?}");
    upstream.web.asked();
    ok(&build(env, "six", &["--locked", "--offline"])?)?;
    same(env, "image.tar", "six.tar")?;
    ensure!(upstream.web.asked().is_empty(), "a locked build has asked upstream");
    Ok(())
}

#[test]
fn drift_is_an_error_that_names_it() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let root = env.path("www");
    fs_err::create_dir_all(&root)?;
    for name in ["one", "two"] {
        fs_err::write(root.join(name), name)?;
    }
    let web = Web::serve(root)?;
    let hook = |name: &str| {
        format!(
            "#!/bin/sh\nexec /usr/lib/apt/apt-helper download-file {}/{name} /{name}\n",
            web.address
        )
    };
    env.element("mine/install.d/10-x", &hook("one"))?;
    let none = build(&env, "a", &["--locked"])?;
    ensure!(none.status == 2 && none.stderr.contains("there is no"), "{none:#?}");
    let lock = ["lock", "-f", "mine.lock", "-n", "-t", "tar", "-o", "a", "small", "mine"];
    ensure!(GUIDE.contains(&format!("    goldsmith {}\n", lock.join(" "))), "not in the guide");
    ok(&env.run(&lock)?)?;
    ensure!(member(&env.path("a.tar"), "./one")? == "one");
    let strict = ["--lock", "mine.lock", "--locked"];
    ok(&build(&env, "b", &strict)?)?;
    // The tools container is made of more than the lock has.
    let tools = build(&env, "t", &[&strict[..], &["--tools-package", "hello"]].concat())?;
    let said = "tools: the list of packages is ";
    ensure!(tools.status == 5 && tools.stderr.contains(said), "{tools:#?}");

    // Another element, other elements, another base, another address.
    env.element("mine/install.d/10-x", &hook("two"))?;
    let changed = build(&env, "b", &strict)?;
    ensure!(
        changed.status == 5 && changed.stderr.contains("element mine has changed"),
        "{changed:#?}"
    );
    let other = env.run(&["build", "-n", "--lock", "mine.lock", "small"])?;
    ensure!(other.status == 5 && other.stderr.contains("the elements are small"), "{other:#?}");
    let loose = build(&env, "c", &["--lock", "mine.lock"])?;
    ok(&loose)?;
    ensure!(loose.stderr.contains("element mine has changed"), "{loose:#?}");
    ensure!(
        loose.stderr.contains("install fetched http") && loose.stderr.contains("/two"),
        "{loose:#?}"
    );
    ensure!(member(&env.path("c.tar"), "./two")? == "two");
    let text = fs_err::read_to_string(env.path("mine.lock"))?;
    let digest = |lock: &str| -> Result<String> {
        let at = lock.find("name = \"mine\"").context("no element")?;
        Ok(lock[at..].lines().nth(1).context("no digest")?.to_owned())
    };
    // The lock of an element that asks for what it does not have: somebody has edited it.
    let relock = [&lock[..2], &["new.lock"], &lock[3..]].concat();
    ok(&env.run(&relock)?)?;
    let new = fs_err::read_to_string(env.path("new.lock"))?;
    fs_err::write(env.path("mine.lock"), text.replace(&digest(&text)?, &digest(&new)?))?;
    let asked = build(&env, "d", &strict)?;
    ensure!(asked.status == 5 && asked.stderr.contains("/two is not in the lock"), "{asked:#?}");
    for (old, new, line) in
        [("suite = \"bookworm\"", "suite = \"trixie\"", None), ("digest = ", "digests = ", Some(1))]
    {
        fs_err::write(env.path("mine.lock"), text.replacen(old, new, 1))?;
        env.element("mine/install.d/10-x", &hook("one"))?;
        let bad = build(&env, "e", &strict)?;
        ensure!(bad.status == 5, "{bad:#?}");
        let at = text.lines().position(|line| line.starts_with(old)).context("no such line")?;
        match line {
            None => ensure!(bad.stderr.contains("base: the archive is"), "{bad:#?}"),
            Some(add) => {
                ensure!(bad.stderr.contains(&format!("mine.lock, line {}:", at + add)), "{bad:#?}");
            }
        }
    }
    Ok(())
}

/// A hook that installs what a variable names, of which a lock knows nothing.
#[test]
fn a_package_that_the_lock_does_not_have_is_drift() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let upstream = Upstream::new(&env)?;
    let at = &upstream.web.address;
    env.element(
        "mine/install.d/10-x",
        &format!(
            "#!/bin/sh\nset -eu\necho 'deb [trusted=yes] {at}/ ./' > /etc/apt/sources.list.d/mine.list\napt-get update\napt-get install -y $DIB_WANTED\n"
        ),
    )?;
    let run = |wanted: &str, words: &[&str]| {
        let mut command = env.command("goldsmith")?;
        let line = ["-n", "-t", "tar", "-o", "a", "--progress", "plain", "small", "mine"];
        ran(command.env("DIB_WANTED", wanted).args(words).args(line))
    };
    ok(&run("greeting", &["lock"])?)?;
    let strict = run("greeting farewell", &["build", "--locked"])?;
    ensure!(strict.status == 5, "{strict:#?}");
    ensure!(strict.stderr.contains("farewell_1.0_all.deb is not in the lock"), "{strict:#?}");
    // Without --locked it is fetched, and told.
    let loose = run("greeting farewell", &["build"])?;
    ok(&loose)?;
    ensure!(loose.stderr.contains("/farewell_1.0_all.deb, which"), "{loose:#?}");
    ensure!(member(&env.path("a.tar"), "./usr/share/farewell/version")? == "1.0\n");
    ok(&run("greeting", &["build", "--locked"])?)
}

/// All steps run again, bases included.
#[test]
fn full_a_lock_is_enough_for_everything() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let upstream = Upstream::new(&env)?;
    upstream.element(&env)?;
    ok(&env.run(&guide("lock")?)?)?;
    upstream.publish("2.0")?;
    let ran = build(&env, "two", &["--locked", "--offline", "--refresh"])?;
    ok(&ran)?;
    same(&env, "image.tar", "two.tar")?;
    // A package of a base that is gone.
    let lock = fs_err::read_to_string(env.path("goldsmith.lock"))?;
    let base = lock.split_once("[base.debian]").context("no base")?.1;
    let package = base.split_once("[[base.debian.package]]").context("no package")?.1;
    let digest = package.split_once("sha256:").context("no digest")?.1.split('"').next();
    let stored = env.cache().join(format!("downloads/{}.deb", digest.context("no digest")?));
    let aside = env.path("aside.deb");
    fs_err::copy(&stored, &aside)?;
    fs_err::remove_file(&stored)?;
    let gone = build(&env, "two", &["--locked", "--offline", "--refresh"]);
    fs_err::copy(&aside, &stored)?;
    let gone = gone?;
    ensure!(gone.status == 5 && gone.stderr.contains(".deb (sha256:"), "{gone:#?}");
    Ok(())
}

/// disk-image-create does as it always did.
#[test]
fn the_old_names_follow_no_lock() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    fs_err::write(env.path("goldsmith.lock"), "not a lock\n")?;
    let mut command = env.command("disk-image-create")?;
    let ran = ran(command.args(["-n", "-t", "tar", "-o", "x", "small"]))?;
    ensure!(ran.status == 0, "{ran:#?}");
    let native = env.run(&["build", "-n", "-t", "tar", "-o", "y", "small"])?;
    ensure!(native.status == 5 && native.stderr.contains("goldsmith.lock, line 1:"), "{native:#?}");
    Ok(())
}
