//! The same elements built by diskimage-builder and by goldsmith: what hooks see and what
//! the images hold is the same, except for what is written down here with its reason.
//!
//! diskimage-builder runs as root, in a mount namespace of its own; `GOLDSMITH_DIB` is the
//! virtual environment that it is installed in.

mod debian_minimal;
mod dib;
mod elements;
mod lint;
mod probe;
mod upstream;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{Known, Side, TestEnv, Tree, UserEnv, compare, ran};
use libtest_mimic::{Arguments, Failed, Trial};

const LINE: [&str; 8] = ["-n", "--no-tmpfs", "-t", "tar", "-o", "image", "compat-os", "probe"];

const KEEP: &[&str] = &["/probe/*"];

/// Where the trees differ: diskimage-builder's is the first.
const KNOWN: &[Known] = &[
    ("/dev/*", Side::First, "the host's devices are in its archive"),
    ("/dev/shm", Side::Both, "the mode is the host's"),
    ("/proc", Side::Second, "empty directories to mount on stay in ours"),
    ("/sys", Side::Second, "as /proc"),
    ("/lost+found", Side::First, "it packs a mounted ext4"),
    ("/run/lock", Side::First, "/run is a tmpfs in every system that runs"),
    ("/nodes/hard", Side::Both, "the overlay parts links when a later phase changes one"),
    ("/probe/*", Side::Both, "compared line by line"),
    ("/etc/hostname", Side::First, "mmdebstrap leaves the builder's"),
    ("/etc/resolv.conf", Side::First, "as /etc/hostname"),
    ("/etc/apt/sources.list", Side::First, "mmdebstrap writes one, here an element would"),
    ("/etc/.pwd.lock", Side::First, "dropped: it differs from run to run"),
    ("/etc/shadow", Side::Both, "the day of the build there, of the release here"),
    ("/etc/shells", Side::Both, "in the order of installation"),
    ("/var/cache/apt/archives/lock", Side::First, "left by apt, which made its base"),
    ("/var/cache/apt/archives/partial", Side::Both, "apt has given it to its own user"),
    ("/var/lib/apt/lists/*", Side::First, "left by apt"),
    ("/var/cache/debconf/*", Side::First, "older copies, dropped in ours"),
    ("/var/lib/dpkg/*", Side::First, "locks and older copies, dropped in ours"),
    ("/var/cache/debconf/config.dat", Side::Both, "in the order of installation"),
    ("/var/lib/dpkg/available", Side::Second, "debootstrap's dpkg makes one, mmdebstrap's none"),
    ("/var/lib/dpkg/statoverride", Side::Second, "as available"),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = rustix::process::geteuid().is_root();
    let there = std::env::var_os("GOLDSMITH_DIB").is_some();
    let kind = match (root, there) {
        (true, true) => "compat",
        (false, _) => "compat: ignored, diskimage-builder needs root",
        (true, false) => "compat: ignored, GOLDSMITH_DIB names no diskimage-builder",
    };
    let trial = |name: &str, body: fn() -> Result<()>| {
        Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}"))))
            .with_kind(kind)
            .with_ignored_flag(!(root && there))
    };
    let trials = vec![
        trial("the_same_elements_give_the_same_image", same_image),
        trial("its_own_unit_tests_pass_with_our_commands", units),
        trial("lint_finds_what_dib_lint_finds", lint::same_verdicts),
        trial("what_is_listed_of_upstream_is_built", upstream::listed),
        trial("the_table_of_upstreams_elements_is_true", upstream::table),
        trial("its_own_debian_minimal_as_an_archive_and_a_disk", debian_minimal::archive_and_disk),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn same_image() -> Result<()> {
    let user = UserEnv::new()?;
    elements::write(&user.env)?;
    let host = user.host(user.env.cache())?;
    let mut command = user.env.command("disk-image-create")?;
    let built = user.run_command(command.args(LINE).envs(dib::VARIABLES))?;
    ensure!(built.status == 0, "{built:#?}");
    let ours = Tree::read(&user.env.path("image.tar"), KEEP)?;
    fs_err::remove_file(user.env.path("image.tar"))?;
    let mirror = probe::variable(ours.text("/probe/root.d")?, "DIB_DEBIAN_DISTRIBUTION_MIRROR")
        .context("hooks know no mirror")?;
    let mirrors = [("DIB_DEBIAN_DISTRIBUTION_MIRROR", mirror)];
    dib::build(&user, &user.env.path("elements"), &mirrors, &LINE)?;
    let theirs = Tree::read(&user.env.path("image.tar"), KEEP)?;
    match (probe::compare(&theirs, &ours), compare(&theirs, &ours, KNOWN)) {
        (Err(probe), Err(tree)) => anyhow::bail!("{probe:#}\n{tree:#}"),
        (probe, tree) => probe.and(tree)?,
    }
    host.check(user.env.cache())
}

/// Runs its unit tests; see `units/run.py` for which.
fn units() -> Result<()> {
    let tools = std::env::var("GOLDSMITH_DIB").context("GOLDSMITH_DIB")?;
    let env = TestEnv::new()?;
    let program = env.command("goldsmith")?;
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = ran(std::process::Command::new(format!("{tools}/bin/python"))
        .arg(here.join("compat/units/run.py"))
        .arg(upstream::elements()?.join(".."))
        .env("GOLDSMITH_BIN", program.get_program())
        .env("GOLDSMITH_ELEMENTS", here.join("../elements")))?;
    // 16 of dependencies, 10 of package-installs, 2 of svc-map, 3 of YAML; of disks 10 of
    // configurations, 1 of GPT, 7 of MBR, 2 of labels, 5 of sizes, 2 of mounts, 7 of LVM.
    ensure!(ran.status == 0 && ran.stdout.contains("ran 65\n"), "{}{}", ran.stdout, ran.stderr);
    Ok(())
}
