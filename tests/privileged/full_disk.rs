//! The disk is full, in the cache and where outputs go: cause and cure are named, nothing
//! half-written is left, and with more space the same build goes on where it was.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use goldsmith_tests::{Namespace, Ran, UserEnv};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("a_full_cache_is_named_and_the_build_goes_on_with_more_space", cache),
    ("a_hook_on_a_full_cache_is_told_so", hook),
    ("a_full_output_directory_keeps_what_was_there", output),
];

/// A file system of a namespace's own, mounted at a directory of the user's.
struct Small {
    namespace: Namespace,
    at: PathBuf,
}

impl Small {
    fn mount(user: &UserEnv, name: &str, mib: u32) -> Result<Self> {
        let (namespace, at) = (Namespace::mounts()?, user.env.path(name));
        fs_err::create_dir(&at)?;
        let (shown, owner) = (at.display(), user.name());
        namespace.root(&format!(
            "mount -t tmpfs -o size={mib}m,mode=755 tmpfs {shown}; chown {owner}: {shown}"
        ))?;
        Ok(Self { namespace, at })
    }

    fn resize(&self, mib: u64) -> Result<()> {
        let at = self.at.display();
        self.namespace.root(&format!("mount -o remount,size={mib}m {at}")).map(|_| ())
    }

    /// MiB in use, rounded up.
    fn used(&self) -> Result<u64> {
        let at = self.at.display();
        let text = self.namespace.root(&format!("df --output=used -B1M {at} | tail -n 1"))?;
        Ok(text.trim().parse()?)
    }

    /// What is directly below a directory of it, as seen from outside.
    fn names(&self, directory: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs_err::read_dir(self.namespace.path(&self.at).join(directory))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// No unfinished work in the cache, no aborted download.
    fn is_tidy(&self) -> Result<()> {
        for directory in ["cache/tmp", "cache/run"] {
            let left = self.names(directory)?;
            ensure!(left.is_empty(), "{directory}: {left:?}");
        }
        for directory in ["cache/downloads", "cache/steps", "cache/elements"] {
            let aside: Vec<_> =
                self.names(directory)?.into_iter().filter(|n| n.starts_with('.')).collect();
            ensure!(aside.is_empty(), "{directory}: {aside:?}");
        }
        Ok(())
    }
}

fn build<'a>(output: &'a str, types: &'a str, elements: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["build", "-n", "-t", types, "-o", output, "--progress", "plain"];
    line.extend(elements);
    line
}

fn full(ran: &Ran, status: i32, place: &Path, cures: &[&str]) -> Result<()> {
    ensure!(ran.status == status, "{ran:#?}");
    let place = format!("no space is left for the {}", place.display());
    for text in [place.as_str(), "No space left on device"].into_iter().chain(cures.iter().copied())
    {
        ensure!(ran.stderr.contains(text), "{text:?} is not in {ran:#?}");
    }
    ensure!(!ran.stderr.contains("--mirror"), "the mirror is blamed: {ran:#?}");
    Ok(())
}

fn cache_is_full(ran: &Ran, status: i32, cache: &Path) -> Result<()> {
    let place = PathBuf::from(format!("cache in {}", cache.display()));
    full(ran, status, &place, &["goldsmith store gc", "GOLDSMITH_CACHE"])
}

/// From the first download to the last phase: at each size the build stops somewhere else.
fn cache() -> Result<()> {
    let user = UserEnv::new()?.with_small_os()?;
    let small = Small::mount(&user, "disk", 1)?;
    let cache = small.at.join("cache");
    let outside = small.namespace.path(&cache);
    let host = user.host(&outside)?;
    user.env.element("mine/install.d/10-x", "#!/bin/sh\necho x > /x\n")?;
    let line = build("c", "tar", &["small", "mine"]);
    let mut places = std::collections::BTreeSet::new();
    let mut ended = None;
    for mib in [1, 20, 60, 90, 130, 180, 250, 320, 400, 500, 3000] {
        small.resize(mib)?;
        let ran = user.run_in(&small.namespace, Some(&cache), &line)?;
        if ran.status == 0 {
            ended = Some(ran);
            break;
        }
        cache_is_full(&ran, 4, &cache).or_else(|_| cache_is_full(&ran, 1, &cache))?;
        ensure!(!user.env.path("c.tar").exists(), "something was written at {mib} MiB");
        if mib > 1 {
            small.is_tidy()?;
        }
        places.insert(ran.stderr.split(": ").nth(2).unwrap_or_default().to_owned());
        host.check(&outside)?;
    }
    ensure!(ended.is_some() && user.env.path("c.tar").exists(), "never built");
    ensure!(places.len() > 2, "it always stopped at the same place: {places:?}");
    // Not a byte more: what is cached still serves, and rubbish can still be removed.
    small.resize(small.used()?)?;
    fill(&small)?;
    let again = user.run_in(&small.namespace, Some(&cache), &line)?;
    ensure!(again.status == 0 && again.stderr.contains("is up to date"), "{again:#?}");
    fs_err::remove_file(user.env.path("c.tar"))?;
    let other = user.run_in(&small.namespace, Some(&cache), &line)?;
    ensure!(other.status == 0 && other.stderr.contains("output is not remembered"), "{other:#?}");
    let gc = user.run_in(&small.namespace, Some(&cache), &["store", "gc", "--older-than", "0"])?;
    ensure!(gc.status == 0, "{gc:#?}");
    small.is_tidy()
}

/// Takes the last free byte.
fn fill(small: &Small) -> Result<()> {
    let at = small.at.display();
    small
        .namespace
        .root(&format!("cat /dev/zero > {at}/fill 2> /dev/null || test -s {at}/fill"))?;
    Ok(())
}

/// A hook that fills the cache by what it writes: it fails, with a word on why.
fn hook() -> Result<()> {
    let user = UserEnv::new()?.with_small_os()?;
    let small = Small::mount(&user, "disk", 3000)?;
    let cache = small.at.join("cache");
    let outside = small.namespace.path(&cache);
    user.env.element("mine/install.d/10-x", "#!/bin/sh\necho x > /x\n")?;
    let ran =
        user.run_in(&small.namespace, Some(&cache), &build("h", "tar", &["small", "mine"]))?;
    ensure!(ran.status == 0, "{ran:#?}");
    // The disk lies below the working directory, as a cache may.
    ensure!(ran.stderr.contains("hooks of host phases see an empty output"), "{ran:#?}");
    let host = user.host(&outside)?;
    user.env.element(
        "large/install.d/20-large",
        "#!/bin/sh\nset -e\nhead -c 64M /dev/zero > /large\n",
    )?;
    small.resize(small.used()? + 16)?;
    let line = build("l", "tar", &["small", "mine", "large"]);
    // What fitted onto a tmpfs does not fit onto the disk.
    let ran = user.run_in(&small.namespace, Some(&cache), &line)?;
    cache_is_full(&ran, 4, &cache)?;
    ensure!(ran.stderr.contains("install: "), "{ran:#?}");
    let mut command = user.env.command("goldsmith")?;
    command.env("GOLDSMITH_CACHE", &cache).env("DIB_NO_TMPFS", "1").args(&line);
    let ran = small.namespace.run_as(user.name(), &command)?;
    cache_is_full(&ran, 1, &cache)?;
    ensure!(
        ran.stderr.contains("hook install.d/20-large of element large exited with status 1"),
        "{ran:#?}"
    );
    ensure!(!user.env.path("l.tar").exists(), "something was written");
    small.resize(3000)?;
    let ran = user.run_in(&small.namespace, Some(&cache), &line)?;
    ensure!(ran.status == 0 && user.env.path("l.tar").exists(), "{ran:#?}");
    small.is_tidy()?;
    host.check(&outside)
}

fn output() -> Result<()> {
    let user = UserEnv::new()?.with_small_os()?;
    let small = Small::mount(&user, "out", 16)?;
    let host = user.host(user.env.cache())?;
    small
        .namespace
        .root(&format!("echo old > {0}/x.tar; chmod 666 {0}/x.tar", small.at.display()))?;
    for types in ["tar", "tgz", "qcow2", "raw", "qcow2,tar", "vhdx,vmdk,tar.zst"] {
        let mut line = build("out/x", types, &["small"]);
        line.extend(["--checksum", "md5"]);
        let ran = user.run_in(&small.namespace, None, &line)?;
        let place = PathBuf::from(format!("output in {}", small.at.display()));
        full(&ran, 4, &place, &["-o"])?;
        ensure!(small.names("")? == ["x.tar"], "{types}: {:?}", small.names("")?);
    }
    let old = small.namespace.path(&small.at).join("x.tar");
    ensure!(fs_err::read_to_string(&old)? == "old\n", "what was there is gone");
    small.resize(3000)?;
    let ran = user.run_in(&small.namespace, None, &build("out/x", "qcow2,tar", &["small"]))?;
    ensure!(ran.status == 0, "{ran:#?}");
    ensure!(small.names("")? == ["x.qcow2", "x.tar"], "{:?}", small.names("")?);
    host.check(user.env.cache())
}
