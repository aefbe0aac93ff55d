//! Ubuntu's archive and what is peculiar to it, in an archive that the test makes of Debian's
//! packages, in Ubuntu's form, and signs.

mod deb;
mod drift;
mod expired;
mod overlap;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_images::digest::Digest;
use goldsmith_images::import::debian::{Progress, Variant, download, resolve};
use goldsmith_tests::{Ran, TestEnv, ran};

use crate::choice;
use crate::published::{Publisher, serve, text};
use crate::{member, ok};
use deb::Deb;

/// Suites of the archive; updates and security updates are in it as well.
const SUITES: [&str; 3] = ["noble", "noble-updates", "noble-security"];
const COMPONENTS: [&str; 2] = ["main", "universe"];
const DAY: &str = "20240601T000000";

/// Packages without content: suite, component, control file, and fields that only the index
/// has, which overrule the package's own.
const STUBS: [(&str, &str, &str, &str); 7] = [
    ("noble", "main", "Package: phased\nVersion: 1.0\n", ""),
    ("noble-updates", "main", "Package: phased\nVersion: 1.1\n", "Phased-Update-Percentage: 0\n"),
    ("noble", "universe", "Package: universal\nVersion: 1\nDepends: phased (>= 1.1)\n", ""),
    (
        "noble",
        "main",
        "Package: overruled\nVersion: 1\nPriority: required\n",
        "Priority: optional\n",
    ),
    (
        "noble",
        "main",
        "Package: promoted\nVersion: 1\nPriority: optional\n",
        "Priority: required\n",
    ),
    ("noble", "main", "Package: weighty\nVersion: 1\nPriority: important\n", ""),
    ("noble", "main", "Package: unwanted\nVersion: 1\nPriority: important\n", ""),
];

const BASE: &str = "debian:\n  suite: noble\n  components: main,universe\n  variant: minbase\n  \
    include: [universal]\n  mirror: ${ARCHIVE}\n  security: ${ARCHIVE}\n  \
    suites: [updates, security]\n";

struct Quiet;

impl Progress for Quiet {
    fn bytes(&self, _done: u64, _total: u64) {}
}

/// The archive in the making: indices by suite and component.
struct Archive {
    publisher: Publisher,
    indices: BTreeMap<(&'static str, &'static str), String>,
}

impl Archive {
    fn new(env: &TestEnv) -> Result<Self> {
        env.element("publisher/README.rst", "Holds the keys.\n")?;
        let mut this = Self { publisher: Publisher::new(env)?, indices: BTreeMap::new() };
        let mirror = choice::mirror(env)?;
        let case: choice::Case = (&["bookworm"], Variant::Minbase, &[]);
        let (spec, releases, client) = choice::specification(&case, &mirror)?;
        // Where builds of the same packages keep them.
        let downloads = env.cache().join("downloads");
        let found = resolve(&spec, releases, &client, &downloads)?;
        for path in download(&found, &client, &downloads, &Quiet)? {
            let mut deb = Deb::read(&fs_err::read(path)?)?;
            if deb.field("Package")? == "base-files" {
                // Ubuntu's has the links of the merged layout, and says so.
                for name in ["bin", "lib", "lib64", "sbin"] {
                    let (target, mark) =
                        (format!("usr/{name}"), format!("./{name}.usr-is-merged/"));
                    deb.add(&[(&format!("./{name}"), Some(&target), ""), (&mark, None, "")])?;
                }
            }
            this.add("noble", "main", &deb, "")?;
        }
        for (suite, component, control, more) in STUBS {
            let rest = "Architecture: all\nMaintainer: A test\nDescription: stands for another\n";
            this.add(suite, component, &Deb::new(&format!("{control}{rest}"))?, more)?;
        }
        this.publish()?;
        Ok(this)
    }

    fn add(
        &mut self,
        suite: &'static str,
        component: &'static str,
        deb: &Deb,
        more: &str,
    ) -> Result<()> {
        let bytes = deb.pack()?;
        let version = deb.field("Version")?.replace(':', "%3a");
        let path = format!("pool/{component}/{}_{version}.deb", deb.field("Package")?);
        let file = self.publisher.root.join(&path);
        fs_err::create_dir_all(file.parent().context("a pool")?)?;
        fs_err::write(file, &bytes)?;
        let overruled = |line: &&str| {
            let key = line.split_once(':').map_or("", |(key, _)| key);
            !more.lines().any(|line| line.split_once(':').is_some_and(|(other, _)| other == key))
        };
        let own = deb.control.lines().filter(overruled).map(|line| format!("{line}\n"));
        let text = format!(
            "{}{more}Filename: {path}\nSize: {}\nSHA256: {}\nOrigin: Ubuntu\n\n",
            own.collect::<String>(),
            bytes.len(),
            Digest::of(&bytes).hex(),
        );
        self.indices.entry((suite, component)).or_default().push_str(&text);
        Ok(())
    }

    /// Writes indices, by digest alone, and signed release files.
    fn publish(&self) -> Result<()> {
        self.publish_with("")
    }

    /// The same with more fields in the release files.
    fn publish_with(&self, fields: &str) -> Result<()> {
        for suite in SUITES {
            let mut release = format!(
                "Origin: Ubuntu\nLabel: Ubuntu\nSuite: {suite}\nCodename: noble\nVersion: 24.04\n\
                 Date: Fri, 31 May 2024 12:00:00 UTC\nArchitectures: amd64\n\
                 Components: main universe\nAcquire-By-Hash: yes\n{fields}SHA256:\n"
            );
            for component in COMPONENTS {
                let index = self.indices.get(&(suite, component)).cloned().unwrap_or_default();
                let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
                packed.write_all(index.as_bytes())?;
                let packed = packed.finish()?;
                let digest = Digest::of(&packed).hex();
                let place = format!("dists/{suite}/{component}/binary-amd64/by-hash/SHA256");
                let place = self.publisher.root.join(place);
                fs_err::create_dir_all(&place)?;
                fs_err::write(place.join(&digest), &packed)?;
                release.push_str(&format!(
                    " {digest} {} {component}/binary-amd64/Packages.xz\n",
                    packed.len()
                ));
            }
            let directory = self.publisher.root.join("dists").join(suite);
            let (plain, signed) = (directory.join("Release"), directory.join("InRelease"));
            fs_err::write(&plain, release)?;
            let words = ["--output", text(&signed), "--clear-sign", text(&plain)];
            self.publisher.gpg(DAY, &words)?;
        }
        Ok(())
    }
}

fn build(env: &TestEnv, address: &str, keyring: &str) -> Result<Ran> {
    let mut command = env.command("goldsmith")?;
    command.env("ARCHIVE", address).env("DIB_APT_KEYRING", env.path(keyring)).args([
        "build",
        "-n",
        "-t",
        "tar",
        "-o",
        "noble",
        "--progress",
        "plain",
        "like-ubuntu",
    ]);
    ran(&mut command)
}

#[test]
fn an_archive_like_ubuntus_gives_its_packages() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("like-ubuntu/element-provides", "operating-system\n")?;
    env.element("like-ubuntu/environment.d/10-x.bash", "export DISTRO_NAME=ubuntu\n")?;
    env.element("like-ubuntu/base.yaml", BASE)?;
    let archive = Archive::new(&env)?;
    let (address, asked) = serve(archive.publisher.root.clone())?;
    let address = format!("{address}/");
    ok(&build(&env, &address, "elements/publisher/keys.asc")?)?;
    let tar = env.path("noble.tar");
    let status = member(&tar, "./var/lib/dpkg/status")?;
    let package = |name: &str| {
        status.split("\n\n").find(|text| text.starts_with(&format!("Package: {name}\n")))
    };
    // Phases are for systems that run; a new one gets the newest, as from apt in a chroot.
    ensure!(package("phased").is_some_and(|text| text.contains("Version: 1.1\n")), "{status}");
    ensure!(package("universal").is_some() && package("promoted").is_some(), "{status}");
    ensure!(package("overruled").is_none() && package("weighty").is_none(), "{status}");
    let states = status.lines().filter(|line| line.starts_with("Status: "));
    ensure!(states.clone().count() > 60, "{status}");
    ensure!(states.into_iter().all(|line| line == "Status: install ok installed"), "{status}");
    let list = Command::new("tar").arg("-tvf").arg(&tar).output()?;
    let list = String::from_utf8(list.stdout)?;
    let has = |begin: &str, end: &str| {
        list.lines().any(|line| line.starts_with(begin) && line.ends_with(end))
    };
    for name in ["bin", "lib", "lib64", "sbin"] {
        ensure!(has("l", &format!(" ./{name} -> usr/{name}")), "{name} is no link");
        ensure!(has("d", &format!(" ./{name}.usr-is-merged/")), "{name} has no mark");
    }
    ensure!(has("-rwsr-xr-x 0/0", "./usr/bin/passwd") && has("-rw-r----- 0/42", "./etc/shadow"));
    let paths = asked.lock().map_err(|_poisoned| anyhow::anyhow!("the server panicked"))?.clone();
    ensure!(paths.iter().all(|path| !path.ends_with("/Packages.xz")), "{paths:?}");

    // The same from a server with a key that nobody named.
    let stranger = TestEnv::new()?;
    stranger.element("publisher/README.rst", "Holds other keys.\n")?;
    let _publisher = Publisher::new(&stranger)?;
    fs_err::copy(stranger.path("elements/publisher/keys.asc"), env.path("stranger.asc"))?;
    let (again, _) = serve(archive.publisher.root.clone())?;
    let refused = build(&env, &again, "stranger.asc")?;
    ensure!(refused.status == 6 && refused.stderr.contains("not signed by"), "{refused:?}");
    Ok(())
}
