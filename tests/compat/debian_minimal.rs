//! diskimage-builder's own `debian-minimal`, unmodified, built by both: as an archive, and as
//! a disk with an MBR. Layouts with a FAT partition are left out: diskimage-builder mounts
//! it, and not every kernel that CI runs on can.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{Known, Namespace, Side, Tree, UserEnv, compare, ran};

use crate::dib;

/// Where the trees differ: diskimage-builder's is the first.
const KNOWN: &[Known] = &[
    ("*.pyc", Side::Both, "the time of the source is in it"),
    ("/boot/initrd.img*", Side::Both, "as above"),
    ("/boot/grub/grub.cfg", Side::Both, "the file system's id; it has hints without device-mapper"),
    ("/boot/grub/i386-pc/core.img", Side::Both, "ours finds its file system by label"),
    ("/etc/.pwd.lock", Side::First, "dropped: it differs from run to run"),
    ("/etc/dib-manifests/*", Side::Both, "the command line and the variables"),
    ("/etc/dib-manifests/dib-manifest-dpkg-theirs", Side::First, "named after the output"),
    ("/etc/dib-manifests/dib-manifest-dpkg-ours", Side::Second, "as above"),
    ("/etc/hostname", Side::Both, "mmdebstrap copies the builder's, with its mode"),
    ("/etc/iscsi/initiatorname.iscsi", Side::Both, "random"),
    ("/etc/machine-id", Side::Both, "empty in ours, so that every instance makes its own"),
    ("/etc/resolv.conf", Side::Both, "as /etc/hostname"),
    ("/etc/shadow", Side::Both, "the day of the build"),
    ("/etc/shadow-", Side::Both, "as /etc/shadow"),
    ("/run/*", Side::First, "/run is a tmpfs in every system that runs"),
    ("/usr/local/bin/extract-image", Side::Both, "ours takes its place in the hooks tree"),
    ("/var/cache/debconf/*", Side::First, "older copies, dropped in ours"),
    ("/var/cache/ldconfig/aux-cache", Side::First, "dropped: it differs from run to run"),
    ("/var/lib/dpkg/*", Side::First, "locks and older copies, dropped in ours"),
    ("/var/lib/systemd/catalog/database", Side::First, "dropped: the system makes it again"),
    ("/var/log/*", Side::First, "empty there, dropped in ours"),
];

/// Differences of the archives alone.
const ARCHIVE: &[Known] = &[
    ("/dev/*", Side::First, "the host's devices are in its archive"),
    ("/dev/shm", Side::Both, "the mode is the host's"),
    ("/lost+found", Side::First, "it packs a mounted ext4"),
    ("/proc", Side::Second, "empty directories to mount on stay in ours"),
    ("/sys", Side::Second, "as /proc"),
];

/// Differences of the disks alone.
const DISK: &[Known] = &[
    ("/dev/console", Side::Both, "its mode; every system mounts its devices there"),
    ("/dev/shm", Side::Both, "as above"),
    ("/dev/*", Side::First, "links that every system makes again"),
];

/// What is written of the disks and differs on purpose.
const FACTS: &[(&str, &str)] = &[
    ("label-id", "random there"),
    ("device", "a path"),
    ("size", "theirs has a file system of its own to be measured by; they are compared roughly"),
    ("Filesystem features", "compared one by one"),
    (
        "Filesystem flags",
        "names are hashed by the machine's own idea of a char there, alike everywhere by us",
    ),
    ("Filesystem UUID", "random there"),
    ("Directory Hash Seed", "random there"),
    ("Last mounted on", "ours was never mounted"),
    ("Last mount time", "ours was never mounted"),
    ("Mount count", "ours was never mounted"),
    ("Filesystem created", "a time"),
    ("Last write time", "a time"),
    ("Last checked", "a time"),
    ("Lifetime writes", "ours is written once"),
    ("Checksum", "of all these"),
    ("Block count", "the size"),
    ("Reserved block count", "the size"),
    ("Overhead clusters", "the size"),
    ("Free blocks", "the size"),
    ("Free inodes", "the size"),
    ("Inode count", "the size"),
    ("Inodes per group", "the size"),
    ("Inode blocks per group", "the size"),
    ("Reserved GDT blocks", "the size"),
    ("Journal features", "ours was never mounted"),
    ("Journal checksum", "ours was never mounted"),
    ("Journal checksum type", "ours was never mounted"),
    ("Journal sequence", "ours was never mounted"),
];

fn elements() -> Result<PathBuf> {
    let tools = std::env::var("GOLDSMITH_DIB").context("GOLDSMITH_DIB")?;
    let found = fs_err::read_dir(Path::new(&tools).join("lib"))?
        .flatten()
        .map(|python| python.path().join("site-packages/diskimage_builder/elements"))
        .find(|elements| elements.is_dir());
    found.with_context(|| format!("no elements below {tools}"))
}

/// Builds `line` by both; the outputs are `theirs.TYPE` and `ours.TYPE`.
fn both(user: &UserEnv, line: &[&str]) -> Result<()> {
    let elements = elements()?;
    let mut command = user.env.command("disk-image-create")?;
    command
        .env("ELEMENTS_PATH", &elements)
        .env("GOLDSMITH_NO_BUILTIN_ELEMENTS", "1")
        .envs(dib::VARIABLES)
        .args(["-o", "ours"])
        .args(line);
    let ours = user.run_command(&command)?;
    ensure!(ours.status == 0, "{ours:#?}");
    let manifest = user.env.path("ours.d/dib-manifests/dib_environment");
    let environment = fs_err::read_to_string(manifest)?;
    let of = |name: &'static str| -> Result<(&'static str, String)> {
        let start = format!("{name}=\"");
        let line = environment.lines().find_map(|line| line.split_once(&start));
        let value = line.with_context(|| format!("no {name}"))?.1.trim_end_matches('"');
        Ok((name, value.to_owned()))
    };
    let mirrors = [of("DIB_DEBIAN_DISTRIBUTION_MIRROR")?, of("DIB_DEBIAN_SECURITY_MIRROR")?];
    let line: Vec<_> = ["--no-tmpfs", "-o", "theirs"].iter().chain(line).copied().collect();
    dib::build(user, &elements, &mirrors, &line)
}

/// One build by each, of both outputs.
pub(crate) fn archive_and_disk() -> Result<()> {
    let user = UserEnv::new()?;
    both(&user, &["-t", "tar,raw", "vm", "debian-minimal"])?;
    let known: Vec<_> = KNOWN.iter().chain(ARCHIVE).copied().collect();
    let [theirs, ours] =
        ["theirs.tar", "ours.tar"].map(|name| Tree::read(&user.env.path(name), &[]));
    let archives = compare(&theirs?, &ours?, &known).context("the archives");
    let (theirs, ours) = (disk(&user, "theirs")?, disk(&user, "ours")?);
    let known: Vec<_> = KNOWN.iter().chain(DISK).copied().collect();
    let disks = compare(&theirs.tree, &ours.tree, &known).context("the disks");
    let facts = same_facts(&theirs.facts, &ours.facts);
    let wrong: Vec<_> = [archives, disks, facts]
        .into_iter()
        .filter_map(|result| result.err().map(|error| format!("{error:#}")))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What a disk holds.
struct Disk {
    tree: Tree,
    facts: BTreeMap<String, String>,
}

/// Reads the partition table, the file system's header and its tree.
fn disk(user: &UserEnv, name: &str) -> Result<Disk> {
    let namespace = Namespace::mounts()?;
    let (disk, tar) =
        (user.env.path(&format!("{name}.raw")), user.env.path(&format!("{name}.disk.tar")));
    // The first partition begins at 1 MiB in both.
    namespace.root(&format!(
        "mount -o ro,loop,offset=1048576 {} /mnt && tar --xattrs '--xattrs-include=*' --numeric-owner -C /mnt -cf {} . && umount /mnt",
        disk.display(),
        tar.display()
    ))?;
    let tree = Tree::read(&tar, &[])?;
    fs_err::remove_file(tar)?;
    let table = ran(Command::new("sfdisk").arg("--dump").arg(&disk))?;
    let start = format!("{}?offset=1048576", disk.display());
    let header = ran(Command::new("dumpe2fs").arg("-h").arg(start))?;
    let mut facts = BTreeMap::new();
    for line in table.stdout.lines().chain(header.stdout.lines()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if value.contains("start=") {
            // A partition: start, size, type, flags.
            for (at, field) in value.split(',').enumerate() {
                let (name, value) = field.split_once('=').unwrap_or((field, ""));
                facts.insert(name.trim().to_owned(), format!("{at} {}", value.trim()));
            }
        } else {
            facts.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    Ok(Disk { tree, facts })
}

fn same_facts(theirs: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> Result<()> {
    let names: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    ensure!(
        names.len() > 50 && names.contains(&"bootable".to_owned()),
        "facts are missing: {names:?}"
    );
    let differ = |name: &&&String| theirs.get(**name) != ours.get(**name);
    let unknown: Vec<_> = names
        .iter()
        .filter(differ)
        .filter(|name| !FACTS.iter().any(|(known, _)| *known == name.as_str()))
        .map(|name| format!("{name}: {:?} / {:?}", theirs.get(*name), ours.get(*name)))
        .collect();
    ensure!(unknown.is_empty(), "the disks differ:\n{}", unknown.join("\n"));
    let features = |facts: &BTreeMap<String, String>| -> BTreeSet<String> {
        let words = facts.get("Filesystem features").map(String::as_str).unwrap_or_default();
        words.split_whitespace().map(str::to_owned).collect()
    };
    let (theirs_has, ours_has) = (features(theirs), features(ours));
    ensure!(theirs_has == ours_has, "features: {theirs_has:?}, ours: {ours_has:?}");
    let size = |facts: &BTreeMap<String, String>| -> Result<i64> {
        let field = facts.get("size").context("no size")?;
        Ok(field.split(' ').next_back().context("no size")?.parse()?)
    };
    let (one, other) = (size(theirs)?, size(ours)?);
    ensure!((one - other).abs() < one / 50, "sizes: {one} and {other} sectors");
    Ok(())
}
