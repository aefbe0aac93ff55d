//! `base.yaml`: how an element asks for a base that goldsmith makes itself
//! (docs/base-yaml.md).

use std::collections::BTreeMap;
use std::path::Path;

use goldsmith_images::import::debian::Variant;
use serde::Deserialize;

use crate::error::{Failure, Kind, Result};

/// A parsed `base.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Whether it counts; empty, `0`, `false` and `no` mean that it does not.
    #[serde(default)]
    pub when: Option<String>,
    /// A bootstrap from a Debian archive.
    #[serde(default)]
    pub debian: Option<Debian>,
    /// An image of a registry.
    #[serde(default)]
    pub oci: Option<Oci>,
}

impl Base {
    /// Hooks of the element that the native base replaces, as `root.d/NAME`.
    pub fn replaces(&self) -> &[String] {
        match (&self.debian, &self.oci) {
            (Some(debian), _) => &debian.replaces,
            (None, Some(oci)) => &oci.replaces,
            (None, None) => &[],
        }
    }

    /// Whether the element asks for a base at all.
    pub fn applies(&self) -> bool {
        let no = |text: &String| ["", "0", "false", "no"].contains(&text.trim());
        !self.when.as_ref().is_some_and(no)
    }
}

/// Which image of which registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oci {
    /// Its name: `HOST/REPOSITORY:TAG`, or with a digest.
    pub image: String,
    /// Hooks of the element that the native base replaces, as `root.d/NAME`.
    #[serde(default)]
    pub replaces: Vec<String>,
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
    /// Suites beside the main one: `updates`, `security`.
    #[serde(default)]
    pub suites: Vec<String>,
    /// Hooks of the element that the native base replaces, as `root.d/NAME`.
    #[serde(default)]
    pub replaces: Vec<String>,
}

fn minbase() -> Variant {
    Variant::Minbase
}

/// Reads a `base.yaml`, its `${NAME:-default}` expanded from `env`.
///
/// # Errors
///
/// When the file cannot be read or says what is not understood; the error names file, line
/// and key.
pub fn read(path: &Path, env: &BTreeMap<String, String>) -> Result<Base> {
    let text = fs_err::read_to_string(path)
        .map_err(|error| Failure::wrap(Kind::Configuration, "base.yaml", &error))?;
    let text: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| expand(line, env) + "\n")
        .collect();
    let base: Base = serde_saphyr::from_str(&text).map_err(|error| {
        let error = error.to_string();
        let error = error.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Failure::new(Kind::Configuration, format!("{}: {error}", path.display()))
            .hint("docs/base-yaml.md lists what base.yaml may say")
    })?;
    if base.debian.is_some() == base.oci.is_some() {
        let message = format!("{}: it must say either debian or oci", path.display());
        return Err(Failure::new(Kind::Configuration, message)
            .hint("docs/base-yaml.md lists what base.yaml may say"));
    }
    Ok(base)
}

/// Expands `${NAME}`, `${NAME:-default}` and `$NAME`; defaults may nest.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
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
        let debian = read(&path, &BTreeMap::new()).unwrap().debian.unwrap();
        assert_eq!((debian.suite.as_str(), debian.include.len()), ("trixie", 2));
        for text in ["when: 1\n", "debian:\n  suite: x\noci:\n  image: r.io/x\n"] {
            fs_err::write(&path, text).unwrap();
            assert!(read(&path, &BTreeMap::new()).unwrap_err().message.contains("either"));
        }
    }

    #[test]
    fn a_base_can_be_asked_for_by_a_variable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("base.yaml");
        let text =
            "when: \"${WANTED:-0}\"\noci:\n  image: r.io/${NAME:-x}:1\n  replaces: [root.d/1]\n";
        fs_err::write(&path, text).unwrap();
        let base = read(&path, &BTreeMap::new()).unwrap();
        assert!(!base.applies());
        let env = [("WANTED", "1"), ("NAME", "debian")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let base = read(&path, &env).unwrap();
        assert!(base.applies());
        assert_eq!(base.replaces(), ["root.d/1"]);
        assert_eq!(base.oci.unwrap().image, "r.io/debian:1");
    }
}
