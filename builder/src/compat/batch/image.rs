//! From YAML to command lines.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Failure, Kind, Result};

/// What a key's value must be, and what it becomes.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// One of the words of a list, or any, after an option.
    Text(&'static str, &'static [&'static str]),
    /// A whole number from one on, after an option.
    Number(&'static str),
    /// An option without a value.
    Flag(&'static str),
    /// Words joined by commas after an option.
    List(&'static str, &'static [&'static str]),
    /// `-x` so many times.
    Trace,
    /// Variables of the process.
    Environment,
    /// `key=value,…` after an option.
    Pairs(&'static str),
    /// The words at the end.
    Elements,
    /// `ramdisk-image-create` instead.
    Ramdisk,
}

const ARCHES: &[&str] = &[
    "aarch64", "amd64", "arm64", "armhf", "powerpc", "ppc64", "ppc64el", "ppc64le", "s390x",
    "x86_64",
];
const TYPES: &[&str] = &[
    "qcow2", "tar", "tgz", "squashfs", "vhd", "docker", "aci", "raw", "vhdx", "vmdk", "vdi",
    "tar.zst",
];

/// Every key, in the order of the command line.
const KEYS: &[(&str, Form)] = &[
    ("imagename", Form::Text("-o", &[])),
    ("arch", Form::Text("-a", ARCHES)),
    ("types", Form::List("-t", TYPES)),
    ("environment", Form::Environment),
    ("ramdisk", Form::Ramdisk),
    ("debug-trace", Form::Trace),
    ("uncompressed", Form::Flag("-u")),
    ("clear", Form::Flag("-c")),
    ("logfile", Form::Text("--logfile", &[])),
    ("checksum", Form::Flag("--checksum")),
    ("image-size", Form::Number("--image-size")),
    ("image-extra-size", Form::Number("--image-extra-size")),
    ("image-cache", Form::Text("--image-cache", &[])),
    ("max-online-resize", Form::Number("--max-online-resize")),
    ("min-tmpfs", Form::Number("--min-tmpfs")),
    ("mkfs-journal-size", Form::Number("--mkfs-journal-size")),
    ("mkfs-options", Form::Text("--mkfs-options", &[])),
    ("no-tmpfs", Form::Flag("--no-tmpfs")),
    ("offline", Form::Flag("--offline")),
    ("qemu-img-options", Form::Pairs("--qemu-img-options")),
    ("root-label", Form::Text("--root-label", &[])),
    ("ramdisk-element", Form::Text("--ramdisk-element", &[])),
    ("install-type", Form::Text("--install-type", &["source", "package"])),
    ("docker-target", Form::Text("--docker-target", &[])),
    ("packages", Form::List("-p", &[])),
    ("skip-base", Form::Flag("-n")),
    ("elements", Form::Elements),
];

/// Images in the order they were first named.
#[derive(Debug, Default)]
pub(super) struct Images {
    images: Vec<(String, Map<String, Value>)>,
    /// What an entry without a name belongs to.
    last: Option<String>,
}

/// One command to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) name: String,
    pub(super) program: &'static str,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) arguments: Vec<String>,
}

impl Invocation {
    /// The command as a shell would take it.
    pub(super) fn text(&self) -> String {
        let quote = |word: &str| {
            shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
        };
        let mut words: Vec<_> = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={}", quote(value)))
            .collect();
        words.push(self.program.to_owned());
        words.extend(self.arguments.iter().map(|word| quote(word)));
        words.join(" ")
    }
}

fn wrong(file: &str, what: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Configuration, format!("{file}: {what}"))
        .hint("diskimage-builder --help says what a file holds")
}

impl Images {
    /// Reads one file and merges its entries with those before.
    ///
    /// # Errors
    ///
    /// When it is no YAML, or a key or a value is none that is known.
    pub(super) fn add(&mut self, file: &str, text: &str) -> Result<()> {
        let value: Value = serde_saphyr::from_str(text).map_err(|error| wrong(file, error))?;
        let list = value.as_array().ok_or_else(|| wrong(file, "not a list of images"))?;
        for (index, entry) in list.iter().enumerate() {
            let number = index + 1;
            let entry = entry
                .as_object()
                .ok_or_else(|| wrong(file, format!("entry {number} is no map")))?;
            for (key, value) in entry {
                let known = KEYS.iter().find(|(name, _)| name == key);
                let (_, form) = known.ok_or_else(|| {
                    wrong(file, format!("entry {number}: the key {key} is not known"))
                })?;
                form.check(value)
                    .map_err(|what| wrong(file, format!("entry {number}: {key} {what}")))?;
            }
            let name = entry.get("imagename").and_then(Value::as_str).map(str::to_owned);
            let name = name.or(self.last.take()).unwrap_or_else(|| "image".to_owned());
            self.last = Some(name.clone());
            let at =
                self.images.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
                    let own = Map::from_iter([("imagename".to_owned(), name.clone().into())]);
                    self.images.push((name, own));
                    self.images.len() - 1
                });
            merge(&mut self.images[at].1, entry);
        }
        Ok(())
    }

    /// The commands.
    pub(super) fn invocations(&self) -> Vec<Invocation> {
        self.images.iter().map(|(name, image)| invocation(name, image)).collect()
    }
}

/// Lists are joined, maps updated, the rest replaced.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new.iter().cloned()),
            (Some(Value::Object(old)), Value::Object(new)) => {
                old.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

impl Form {
    fn check(self, value: &Value) -> std::result::Result<(), String> {
        let word = |value: &Value, allowed: &[&str]| {
            value.as_str().is_some_and(|word| allowed.is_empty() || allowed.contains(&word))
        };
        let one_of = |allowed: &[&str]| match allowed {
            [] => "must be a text".to_owned(),
            list => format!("must be one of {}", list.join(", ")),
        };
        let (fine, must) = match self {
            Self::Text(_, allowed) => (word(value, allowed), one_of(allowed)),
            Self::Number(_) => {
                (value.as_u64().is_some_and(|n| n > 0), "must be a whole number from 1 on".into())
            }
            Self::Flag(_) | Self::Ramdisk => (value.is_boolean(), "must be true or false".into()),
            Self::Trace => (value.as_u64().is_some_and(|n| n <= 2), "must be 0, 1 or 2".to_owned()),
            Self::List(_, allowed) => (
                value.as_array().is_some_and(|list| list.iter().all(|item| word(item, allowed))),
                format!("must be a list; each item {}", one_of(allowed)),
            ),
            Self::Elements => (
                value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
                "must be a list of names".to_owned(),
            ),
            Self::Environment | Self::Pairs(_) => (
                value.as_object().is_some_and(|map| map.values().all(|v| scalar(v).is_some())),
                "must be a map of texts".to_owned(),
            ),
        };
        if fine { Ok(()) } else { Err(must) }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(scalar).collect()
}

fn invocation(name: &str, image: &Map<String, Value>) -> Invocation {
    let mut program = "disk-image-create";
    let mut environment = BTreeMap::new();
    let mut arguments = Vec::new();
    for (key, form) in KEYS {
        let Some(value) = image.get(*key) else { continue };
        match form {
            Form::Text(option, _) => {
                let text = scalar(value).unwrap_or_default();
                if !text.is_empty() {
                    arguments.extend([(*option).to_owned(), text]);
                }
            }
            Form::Number(option) => arguments.extend([(*option).to_owned(), value.to_string()]),
            Form::Flag(option) if value == &Value::Bool(true) => {
                arguments.push((*option).to_owned());
            }
            Form::Flag(_) => {}
            Form::List(option, _) => {
                arguments.extend([(*option).to_owned(), words(value).join(",")]);
            }
            Form::Trace => {
                for _ in 0..value.as_u64().unwrap_or_default() {
                    arguments.push("-x".to_owned());
                }
            }
            Form::Environment => {
                for (variable, value) in value.as_object().into_iter().flatten() {
                    environment.insert(variable.clone(), scalar(value).unwrap_or_default());
                }
            }
            Form::Pairs(option) => {
                let pairs = value.as_object().into_iter().flatten();
                let pairs: Vec<_> =
                    pairs.map(|(k, v)| format!("{k}={}", scalar(v).unwrap_or_default())).collect();
                arguments.extend([(*option).to_owned(), pairs.join(",")]);
            }
            Form::Elements => arguments.extend(words(value)),
            Form::Ramdisk if value == &Value::Bool(true) => program = "ramdisk-image-create",
            Form::Ramdisk => {}
        }
    }
    Invocation { name: name.to_owned(), program, environment, arguments }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(files: &[&str]) -> Result<Vec<String>> {
        let mut images = Images::default();
        for text in files {
            images.add("x.yaml", text)?;
        }
        Ok(images.invocations().iter().map(Invocation::text).collect())
    }

    #[test]
    fn entries_of_one_name_are_merged() {
        let one = "- imagename: a\n  types: [raw]\n  elements: [vm, debian]\n  environment: {X: '1', Y: 'a b'}\n- checksum: true\n  debug-trace: 2\n";
        let two = "- imagename: b\n  image-size: 4\n- imagename: a\n  types: [qcow2]\n  elements: [mine]\n  environment: {X: '2'}\n";
        let expected = [
            "X=2 Y='a b' disk-image-create -o a -t 'raw,qcow2' -x -x --checksum vm debian mine",
            "disk-image-create -o b --image-size 4",
        ];
        assert_eq!(texts(&[one, two]).unwrap(), expected);
        assert_eq!(texts(&["- elements: [x]\n"]).unwrap(), ["disk-image-create -o image x"]);
        let ramdisk = "- ramdisk: true\n  ramdisk-element: mine\n  elements: [x]\n";
        let expected = ["ramdisk-image-create -o image --ramdisk-element mine x"];
        assert_eq!(texts(&[ramdisk]).unwrap(), expected);
        assert_eq!(texts(&["- ramdisk: false\n"]).unwrap(), ["disk-image-create -o image"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("a: b\n", "not a list"),
            ("- 3\n", "entry 1 is no map"),
            ("- {}\n- size: 3\n", "entry 2: the key size is not known"),
            ("- arch: z80\n", "arch must be one of aarch64"),
            ("- types: [iso]\n", "each item must be one of qcow2"),
            ("- image-size: 0\n", "image-size must be a whole number"),
            ("- debug-trace: 3\n", "must be 0, 1 or 2"),
            ("- checksum: 1\n", "must be true or false"),
            ("- environment: [a]\n", "must be a map"),
            ("- ramdisk: 1\n", "ramdisk must be true or false"),
        ] {
            let failure = texts(&[text]).unwrap_err();
            assert!(failure.message.contains(part), "{text}: {failure}");
        }
    }
}
