//! What an image runs on, and the choice among the images of an index.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Descriptor, Index, OciError};

/// Operating system and architecture, as Go names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// For instance `arm64`.
    pub architecture: String,
    /// For instance `linux`.
    pub os: String,
    /// For instance `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// dpkg's names beside Go's, where they differ.
const NAMES: [(&str, &str, Option<&str>); 7] = [
    ("i386", "386", None),
    ("armhf", "arm", Some("v7")),
    ("armel", "arm", Some("v5")),
    ("arm64", "arm64", Some("v8")),
    ("ppc64el", "ppc64le", None),
    ("mipsel", "mipsle", None),
    ("mips64el", "mips64le", None),
];

impl Platform {
    /// Linux on the architecture that dpkg names so; `arm64` and `amd64` without a variant.
    pub fn of_debian(arch: &str) -> Self {
        let known = NAMES.iter().find(|(debian, ..)| *debian == arch);
        let (architecture, variant) = match known {
            Some((_, "arm64", _)) | None => (arch, None),
            Some((_, name, variant)) => (*name, *variant),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well an image for `self` runs where `wanted` is asked for; the more the better.
    fn rank(&self, wanted: &Self) -> Option<u32> {
        if self.os != wanted.os || self.architecture != wanted.architecture {
            return None;
        }
        // No variant means the only one there is, or the usual one.
        let usual = |platform: &Self| match (&platform.variant, platform.architecture.as_str()) {
            (Some(variant), _) => variant.clone(),
            (None, "arm64") => "v8".to_owned(),
            (None, "arm") => "v7".to_owned(),
            (None, "amd64") => "v1".to_owned(),
            (None, _) => String::new(),
        };
        let (mine, asked) = (usual(self), usual(wanted));
        let number = |text: &str| text.trim_start_matches('v').parse::<u32>().ok();
        match (number(&mine), number(&asked)) {
            _ if mine == asked => Some(u32::MAX),
            // Newer processors run what was made for older ones.
            (Some(mine), Some(asked)) if mine < asked => Some(mine),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl Index {
    /// The image for a platform: the best variant, and the first of equal ones.
    ///
    /// # Errors
    ///
    /// [`OciError::NoPlatform`] with those that there are.
    pub fn choose(&self, wanted: &Platform) -> Result<&Descriptor, OciError> {
        let mut best: Option<(u32, &Descriptor)> = None;
        for image in self.manifests.iter().filter(|image| image.is_document()) {
            let Some(rank) = image.platform.as_ref().and_then(|one| one.rank(wanted)) else {
                continue;
            };
            if best.is_none_or(|(other, _)| rank > other) {
                best = Some((rank, image));
            }
        }
        if let Some((_, image)) = best {
            return Ok(image);
        }
        let there = self.manifests.iter();
        let there = there.filter_map(|image| Some(image.platform.as_ref()?.to_string()));
        // Attestations are no platform.
        let there = there.filter(|platform| !platform.contains("unknown")).take(20).collect();
        Err(OciError::NoPlatform { wanted: wanted.to_string(), there })
    }
}
