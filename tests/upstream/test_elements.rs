//! diskimage-builder's own `test-elements`, by `goldsmith elements test`: all of those that need
//! nothing but a mirror of Debian.
//!
//! Of the 58 in its tree these are left out:
//!
//! | Test elements of | need |
//! |---|---|
//! | almalinux-container, containerfile, fedora-container, rocky-container, ubuntu-systemd-container | a registry of container images |
//! | centos, fedora, gentoo, opensuse, ubuntu | their distributions' cloud images or stage archives |
//! | centos-minimal, fedora-minimal, openeuler-minimal, opensuse-minimal | their distributions' mirrors |
//! | ubuntu-minimal | a mirror of Ubuntu: each of them sets the release itself |
//! | pip-and-virtualenv | a script of pypa.io, and Fedora, openSUSE or Ubuntu |
//! | python-stow-versions | a repository of GitHub |
//!
//! `source-install-ubuntu` and `test-python-stow` do not set a release and would take Debian's, as
//! `apt-sources/test-sources` does here.

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{TestEnv, ran};

/// Addresses of the mirror that hooks are told.
struct Mirror {
    main: String,
}

/// A build that ends at once says what hooks are told.
fn mirror() -> Result<Mirror> {
    let place = TestEnv::new()?;
    place.element("says/element-provides", "operating-system\n")?;
    place.element(
        "says/root.d/01-says",
        "#!/bin/sh\necho \"the mirror is <$DIB_DEBIAN_DISTRIBUTION_MIRROR>\"\nexit 1\n",
    )?;
    let ran = place.run(&["build", "-n", "-t", "tar", "-o", "x", "says"])?;
    let said = ran.stdout.clone() + &ran.stderr;
    let main = said.split_once("the mirror is <").and_then(|(_, rest)| rest.split_once('>'));
    let main = main.with_context(|| format!("hooks know no mirror: {ran:?}"))?.0.to_owned();
    ensure!(ran.status == 1, "{ran:?}");
    Ok(Mirror { main })
}

/// Runs one test with these variables; `remark` is what is said of how it passed.
fn passes(name: &str, variables: &[(&str, &str)], remark: &str) -> Result<()> {
    let elements = std::env::var("GOLDSMITH_UPSTREAM").context("GOLDSMITH_UPSTREAM")?;
    let place = TestEnv::new()?;
    let mut command = place.command("goldsmith")?;
    command
        .env("ELEMENTS_PATH", elements)
        .env("GOLDSMITH_NO_BUILTIN_ELEMENTS", "1")
        .env_remove("DIB_RELEASE")
        .envs(variables.iter().copied())
        .args(["elements", "test", "--logs", "logs", &format!("^{name}$")]);
    let ran = ran(&mut command)?;
    let log = || fs_err::read_to_string(place.path("logs").join(name.replace('/', "-") + ".log"));
    let right = ran.stdout.starts_with(&format!("pass {name} ("))
        && ran.stdout.ends_with(&format!(" s{remark})\n1 passed, 0 failed\n"));
    ensure!(
        ran.status == 0 && right,
        "{}{}\n{}",
        ran.stdout,
        ran.stderr,
        log().unwrap_or_default()
    );
    Ok(())
}

/// It sets its release, but after `debian-minimal` has chosen apt's sources by the one from outside,
/// for which bookworm is right, too. On a builder of its own architecture it makes an image of
/// that: the name says where diskimage-builder's own project runs it.
pub(crate) fn bookworm() -> Result<()> {
    let variables = [("DIB_RELEASE", "bookworm")];
    passes("debian-minimal/bookworm-arm64-build-succeeds", &variables, "")
}

/// As the one of bookworm. Debian may have moved this release to its archive by now.
pub(crate) fn bullseye() -> Result<()> {
    let variables = [("DIB_RELEASE", "bullseye")];
    passes("debian-minimal/bullseye-arm64-build-succeeds", &variables, "")
}

/// It sets the release to `stable`. Lists of updates are left out by the variable that is there
/// for it: mirrors that are behind serve expired ones, which apt refuses.
pub(crate) fn stable() -> Result<()> {
    let sources = format!("default:deb {} stable main", mirror()?.main);
    passes("debian/build-succeeds", &[("DIB_APT_SOURCES_CONF", &sources)], "")
}

/// The one that fails as it should. It is written for Ubuntu; `ubuntu-minimal` and `ubuntu-common`
/// take name, release, components, mirror and further suites of any Debian from variables.
pub(crate) fn sources() -> Result<()> {
    let variables = [
        ("DISTRO_NAME", "debian"),
        ("DIB_RELEASE", "bookworm"),
        ("DIB_DEBIAN_COMPONENTS", "main"),
        ("DIB_UBUNTU_MIRROR_DISTS", "updates"),
        ("DIB_DISTRIBUTION_MIRROR", &mirror()?.main),
    ];
    passes("apt-sources/test-sources", &variables, ", failed as it should")
}
