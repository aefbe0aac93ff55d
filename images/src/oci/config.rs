//! Image configurations (OCI image specification, config.md).

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MANIFEST_LIMIT, OciError};
use crate::digest::Digest;

/// What an image is made of and how it wants to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// When it was made, as RFC 3339 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// As Go names it.
    pub architecture: String,
    /// Which of several, for instance `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The operating system.
    pub os: String,
    /// How it wants to be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Run>,
    /// The digests of the unpacked layers.
    pub rootfs: RootFs,
    /// Where the layers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<History>>,
}

/// The layers as a configuration has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the unpacked layers, bottom first.
    pub diff_ids: Vec<Digest>,
}

/// How an image wants to be run; nothing of it is believed without a look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Run {
    /// User, or user and group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// What runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments, or what runs when there is no entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

impl Run {
    /// The working directory: absolute, and nowhere but inside the image.
    pub fn directory(&self) -> PathBuf {
        let mut directory = PathBuf::from("/");
        for part in Path::new(self.working_dir.as_deref().unwrap_or_default()).components() {
            match part {
                Component::Normal(name) => directory.push(name),
                Component::ParentDir => {
                    directory.pop();
                }
                _ => {}
            }
        }
        directory
    }

    /// Variables with a sensible name and without NUL.
    pub fn variables(&self) -> Vec<(String, String)> {
        let listed = self.env.as_deref().unwrap_or_default();
        let split = |entry: &String| {
            let (name, value) = entry.split_once('=')?;
            (!name.is_empty() && !entry.contains('\0')).then(|| (name.to_owned(), value.to_owned()))
        };
        listed.iter().filter_map(split).collect()
    }
}

/// Where a layer comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, as RFC 3339 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Whether the command made no layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_layer: Option<bool>,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// When it is malformed, or no configuration of a root file system.
    pub fn read(bytes: &[u8]) -> Result<Self, OciError> {
        let what = "a configuration";
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(OciError::TooLarge { what, limit: MANIFEST_LIMIT });
        }
        let config: Self =
            serde_json::from_slice(bytes).map_err(|source| OciError::Malformed { what, source })?;
        if config.rootfs.kind != "layers" {
            let problem = format!("has a root file system of kind {:?}", config.rootfs.kind);
            return Err(OciError::Inconsistent { problem });
        }
        Ok(config)
    }
}
