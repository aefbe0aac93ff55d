//! Packs trees as an image: an OCI archive, which with one file more `docker load` reads.
//!
//! Equal trees give equal bytes. The layers are streamed: the header of a blob, whose name is
//! its digest, is written when its content has been.

mod blobs;
mod delta;

use std::fs::File;
use std::io::{self, Write as _};

use chrono::{DateTime, SecondsFormat};
use serde_json::json;

use super::{Compression, Config, Descriptor, History, Index, Manifest, Platform, RootFs};
use crate::tree::Tree;
use blobs::Blobs;
use delta::delta;

/// Why an image cannot be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file cannot be read or the output not written.
    #[error("the image cannot be packed")]
    Io(#[from] io::Error),
    /// A name that means something else in a layer.
    #[error("{path} cannot lie in a layer: .wh. marks what a layer removes")]
    Name {
        /// The path.
        path: String,
    },
    /// A document cannot be written as JSON.
    #[error("a document of the image")]
    Json(#[from] serde_json::Error),
}

/// How an image is packed.
#[derive(Debug, Clone)]
pub struct Packing {
    /// What it runs on.
    pub platform: Platform,
    /// When it was made, in seconds since the epoch.
    pub epoch: i64,
    /// How each layer was made, bottom first.
    pub created_by: Vec<String>,
    /// How layers are compressed.
    pub compression: Compression,
    /// The tag in the archive's index.
    pub tag: String,
    /// The name and tag that `docker load` gives: the archive is for docker, too.
    pub docker_name: Option<String>,
}

/// Packs `full` into `file` and returns the manifest's descriptor: as one layer, or as `base`
/// and what makes `full` of it, when both are merged from one stack whose beginning `base` is.
///
/// # Errors
///
/// When a file cannot be read, written, or lie in a layer.
pub fn pack(
    base: Option<&Tree>,
    full: Tree,
    packing: &Packing,
    file: File,
) -> Result<Descriptor, PackError> {
    check_names(&full)?;
    let top = match base {
        Some(base) => {
            check_names(base)?;
            delta(base, full)
        }
        None => full,
    };
    let layers: Vec<_> = base.into_iter().chain([&top]).collect();
    write(&layers, packing, file)
}

fn write(layers: &[&Tree], packing: &Packing, file: File) -> Result<Descriptor, PackError> {
    let created = DateTime::from_timestamp(packing.epoch, 0).unwrap_or_default();
    let created = created.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut blobs = Blobs::new(file, packing.epoch);
    blobs.directories()?;
    let (mut descriptors, mut diff_ids) = (Vec::new(), Vec::new());
    for tree in layers {
        let (digest, size, diff_id) =
            blobs.stream(packing.compression, |writer| tree.write_tar(writer))?;
        descriptors.push(Descriptor::new(packing.compression.media_type(), digest, size));
        diff_ids.push(diff_id);
    }
    let history = packing.created_by.iter().map(|by| History {
        created: Some(created.clone()),
        created_by: Some(by.clone()),
        empty_layer: None,
    });
    let config = Config {
        created: Some(created.clone()),
        architecture: packing.platform.architecture.clone(),
        variant: packing.platform.variant.clone(),
        os: packing.platform.os.clone(),
        config: None,
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        history: Some(history.collect()),
    };
    let config = blobs.blob(super::media_type::CONFIG, &serde_json::to_vec(&config)?)?;
    let paths = |list: &[Descriptor]| -> Vec<String> {
        list.iter().map(|one| format!("blobs/sha256/{}", one.digest.hex())).collect()
    };
    let docker = packing.docker_name.as_ref().map(|name| {
        let config = paths(std::slice::from_ref(&config));
        json!([{ "Config": config[0], "RepoTags": [name], "Layers": paths(&descriptors) }])
    });
    let manifest = Manifest::new(config, descriptors);
    let mut top = blobs.blob(super::media_type::MANIFEST, &serde_json::to_vec(&manifest)?)?;
    let found = top.clone();
    top.platform = Some(packing.platform.clone());
    let mut notes = std::collections::BTreeMap::new();
    if let Some(name) = &packing.docker_name {
        notes.insert("io.containerd.image.name".to_owned(), name.clone());
    }
    notes.insert("org.opencontainers.image.created".to_owned(), created);
    notes.insert("org.opencontainers.image.ref.name".to_owned(), packing.tag.clone());
    top.annotations = Some(notes);
    if let Some(docker) = docker {
        blobs.file("manifest.json", &serde_json::to_vec(&docker)?)?;
    }
    blobs.file("oci-layout", super::layout::MARK)?;
    blobs.file("index.json", &serde_json::to_vec(&Index::new(vec![top]))?)?;
    blobs.end()?.flush()?;
    Ok(found)
}

fn check_names(tree: &Tree) -> Result<(), PackError> {
    for entry in &tree.entries {
        let name = entry.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if name.starts_with(b".wh.") {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            return Err(PackError::Name { path });
        }
    }
    Ok(())
}
