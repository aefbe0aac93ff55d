//! What an xfs may have beside what every reader of version 5 knows.

use serde::{Deserialize, Serialize};

/// A feature by the name that mkfs.xfs(8) gives it, off unless it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XfsFeature {
    /// Files may share blocks: Linux 4.9.
    Reflink,
    /// Times from 1901 to 2486, where those without end in 2038: Linux 5.10, GRUB 2.06.
    Bigtime,
    /// Groups count the blocks of their lists of inodes: Linux 5.10.
    Inobtcount,
    /// Inodes may be made fewer than 64 at a time: Linux 4.2, GRUB 2.04.
    Sparse,
    /// More than 2^31 extents of a file: Linux 5.19, GRUB 2.12.
    Nrext64,
}

impl XfsFeature {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Reflink, Self::Bigtime, Self::Inobtcount, Self::Sparse, Self::Nrext64];

    /// Its name in options of mkfs.xfs(8).
    pub fn name(self) -> &'static str {
        match self {
            Self::Reflink => "reflink",
            Self::Bigtime => "bigtime",
            Self::Inobtcount => "inobtcount",
            Self::Sparse => "sparse",
            Self::Nrext64 => "nrext64",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Reflink => 1,
            Self::Bigtime => 2,
            Self::Inobtcount => 4,
            Self::Sparse => 8,
            Self::Nrext64 => 16,
        }
    }
}

/// How to make an xfs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct XfsOptions {
    /// What is on.
    #[serde(skip_serializing_if = "XfsFeatures::is_empty")]
    pub features: XfsFeatures,
    /// Number of allocation groups (`-d agcount=`), or the size's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<u32>,
    /// The part of the file system that inodes may take, in percent (`-i maxpct=`), 0 for all of
    /// it; without it 25, or all where the tree's own take more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode_percent: Option<u8>,
}

/// A set of features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<XfsFeature>", into = "Vec<XfsFeature>")]
pub struct XfsFeatures(u8);

impl XfsFeatures {
    /// Whether a feature is on.
    pub fn has(self, feature: XfsFeature) -> bool {
        self.0 & feature.bit() != 0
    }

    /// These, with `feature` on or off.
    #[must_use]
    pub fn with(self, feature: XfsFeature, on: bool) -> Self {
        Self(if on { self.0 | feature.bit() } else { self.0 & !feature.bit() })
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl From<Vec<XfsFeature>> for XfsFeatures {
    fn from(list: Vec<XfsFeature>) -> Self {
        list.into_iter().fold(Self::default(), |all, one| all.with(one, true))
    }
}

impl From<XfsFeatures> for Vec<XfsFeature> {
    fn from(features: XfsFeatures) -> Self {
        XfsFeature::ALL.into_iter().filter(|one| features.has(*one)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_usual_is_not_told() {
        assert_eq!(serde_json::to_string(&XfsOptions::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<XfsOptions>("{}").unwrap(), XfsOptions::default());
        let features = XfsFeatures::default()
            .with(XfsFeature::Bigtime, true)
            .with(XfsFeature::Reflink, true)
            .with(XfsFeature::Sparse, false);
        let own = XfsOptions { features, groups: Some(8), inode_percent: Some(50) };
        let text = r#"{"features":["reflink","bigtime"],"groups":8,"inode_percent":50}"#;
        assert_eq!(serde_json::to_string(&own).unwrap(), text);
        assert_eq!(serde_json::from_str::<XfsOptions>(text).unwrap(), own);
    }
}
