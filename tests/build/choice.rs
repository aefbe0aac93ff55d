//! Which packages a bootstrap consists of: what apt would have chosen, asked for the same on a
//! system of nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use goldsmith_images::fetch::{Client, Proxies};
use goldsmith_images::import::debian::{
    ArchiveSpec, Keyring, Release, Suite, Variant, releases, resolve,
};
use goldsmith_tests::TestEnv;

use crate::{member, ok};

/// Suites, the variant, and packages beside it.
pub(crate) type Case = (&'static [&'static str], Variant, &'static [&'static str]);

const STABLE: &[&str] = &["trixie"];
const OLD: &[&str] = &["bookworm", "bookworm-updates"];

const CASES: &[Case] = &[
    (OLD, Variant::Apt, &[]),
    (OLD, Variant::Important, &["linux-image-amd64", "openssh-server", "cloud-init", "grub-pc"]),
    // The order of needs decides which alternatives are there already.
    (OLD, Variant::Minbase, &["php", "wordpress", "mariadb-server", "postfix", "bsd-mailx"]),
    (STABLE, Variant::Minbase, &[]),
    (STABLE, Variant::Minbase, &["linux-image-amd64", "systemd-sysv", "openssh-server"]),
    (STABLE, Variant::Minbase, &["network-manager", "python3-openstackclient", "podman"]),
    (STABLE, Variant::Minbase, &["dracut", "qemu-system-x86", "libvirt-daemon-system"]),
];

const MORE: &[Case] = &[
    (OLD, Variant::Minbase, &["linux-image-cloud-amd64", "grub-efi-amd64-bin", "netplan.io"]),
    (OLD, Variant::Minbase, &["default-jre-headless", "build-essential", "libpam-systemd"]),
    (OLD, Variant::Minbase, &["xfce4", "lightdm", "firefox-esr"]),
    (STABLE, Variant::Important, &["systemd-resolved", "cloud-init"]),
    (STABLE, Variant::Minbase, &["gnome-core", "task-german"]),
    (STABLE, Variant::Minbase, &["kde-standard"]),
    (STABLE, Variant::Minbase, &["emacs-nox", "docker.io"]),
    (STABLE, Variant::Minbase, &["r-base-core", "ruby-rails"]),
    (STABLE, Variant::Minbase, &["x11-apps", "default-jdk"]),
    (STABLE, Variant::Minbase, &["apache2", "squid", "postgresql", "slapd"]),
];

/// Answers for each line of `/cases` (suites, a colon, the pattern for packages of the variant,
/// a colon, packages) what apt would install, with versions.
const ASK: &str = r#"set -eu
mirror=$(cat /mirror)
at=/tmp/asked
suites=none
common="-qq -o Dir::State::status=$at/status -o Dir::State::Lists=$at/lists -o Dir::Cache=$at/cache"
common="$common -o Dir::Cache::pkgcache=p.bin -o Dir::Cache::srcpkgcache=s.bin -o Dir::Etc::sourcelist=$at/sources -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root"
while IFS=: read -r wanted variant packages; do
    if [ "$wanted" != "$suites" ]; then
        rm -rf $at
        mkdir -p $at/lists/partial $at/cache/archives/partial
        : > $at/status
        for suite in $wanted; do echo "deb $mirror $suite main"; done > $at/sources
        apt-get $common update
        apt-cache $common dumpavail > $at/available
        suites=$wanted
    fi
    # Essential packages, and those of the variant's priorities.
    roots=$(awk -v want=" $variant " 'BEGIN { RS = ""; FS = "\n" } {
        name = ""; take = 0
        for (i = 1; i <= NF; i++) {
            split($i, part, ": ")
            if (part[1] == "Package") name = part[2]
            if (part[1] == "Essential" && part[2] == "yes") take = 1
            if (part[1] == "Priority" && index(want, " " part[2] " ")) take = 1
        }
        if (take) print name
    }' $at/available)
    echo "= $wanted:$variant:$packages"
    # URL, file, size, digest; the file is NAME_VERSION_ARCHITECTURE.deb. A simulation says the
    # same, but takes much longer.
    apt-get $common -y --print-uris --no-install-recommends install apt $roots $packages |
        sed -n "s/^'[^']*' \([^_]*\)_\([^_]*\)_[^ ]* .*/\1 \2/p" | sed 's/%3a/:/'
done < /cases
"#;

fn priorities(variant: Variant) -> &'static str {
    match variant {
        Variant::Apt => "none",
        Variant::Minbase => "required",
        Variant::Important => "required important",
    }
}

fn line((suites, variant, packages): &Case) -> String {
    format!("{}:{}:{}", suites.join(" "), priorities(*variant), packages.join(" "))
}

/// The mirror that builds choose here.
pub(crate) fn mirror(env: &TestEnv) -> Result<String> {
    let hook = "#!/bin/sh\necho \"$DIB_DEBIAN_DISTRIBUTION_MIRROR\" > /mirror\n";
    env.element("tells-mirror/install.d/10-mirror", hook)?;
    ok(&env.run(&["build", "-n", "-t", "tar", "-o", "told", "small", "tells-mirror"])?)?;
    Ok(member(&env.path("told.tar"), "./mirror")?.trim().to_owned())
}

/// What goldsmith is asked for, and the releases that answer it.
pub(crate) fn specification(
    (suites, variant, packages): &Case,
    mirror: &str,
) -> Result<(ArchiveSpec, Vec<Release>, Client)> {
    let suite = |name: &&str| Suite {
        mirror: mirror.to_owned(),
        name: (*name).to_owned(),
        components: vec!["main".into()],
    };
    let spec = ArchiveSpec {
        suites: suites.iter().map(suite).collect(),
        arch: "amd64".into(),
        variant: *variant,
        include: packages.iter().map(|name| (*name).to_owned()).collect(),
        exclude: Vec::new(),
    };
    let client = Client::new(&Proxies::default())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let releases = releases(&spec, &Keyring::shipped()?, &client, i64::try_from(now)?)?;
    Ok((spec, releases, client))
}

/// Name and version of what goldsmith chooses.
fn ours(case: &Case, mirror: &str, env: &TestEnv) -> Result<BTreeSet<String>> {
    let (spec, releases, client) = specification(case, mirror)?;
    let downloads = env.path("downloads");
    fs_err::create_dir_all(&downloads)?;
    let found = resolve(&spec, releases, &client, &downloads)?;
    Ok(found.packages.into_iter().map(|one| format!("{} {}", one.name, one.version)).collect())
}

#[test]
fn packages_are_those_that_apt_would_choose() -> Result<()> {
    compare(CASES)
}

#[test]
fn full_packages_of_desktops_and_servers_are_those_that_apt_would_choose() -> Result<()> {
    compare(MORE)
}

fn compare(cases: &[Case]) -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let mirror = mirror(&env)?;
    env.element(
        "asks/install.d/10-asks",
        &format!(
            "#!/bin/bash\nset -eu\necho {mirror} > /mirror\n\
             cat > /ask << 'ASK'\n{ASK}ASK\ncat > /cases << 'CASES'\n{}\nCASES\n",
            cases.iter().map(line).collect::<Vec<_>>().join("\n")
        ),
    )?;
    ok(&env.run(&["build", "-n", "-t", "tar", "-o", "asks", "small", "asks"])?)?;
    let asked = env.run(&["run", "--image", "asks", "--net", "host", "--", "sh", "/ask"])?;
    ok(&asked)?;
    let mut answers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut current = "";
    for said in asked.stdout.lines() {
        match said.strip_prefix("= ") {
            Some(case) => current = case,
            None => _ = answers.entry(current).or_default().insert(said.to_owned()),
        }
    }
    let mut differences = String::new();
    for case in cases {
        let apt = answers.get(line(case).as_str()).context("apt said nothing")?;
        ensure!(apt.len() > 20, "{apt:?}");
        let ours = ours(case, &mirror, &env).with_context(|| line(case))?;
        let more: Vec<_> = ours.difference(apt).collect();
        let less: Vec<_> = apt.difference(&ours).collect();
        if !more.is_empty() || !less.is_empty() {
            differences
                .push_str(&format!("{}\n  apt has not {more:?}\n  apt has {less:?}\n", line(case)));
        }
    }
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}
