//! diskimage-builder's own `debian-minimal`, unmodified, built by both: as an archive, and as
//! a disk with an MBR. Layouts with a FAT partition are left out: diskimage-builder mounts
//! it, and not every kernel that CI runs on can.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{Known, Namespace, Side, Tree, UserEnv, compare};

use crate::dib;

/// Where the trees differ: diskimage-builder's is the first.
const KNOWN: &[Known] = &[
    ("*.pyc", Side::Both, "the time of the source is in it"),
    ("/boot/initrd.img*", Side::Both, "as above"),
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

pub(crate) fn archive() -> Result<()> {
    let user = UserEnv::new()?;
    both(&user, &["-t", "tar", "debian-minimal"])?;
    let known: Vec<_> = KNOWN.iter().chain(ARCHIVE).copied().collect();
    let [theirs, ours] =
        ["theirs.tar", "ours.tar"].map(|name| Tree::read(&user.env.path(name), &[]));
    compare(&theirs?, &ours?, &known)
}

pub(crate) fn disk() -> Result<()> {
    let user = UserEnv::new()?;
    both(&user, &["-t", "raw", "vm", "debian-minimal"])?;
    let namespace = Namespace::mounts()?;
    let read = |name: &str| -> Result<Tree> {
        let (disk, tar) =
            (user.env.path(&format!("{name}.raw")), user.env.path(&format!("{name}.disk.tar")));
        // The first partition begins at 1 MiB in both.
        namespace.root(&format!(
            "mount -o ro,loop,offset=1048576 {} /mnt && tar --xattrs '--xattrs-include=*' --numeric-owner -C /mnt -cf {} . && umount /mnt",
            disk.display(),
            tar.display()
        ))?;
        Tree::read(&tar, &[])
    };
    let (theirs, ours) = (read("theirs")?, read("ours")?);
    compare(&theirs, &ours, KNOWN)
}
