//! In which form a published image is, as its element says or its name ends. The bytes are
//! never asked: whoever made them could have them say anything.

use goldsmith_images::read::container::Compression;
use serde::{Deserialize, Serialize};

/// What a file holds, once it is decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The bytes of a disk.
    Raw,
    /// A disk in QEMU's format.
    Qcow2,
    /// One file system that is made to be small.
    Squashfs,
    /// An archive.
    Tar,
}

/// A form, for instance `tar.xz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Form {
    /// What the file holds.
    pub shape: Shape,
    /// How it is compressed as a whole.
    pub compression: Option<Compression>,
}

/// Words for shapes.
const SHAPES: [(&str, Shape); 4] = [
    ("raw", Shape::Raw),
    ("qcow2", Shape::Qcow2),
    ("squashfs", Shape::Squashfs),
    ("tar", Shape::Tar),
];
/// Words for methods; the first for each is the one that is shown.
const METHODS: [(&str, Compression); 3] =
    [("gz", Compression::Gzip), ("xz", Compression::Xz), ("zst", Compression::Zstd)];
/// Endings that stand for two words.
const SHORT: [(&str, &str); 3] = [("tgz", "tar.gz"), ("txz", "tar.xz"), ("tzst", "tar.zst")];

/// All forms, for messages.
pub(super) const FORMS: &str = "qcow2, raw, squashfs, tar; tar.gz, raw.xz and the like";

impl Form {
    /// The form of that name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = SHORT.iter().find(|(short, _)| *short == text).map_or(text, |(_, long)| long);
        let (shape, method) = match text.split_once('.') {
            Some((shape, method)) => (shape, Some(method)),
            None => (text, None),
        };
        let shape = SHAPES.iter().find(|(name, _)| *name == shape)?.1;
        let compression = match method {
            Some(method) => Some(METHODS.iter().find(|(name, _)| *name == method)?.1),
            None => None,
        };
        // Compressed twice, they would only be larger.
        let twice = compression.is_some() && matches!(shape, Shape::Qcow2 | Shape::Squashfs);
        (!twice).then_some(Self { shape, compression })
    }

    /// The form that a file's name ends with.
    pub fn of_name(name: &str) -> Option<Self> {
        let mut endings = name.rsplitn(3, '.');
        let last = endings.next()?;
        let before = endings.next()?;
        Self::parse(&format!("{before}.{last}")).or_else(|| Self::parse(last))
    }
}

impl TryFrom<String> for Form {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no form of images: {FORMS}"))
    }
}

impl From<Form> for String {
    fn from(form: Form) -> Self {
        let shape = SHAPES.iter().find(|(_, shape)| *shape == form.shape);
        let method = METHODS.iter().find(|(_, method)| Some(*method) == form.compression);
        let shape = shape.map_or("", |(name, _)| *name);
        method.map_or_else(|| shape.to_owned(), |(name, _)| format!("{shape}.{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_mean_forms() {
        for (name, form) in [
            ("noble-server-cloudimg-amd64.squashfs", Some("squashfs")),
            ("Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2", Some("qcow2")),
            ("disk.raw", Some("raw")),
            ("disk.raw.xz", Some("raw.xz")),
            ("root.tar.zst", Some("tar.zst")),
            ("root.v1.tar", Some("tar")),
            ("root.tgz", Some("tar.gz")),
            ("noble-server-cloudimg-amd64.img", None),
            ("x.vmdk", None),
            ("x.qcow2.gz", None),
            ("raw", None),
            ("", None),
        ] {
            assert_eq!(Form::of_name(name).map(String::from).as_deref(), form, "{name}");
        }
        assert_eq!(Form::parse("raw").map(String::from).as_deref(), Some("raw"));
        assert_eq!(Form::parse("tar.bz2"), None);
        assert_eq!(Form::parse("qcow2.gz"), None);
    }
}
