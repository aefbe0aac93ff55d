//! dpkg's database (dpkg's own `lib/dpkg` formats).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::Path;

use md5::{Digest as _, Md5};

use crate::layer::{Attributes, Listed, RootWriter, WriteError};

/// A package whose files lie in the root.
#[derive(Debug)]
pub(super) struct Unpacked {
    control: BTreeMap<String, Vec<u8>>,
    pub(super) paths: Vec<Listed>,
    /// Those of its paths that belong to a package which replaces this one.
    pub(super) lost: BTreeSet<Vec<u8>>,
    /// Those of its paths at which another package's file lies until this one's preinst script
    /// has diverted that.
    pub(super) late: BTreeSet<Vec<u8>>,
    name: String,
    /// `NAME`, or `NAME:ARCH` for packages of which several architectures may coexist.
    stem: String,
}

/// Control files that dpkg keeps elsewhere, or not at all.
const NOT_KEPT: [&str; 1] = ["control"];

impl Unpacked {
    /// Takes a package's control files and paths; `None` without a name.
    pub(super) fn new(control: BTreeMap<String, Vec<u8>>, paths: Vec<Listed>) -> Option<Self> {
        let text = String::from_utf8_lossy(control.get("control")?).into_owned();
        let field = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let (name, arch) = (field("Package")?, field("Architecture")?);
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if !name.chars().chain(arch.chars()).all(plain) {
            return None;
        }
        let same = field("Multi-Arch").is_some_and(|value| value == "same");
        let stem = if same { format!("{name}:{arch}") } else { name.clone() };
        Some(Self { control, paths, lost: BTreeSet::new(), late: BTreeSet::new(), name, stem })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A field of the control file, lines that go on included.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let mut found: Option<String> = None;
        for line in self.lines("control") {
            match (line.starts_with([' ', '\t']), &mut found) {
                (true, Some(value)) => value.push_str(&line),
                (false, Some(_)) => break,
                (false, None) => {
                    let (key, value) = line.split_once(':').unwrap_or_default();
                    found = key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned());
                }
                (true, None) => {}
            }
        }
        found
    }

    /// Whether the script that runs before the package is unpacked may divert this file.
    pub(super) fn may_divert(&self, path: &[u8]) -> bool {
        let script = self.lines("preinst");
        let path = String::from_utf8_lossy(path);
        let has = |text: &str| script.iter().any(|line| line.contains(text));
        has("dpkg-divert") && path.rsplit('/').next().is_some_and(has)
    }

    /// Whether a path, spelled as in its list, is a configuration file of the package.
    pub(super) fn is_conffile(&self, path: &[u8]) -> bool {
        self.conffiles().iter().any(|one| one.as_bytes().strip_prefix(b"/") == Some(path))
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let bytes = self.control.get(file).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
    }

    /// Configuration files that the package owns; those it only removes are not.
    fn conffiles(&self) -> Vec<String> {
        let list = self.lines("conffiles").into_iter();
        list.map(|line| line.trim().to_owned()).filter(|line| line.starts_with('/')).collect()
    }
}

/// Writes the database for `packages`, which must be sorted by name.
pub(super) fn write(root: &Path, packages: &[Unpacked]) -> Result<(), WriteError> {
    let mut writer = RootWriter::open(root)?;
    let directory = Attributes { mode: 0o755, ..Attributes::default() };
    for path in ["alternatives", "info", "parts", "triggers", "updates"] {
        writer.directory(format!("var/lib/dpkg/{path}").as_bytes(), &directory)?;
    }
    let mut put = |path: String, mode: u32, content: &[u8]| {
        let attributes = Attributes { mode, ..Attributes::default() };
        writer.file(
            format!("var/lib/dpkg/{path}").as_bytes(),
            &attributes,
            &mut Cursor::new(content),
        )
    };
    put("info/format".into(), 0o644, b"1\n")?;
    for path in ["available", "diversions", "statoverride"] {
        put(path.into(), 0o644, b"")?;
    }
    let mut status = String::new();
    let mut triggers = Triggers::default();
    for package in packages {
        status.push_str(&stanza(package, root));
        put(format!("info/{}.list", package.stem), 0o644, &list(package))?;
        for (file, content) in &package.control {
            if NOT_KEPT.contains(&file.as_str()) {
                continue;
            }
            let script =
                matches!(file.as_str(), "preinst" | "postinst" | "prerm" | "postrm" | "config");
            let mode = if script { 0o755 } else { 0o644 };
            put(format!("info/{}.{file}", package.stem), mode, content)?;
        }
        triggers.note(package);
    }
    put("status".into(), 0o644, status.as_bytes())?;
    put("triggers/Unincorp".into(), 0o644, b"")?;
    if !triggers.files.is_empty() {
        put("triggers/File".into(), 0o644, triggers.files.as_bytes())?;
    }
    for (name, interested) in &triggers.explicit {
        put(format!("triggers/{name}"), 0o644, interested.as_bytes())?;
    }
    writer.finish()
}

/// The package's control fields, its state, and its configuration files with their digests.
fn stanza(package: &Unpacked, root: &Path) -> String {
    let text = package.lines("control");
    let mut stanza = String::new();
    let mut skipped = false;
    for line in &text {
        if line.trim().is_empty() {
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            skipped = ["status:", "conffiles:"]
                .iter()
                .any(|own| line.to_ascii_lowercase().starts_with(own));
        }
        if skipped {
            continue;
        }
        stanza.push_str(line);
        stanza.push('\n');
        if line.starts_with("Package:") {
            stanza.push_str("Status: install ok unpacked\n");
        }
    }
    let conffiles = package.conffiles();
    if !conffiles.is_empty() {
        stanza.push_str("Conffiles:\n");
        for path in conffiles {
            if package.lost.contains(path.trim_start_matches('/').as_bytes()) {
                // As dpkg leaves it when another package took the file over.
                stanza.push_str(&format!(" {path} newconffile obsolete\n"));
                continue;
            }
            // dpkg compares this digest when it decides whether a file was changed by hand.
            let bytes = read_inside(root, &path).unwrap_or_default();
            stanza.push_str(&format!(" {path} {}\n", hex::encode(Md5::digest(&bytes))));
        }
    }
    stanza.push('\n');
    stanza
}

fn read_inside(root: &Path, path: &str) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let root = pathrs::Root::open(root).ok()?;
    let mut file = root.resolve(path).ok()?.reopen(pathrs::flags::OpenFlags::O_RDONLY).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Every path of the package but those that it lost, one a line, the root first.
fn list(package: &Unpacked) -> Vec<u8> {
    let mut list = b"/.\n".to_vec();
    let own = package.paths.iter().map(|listed| &listed.path);
    for path in own.filter(|path| !path.is_empty() && !package.lost.contains(*path)) {
        list.push(b'/');
        list.extend_from_slice(path);
        list.push(b'\n');
    }
    list
}

/// Who is interested in what (deb-triggers(5)).
#[derive(Debug, Default)]
struct Triggers {
    files: String,
    explicit: BTreeMap<String, String>,
}

impl Triggers {
    fn note(&mut self, package: &Unpacked) {
        for line in package.lines("triggers") {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(directive), Some(name)) = (words.next(), words.next()) else { continue };
            let wait = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            let who = format!("{}{wait}", package.stem);
            if name.starts_with('/') {
                self.files.push_str(&format!("{name} {who}\n"));
            } else if name.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c)) {
                self.explicit.entry(name.to_owned()).or_default().push_str(&format!("{who}\n"));
            }
        }
    }
}
