//! Manifests and indexes (OCI image specification, manifest.md and image-index.md).

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::{Compression, Config, OciError, Platform};
use crate::digest::Digest;

/// The longest document that is read; registries refuse longer ones, too.
pub const MANIFEST_LIMIT: u64 = 4 << 20;

/// Media types that are understood.
pub mod media_type {
    /// An index of the OCI.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A manifest of the OCI.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// A configuration of the OCI.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Docker's index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's manifest, version 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// A configuration of an artifact that has none.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
}

/// Names content by digest and size.
///
/// `urls` of the specification are not even read: content comes from where the image does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// Describes bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Describes content that is known by its digest and size.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            artifact_type: None,
            platform: None,
            annotations: None,
        }
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Whether it names an index or a manifest.
    pub fn is_document(&self) -> bool {
        use media_type as m;
        [m::INDEX, m::MANIFEST, m::DOCKER_INDEX, m::DOCKER_MANIFEST]
            .contains(&self.media_type.as_str())
    }
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub(crate) schema_version: u32,
    /// What it is; older documents of the OCI leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// A manifest of the OCI.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: None,
        }
    }

    /// Pairs the layers with the digests of what they unpack to, as `config` has them.
    ///
    /// # Errors
    ///
    /// [`OciError::Inconsistent`] when the numbers differ or there is no layer at all, and
    /// [`OciError::MediaType`] for layers that are none: artifacts, and layers that only their
    /// vendor may hand out.
    pub fn layers(&self, config: &Config) -> Result<Vec<(Descriptor, Digest)>, OciError> {
        let inconsistent = |problem: String| Err(OciError::Inconsistent { problem });
        if ![media_type::CONFIG, media_type::DOCKER_CONFIG]
            .contains(&self.config.media_type.as_str())
        {
            let found = self.config.media_type.clone();
            return Err(OciError::MediaType { what: "the configuration of an image", found });
        }
        if self.layers.is_empty() {
            return inconsistent("has no layers".to_owned());
        }
        let digests = &config.rootfs.diff_ids;
        if digests.len() != self.layers.len() {
            let (layers, ids) = (self.layers.len(), digests.len());
            return inconsistent(format!("has {layers} layers, its configuration {ids}"));
        }
        for layer in &self.layers {
            Compression::of(&layer.media_type)?;
        }
        Ok(self.layers.iter().cloned().zip(digests.iter().copied()).collect())
    }
}

/// An index of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u32,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The images.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Index {
    /// An index of the OCI.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: None,
        }
    }

    /// Reads an index, whatever type it was said to be.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, OciError> {
        match Document::read(bytes, media_type::INDEX)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(OciError::Ambiguous),
        }
    }
}

/// What a digest or a tag can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Several images.
    Index(Index),
    /// One image.
    Manifest(Manifest),
}

/// What is looked at first: which of both a document is (CVE-2021-41190).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

impl Document {
    /// The media type of a document that nobody said it of: its own, else the one of the OCI
    /// that fits its members. Nothing when it is none.
    pub fn type_of(bytes: &[u8]) -> Option<String> {
        let probe: Probe = serde_json::from_slice(bytes).ok()?;
        let usual = match probe.manifests {
            Some(_) => media_type::INDEX,
            None => media_type::MANIFEST,
        };
        Some(probe.media_type.unwrap_or_else(|| usual.to_owned()))
    }

    /// Reads a document that was said to be of this media type.
    ///
    /// # Errors
    ///
    /// When it is malformed, says that it is something else, or could be read in two ways.
    pub fn read(bytes: &[u8], media_type: &str) -> Result<Self, OciError> {
        use self::media_type as m;
        let what = match media_type {
            m::INDEX | m::DOCKER_INDEX => "an index",
            m::MANIFEST | m::DOCKER_MANIFEST => "a manifest",
            other => {
                return Err(OciError::MediaType { what: "a manifest", found: other.to_owned() });
            }
        };
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(OciError::TooLarge { what, limit: MANIFEST_LIMIT });
        }
        let malformed = |source| OciError::Malformed { what, source };
        let probe: Probe = serde_json::from_slice(bytes).map_err(malformed)?;
        if let Some(found) = probe.media_type.filter(|found| found != media_type) {
            return Err(OciError::OtherType { expected: media_type.to_owned(), found });
        }
        let image = probe.config.is_some() || probe.layers.is_some() || probe.fs_layers.is_some();
        if probe.manifests.is_some() && image {
            return Err(OciError::Ambiguous);
        }
        if probe.schema_version != 2 {
            let found = format!("schema version {}", probe.schema_version);
            return Err(OciError::MediaType { what, found });
        }
        if what == "an index" {
            serde_json::from_slice(bytes).map(Self::Index).map_err(malformed)
        } else {
            serde_json::from_slice(bytes).map(Self::Manifest).map_err(malformed)
        }
    }
}
