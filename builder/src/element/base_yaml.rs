//! `base.yaml`: how an element asks for a base that goldsmith makes itself
//! (docs/base-yaml.md).

use std::collections::BTreeMap;
use std::path::Path;

use goldsmith_images::import::debian::Variant;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};

/// A base that an element asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A bootstrap from a Debian archive.
    Debian(Box<Debian>),
    /// An image of a registry.
    Oci(Box<Oci>),
    /// An image that somebody publishes.
    Image(Box<Image>),
}

impl Base {
    /// Hooks of the element that the native base replaces, as `root.d/NAME`.
    pub fn replaces(&self) -> &[String] {
        match self {
            Self::Debian(debian) => &debian.replaces,
            Self::Oci(oci) => &oci.replaces,
            Self::Image(image) => &image.replaces,
        }
    }
}

/// Which image of which registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oci {
    /// Its name: `HOST/REPOSITORY:TAG`, or with a digest.
    pub image: String,
    /// Whether this base is meant.
    #[serde(default)]
    pub when: Option<String>,
    /// Hooks of the element that the native base replaces, as `root.d/NAME`.
    #[serde(default)]
    pub replaces: Vec<String>,
}

/// A parsed `base.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    /// Whether any of it counts.
    when: Option<String>,
    debian: Option<Debian>,
    oci: Option<Oci>,
    cloud_image: Option<Image>,
    rootfs: Option<Image>,
}

/// An image of a disk (`cloud-image`) or an archive of a tree (`rootfs`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Its address, or the path of a file of the user's.
    pub url: String,
    /// Its form; by its name when absent.
    #[serde(default)]
    pub format: Option<String>,
    /// Its checksum.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Its checksum by the longer method.
    #[serde(default)]
    pub sha512: Option<String>,
    /// The address of a file of checksums.
    #[serde(default)]
    pub sums: Option<String>,
    /// The address of their signature, or `inside`.
    #[serde(default)]
    pub signature: Option<String>,
    /// The keys that are believed, a file in the element's directory.
    #[serde(default)]
    pub keyring: Option<String>,
    /// Whether this base is meant.
    #[serde(default)]
    pub when: Option<String>,
    /// Hooks of the element that it replaces, as `root.d/NAME`.
    #[serde(default)]
    pub replaces: Vec<String>,
}

impl Image {
    /// An empty text says nothing: it is what a variable without a value leaves.
    fn settled(mut self) -> Self {
        for field in [
            &mut self.format,
            &mut self.sha256,
            &mut self.sha512,
            &mut self.sums,
            &mut self.signature,
            &mut self.keyring,
        ] {
            if field.as_deref() == Some("") {
                *field = None;
            }
        }
        self
    }
}

/// What to bootstrap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    /// The suite.
    pub suite: String,
    /// Components, separated by commas or blanks.
    #[serde(default)]
    pub components: Option<String>,
    /// What to begin with.
    #[serde(default = "minbase")]
    pub variant: Variant,
    /// Packages beside that.
    #[serde(default)]
    pub include: Vec<String>,
    /// Packages that must not come in.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// The archive; empty for goldsmith's own choice.
    #[serde(default)]
    pub mirror: Option<String>,
    /// The archive of security updates; empty for goldsmith's own choice.
    #[serde(default)]
    pub security: Option<String>,
    /// Where neither is named: the archive by dpkg's name of the architecture, `other` for
    /// those that are not listed. It has the security updates as well.
    #[serde(default)]
    pub mirrors: BTreeMap<String, String>,
    /// Suites beside the main one: `updates`, `security`.
    #[serde(default)]
    pub suites: Vec<String>,
    /// Whether this base is meant.
    #[serde(default)]
    pub when: Option<String>,
    /// Hooks of the element that the native base replaces, as `root.d/NAME`.
    #[serde(default)]
    pub replaces: Vec<String>,
}

fn minbase() -> Variant {
    Variant::Minbase
}

/// Reads a `base.yaml`, its `${NAME:-default}` expanded from `env`; none when no base of the
/// file is meant.
///
/// # Errors
///
/// When the file cannot be read or says what is not understood; the error names file, line
/// and key.
pub fn read(path: &Path, env: &BTreeMap<String, String>) -> Result<Option<Base>> {
    let text = fs_err::read_to_string(path)
        .map_err(|error| Failure::wrap(Kind::Configuration, "base.yaml", &error))?;
    let text: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| expand(line, env) + "\n")
        .collect();
    let wrong = |message: String| {
        Failure::new(Kind::Configuration, format!("{}: {message}", path.display()))
            .hint("docs/base-yaml.md lists what base.yaml may say")
    };
    let file: File = serde_saphyr::from_str(&text).map_err(|error| {
        let error = error.to_string();
        let error = error.lines().next().unwrap_or_default();
        wrong(error.trim_start_matches("error: ").to_owned())
    })?;
    let File { when, debian, oci, cloud_image, rootfs } = file;
    if debian.is_none() && oci.is_none() && cloud_image.is_none() && rootfs.is_none() {
        return Err(wrong("it names no base: debian, oci, cloud-image or rootfs".to_owned()));
    }
    if !holds(when.as_deref()) {
        return Ok(None);
    }
    let debian = debian.filter(|debian| holds(debian.when.as_deref()));
    let oci = oci.filter(|oci| holds(oci.when.as_deref()));
    let images = [cloud_image, rootfs].into_iter().flatten();
    let images = images.filter(|image| holds(image.when.as_deref()));
    let mut bases: Vec<_> =
        debian.map(|debian| Base::Debian(Box::new(debian))).into_iter().collect();
    bases.extend(oci.map(|oci| Base::Oci(Box::new(oci))));
    bases.extend(images.map(|image| Base::Image(Box::new(image.settled()))));
    if bases.len() > 1 {
        return Err(wrong("it names more than one base; `when` tells which is meant".to_owned()));
    }
    Ok(bases.pop())
}

/// Whether a condition holds: `A == B`, `A != B`, or a text that is neither empty nor a word
/// for no.
fn holds(when: Option<&str>) -> bool {
    let Some(when) = when else { return true };
    if let Some((left, right)) = when.split_once("!=") {
        return left.trim() != right.trim();
    }
    if let Some((left, right)) = when.split_once("==") {
        return left.trim() == right.trim();
    }
    !matches!(when.trim(), "" | "0" | "no" | "false")
}

/// Expands `${NAME}`, `${NAME:-default}` and `$NAME`; defaults may nest.
pub fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let Some(end) = closing(inner) else {
            out.push_str(&rest[at..]);
            return out;
        };
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, default),
            None => (&inner[..end], ""),
        };
        match env.get(name).filter(|value| !value.is_empty()) {
            Some(value) => out.push_str(value),
            None => out.push_str(&expand(default, env)),
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    out
}

/// Where the brace closes that is open before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_nested_defaults_expand() {
        let env = BTreeMap::from([("A".to_owned(), "a".to_owned())]);
        for (text, expanded) in [
            ("x${A}y", "xay"),
            ("${B:-b}", "b"),
            ("${B:-${A:-c}}-${C:-${D:-d}}", "a-d"),
            ("${B}", ""),
            ("${open", "${open"),
        ] {
            assert_eq!(expand(text, &env), expanded);
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("base.yaml");
        fs_err::write(&path, "debian:\n  suite: x\n  sweet: y\n").unwrap();
        let error = read(&path, &BTreeMap::new()).unwrap_err();
        assert!(error.message.contains("sweet") && error.message.contains("base.yaml"), "{error}");
        fs_err::write(&path, "debian:\n  suite: ${R:-trixie}\n  include: [a, b]\n").unwrap();
        let Some(Base::Debian(debian)) = read(&path, &BTreeMap::new()).unwrap() else {
            panic!("no archive");
        };
        assert_eq!((debian.suite.as_str(), debian.include.len()), ("trixie", 2));
    }

    #[test]
    fn a_base_can_be_asked_for_by_a_variable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("base.yaml");
        let text =
            "when: \"${WANTED:-0}\"\noci:\n  image: r.io/${NAME:-x}:1\n  replaces: [root.d/1]\n";
        fs_err::write(&path, text).unwrap();
        assert_eq!(read(&path, &BTreeMap::new()).unwrap(), None);
        let env = [("WANTED", "1"), ("NAME", "debian")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let Some(base) = read(&path, &env).unwrap() else { panic!("no base") };
        assert_eq!(base.replaces(), ["root.d/1"]);
        let Base::Oci(oci) = base else { panic!("{base:?}") };
        assert_eq!(oci.image, "r.io/debian:1");
    }

    #[test]
    fn images_are_chosen_by_their_conditions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("base.yaml");
        let text = "cloud-image:\n  url: ${PLACE:-http://m}/${NAME:-x.qcow2}\n  sha256: ${SUM:-}\n  when: ${ARCH} != i386\n  replaces: [root.d/1]\n\
                    rootfs:\n  url: root.tar\n  when: ${ARCH} == i386\n";
        fs_err::write(&path, text).unwrap();
        let by = |arch: &str| BTreeMap::from([("ARCH".to_owned(), arch.to_owned())]);
        let Some(Base::Image(image)) = read(&path, &by("amd64")).unwrap() else { panic!("none") };
        assert_eq!((image.url.as_str(), image.sha256), ("http://m/x.qcow2", None));
        let Some(Base::Image(image)) = read(&path, &by("i386")).unwrap() else { panic!("none") };
        assert_eq!(image.url, "root.tar");
        for (text, words) in [
            ("cloud-image: {url: a}\nrootfs: {url: b}\n", "more than one base"),
            ("debian:\n  suite: x\noci:\n  image: r.io/x\n", "more than one base"),
            ("when: 1\n", "names no base"),
            ("cloud-image: {uri: a}\n", "uri"),
            ("{}\n", "names no base"),
        ] {
            fs_err::write(&path, text).unwrap();
            let error = read(&path, &BTreeMap::new()).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        }
        fs_err::write(&path, "cloud-image: {url: a, when: \"${NO:-}\"}\n").unwrap();
        assert_eq!(read(&path, &BTreeMap::new()).unwrap(), None);
    }
}
