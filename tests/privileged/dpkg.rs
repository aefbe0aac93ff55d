//! Packages unpacked by us and by `dpkg --unpack`: the same paths, and the same database but for
//! what is written down here.
//!
//! Of packages that have a preinst both get one without: dpkg would run it inside of the root,
//! where nothing is configured yet.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use goldsmith_images::import::debian;
use goldsmith_tests::{TestEnv, ran};

pub(crate) const CASES: &[crate::Case] =
    &[("dpkg::packages_are_unpacked_as_by_dpkg", unpacked_alike)];

/// Fetches what this machine's own Debian is made of, and some with odd owners and modes, into
/// `debs`.
const FETCH: &str = r#"
set -eu
mkdir debs
cd debs
apt-get update -qq
names=$(dpkg-query -Wf '${Package} ${Priority} ${Essential}\n' |
    awk '$2 == "required" || $2 == "important" || $3 == "yes" { print $1 }' | sort -u)
apt-get download -qq $names cron sudo openssh-client
for deb in *.deb; do
    if dpkg-deb --ctrl-tarfile "$deb" | tar -t | grep -qx ./preinst; then
        dpkg-deb -R "$deb" tree
        rm tree/DEBIAN/preinst
        dpkg-deb -Zgzip -z1 -b tree "$deb" > /dev/null
        rm -r tree
    fi
done
"#;

/// An empty root in the merged layout, as the bootstrap makes it before any package, and dpkg's
/// work in it.
const DPKG: &str = r#"
set -eu
mkdir -p theirs/usr theirs/var/lib/dpkg/info theirs/var/lib/dpkg/updates
for name in bin sbin lib lib64; do
    mkdir theirs/usr/$name
    ln -s usr/$name theirs/$name
    touch -h -d @0 theirs/$name
done
: > theirs/var/lib/dpkg/status
dpkg --root=theirs --path-include='*' --force-depends --force-unsafe-io --unpack debs/*.deb
"#;

/// What lies below `/var/lib/dpkg` and is not compared, with the reason.
const OTHER: &[(&str, &str)] = &[
    ("available", "ours has an empty one, as debootstrap's dpkg"),
    ("diversions", "as available"),
    ("statoverride", "as available"),
    ("lock", "dpkg leaves its locks"),
    ("lock-frontend", "as lock"),
    ("status", "compared field by field"),
    ("status-old", "dpkg's copy of the status before"),
    ("triggers/File", "compared line by line: the order is that of unpacking"),
    ("triggers/Lock", "as lock"),
    (
        "triggers/Unincorp",
        "empty in ours: whoever is configured for the first time needs no trigger",
    ),
];

fn shell(env: &TestEnv, script: &str) -> Result<()> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(env.directory.path());
    let ran = ran(command.env("PATH", path).env("LC_ALL", "C"))?;
    ensure!(ran.status == 0, "{}{}", ran.stdout, ran.stderr);
    Ok(())
}

/// What a path is, with all that an archive says of it.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    /// Not of directories: whoever puts something into one changes it.
    mtime: Option<i64>,
    /// Size and digest, a target, or a device's number.
    content: String,
    /// The first of the paths of the same file.
    first: String,
}

/// All paths below a root but those that are not compared.
fn listing(root: &Path) -> Result<BTreeMap<String, Node>> {
    let (mut found, mut files) = (BTreeMap::new(), BTreeMap::<_, String>::new());
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry?;
        let path = format!("/{}", entry.path().strip_prefix(root)?.display());
        let own = path.strip_prefix("/var/lib/dpkg/").unwrap_or_default();
        if OTHER.iter().any(|(other, _)| *other == own) {
            continue;
        }
        // What dpkg lays beside until the package is configured.
        let path = path.strip_suffix(".dpkg-new").unwrap_or(&path).to_owned();
        let data = fs_err::symlink_metadata(entry.path())?;
        let kind = data.file_type();
        let (kind, content) = if kind.is_dir() {
            ("directory", String::new())
        } else if kind.is_symlink() {
            ("link", fs_err::read_link(entry.path())?.display().to_string())
        } else if kind.is_file() {
            let mut hasher = DefaultHasher::new();
            fs_err::read(entry.path())?.hash(&mut hasher);
            ("file", format!("{} bytes, {:x}", data.len(), hasher.finish()))
        } else {
            ensure!(!kind.is_socket(), "{path} is a socket");
            ("special", data.rdev().to_string())
        };
        let several = kind == "file" && data.nlink() > 1;
        let first = match several {
            true => files.entry(data.ino()).or_insert_with(|| path.clone()).clone(),
            false => path.clone(),
        };
        let own = own.starts_with("info/") || own.starts_with("triggers/");
        let mtime = (kind != "directory" && !own).then(|| data.mtime());
        let (mode, owner) = (data.mode() & 0o7777, (data.uid(), data.gid()));
        found.insert(path, Node { kind, mode, owner, mtime, content, first });
    }
    Ok(found)
}

/// The fields of each package but for its state, blanks made one.
fn status(root: &Path) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let text = fs_err::read_to_string(root.join("var/lib/dpkg/status"))?;
    let mut packages = BTreeMap::new();
    for stanza in text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()) {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last = String::new();
        for line in stanza.lines() {
            match line.split_once(':').filter(|_| !line.starts_with(' ')) {
                Some((name, value)) => {
                    name.clone_into(&mut last);
                    fields.insert(last.clone(), value.trim().to_owned());
                }
                None => {
                    let field = fields.entry(last.clone()).or_default();
                    *field = format!("{field}\n{}", line.trim());
                }
            }
        }
        let state = fields.remove("Status").context("a package without a state")?;
        ensure!(state == "install ok unpacked", "{fields:?}: {state}");
        let name = fields.get("Package").context("a package without a name")?;
        packages.insert(name.clone(), fields);
    }
    Ok(packages)
}

/// Configuration files have their digest in ours, as when they are configured, and a word in
/// dpkg's: the digest must be that of the file that dpkg has laid beside.
fn conffiles(theirs: &Path, field: &str) -> Result<String> {
    let mut lines = Vec::new();
    for line in field.lines() {
        let Some(path) = line.strip_suffix(" newconffile") else {
            lines.push(line.to_owned());
            continue;
        };
        let file = theirs.join(format!("{}.dpkg-new", path.trim_start_matches('/')));
        let sum = ran(Command::new("md5sum").arg(&file))?.stdout;
        let sum = sum.split(' ').next().filter(|sum| sum.len() == 32);
        lines.push(format!("{path} {}", sum.with_context(|| format!("{}", file.display()))?));
    }
    Ok(lines.join("\n"))
}

/// What is not the same of two maps, one a line: theirs, then ours.
fn differences<V: std::fmt::Debug + PartialEq>(
    theirs: &BTreeMap<String, V>,
    ours: &BTreeMap<String, V>,
) -> Vec<String> {
    let names: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    let differ = names.into_iter().filter(|name| theirs.get(*name) != ours.get(*name));
    differ.map(|name| format!("{name}: {:?} / {:?}", theirs.get(name), ours.get(name))).collect()
}

fn unpacked_alike() -> Result<()> {
    let env = TestEnv::new()?;
    shell(&env, FETCH)?;
    shell(&env, DPKG)?;
    let mut packages: Vec<PathBuf> = Vec::new();
    for entry in fs_err::read_dir(env.path("debs"))? {
        packages.push(entry?.path());
    }
    ensure!(packages.len() > 40, "only {} packages", packages.len());
    let (theirs, ours) = (env.path("theirs"), env.path("ours"));
    fs_err::create_dir(&ours)?;
    let arch = ran(Command::new("dpkg").arg("--print-architecture"))?.stdout;
    debian::unpack(&packages, &ours, arch.trim())?;

    let (there, here) = (listing(&theirs)?, listing(&ours)?);
    for odd in [0o4755, 0o2755, 0o1777, 0o440] {
        ensure!(there.values().any(|node| node.mode == odd), "nothing has the mode {odd:o}");
    }
    ensure!(there.iter().any(|(path, node)| node.first != *path), "there is no hard link");
    let mut wrong = differences(&there, &here);
    let (mut there, here) = (status(&theirs)?, status(&ours)?);
    for fields in there.values_mut() {
        if let Some(field) = fields.get_mut("Conffiles") {
            *field = conffiles(&theirs, field)?;
        }
    }
    ensure!(there.len() == packages.len(), "dpkg knows {} packages", there.len());
    for name in there.keys().chain(here.keys()).collect::<BTreeSet<_>>() {
        let (Some(theirs), Some(ours)) = (there.get(name), here.get(name)) else {
            wrong.push(format!("{name} is not in both"));
            continue;
        };
        wrong.extend(differences(theirs, ours).iter().map(|line| format!("{name}: {line}")));
    }
    let lines = |root: &Path| -> Result<Vec<String>> {
        let text = fs_err::read_to_string(root.join("var/lib/dpkg/triggers/File"))?;
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        Ok(lines)
    };
    ensure!(lines(&theirs)? == lines(&ours)?, "triggers: {:?} {:?}", lines(&theirs), lines(&ours));
    ensure!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
