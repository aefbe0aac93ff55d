//! Images for registries (`-t oci`) and for docker (`-t docker`): what they are called, and the
//! part of the namespace job that writes them.

use std::fs::File;
use std::path::PathBuf;

use goldsmith_images::oci::{Compression, Packing, Platform, Reference, pack};
use goldsmith_images::tree::{Kind as EntryKind, Normalise, Tree};
use serde::{Deserialize, Serialize};

use crate::base::jobs::chain;
use crate::error::{Failure, Kind, Result};
use crate::machine::dpkg_name;
use crate::request::{ImageType, Request};

/// What an image for a registry says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// dpkg's name of the architecture.
    pub arch: String,
    /// How its own layer was made.
    pub created_by: String,
    /// The name that `docker load` gives.
    pub docker_name: String,
    /// Layers of the archive for registries are compressed by Zstandard instead of gzip.
    pub zstd: bool,
}

impl Label {
    /// The label of what a request asks for; nothing when no output is such an image.
    ///
    /// # Errors
    ///
    /// When the name for docker is none.
    pub fn of(request: &Request) -> Result<Option<Self>> {
        let wanted = |kind| request.types.contains(&kind);
        let kinds = [ImageType::Oci, ImageType::OciDir, ImageType::Docker];
        if !kinds.into_iter().any(wanted) {
            return Ok(None);
        }
        let docker_name =
            if wanted(ImageType::Docker) { docker_name(request)? } else { String::new() };
        Ok(Some(Self::named(request, docker_name)))
    }

    /// The label of an image that `docker load` gives this name.
    pub(super) fn named(request: &Request, docker_name: String) -> Self {
        Self {
            arch: dpkg_name(&request.arch).to_owned(),
            created_by: format!("goldsmith build {}", request.elements.join(" ")),
            docker_name,
            zstd: request.layer_zstd,
        }
    }
}

/// `DOCKER_TARGET` (`--docker-target`), else the output's name, with a tag.
fn docker_name(request: &Request) -> Result<String> {
    let named = request.env.get("DOCKER_TARGET").filter(|name| !name.is_empty());
    let name = match named {
        Some(name) => name.clone(),
        None => {
            let stem = request.output.file_name().unwrap_or_default().to_string_lossy();
            let plain =
                |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '-' };
            let name: String = stem.to_ascii_lowercase().chars().map(plain).collect();
            name.trim_matches(['-', '.']).to_owned()
        }
    };
    let wrong = |reason: String| {
        Failure::new(Kind::Usage, reason).hint("--docker-target REPOSITORY:TAG names the image")
    };
    let read: Reference = name.parse().map_err(|error| wrong(format!("-t docker: {error}")))?;
    if read.digest.is_some() {
        return Err(wrong(format!(
            "-t docker: {name:?} has a digest, which only a registry gives"
        )));
    }
    let tagged = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    Ok(if tagged { name } else { format!("{name}:latest") })
}

/// Writes an image: the base as one layer, what was made of it as another.
///
/// Device nodes in `/dev` are left out, as everywhere among such images: whoever runs them makes
/// that. Those elsewhere are the image's own.
///
/// # Errors
///
/// With the message for the user.
pub fn write(
    layers: &[PathBuf],
    rules: &Normalise,
    label: &Label,
    kind: ImageType,
    file: File,
) -> std::result::Result<(), String> {
    let merge = |layers: &[PathBuf]| {
        let mut tree = Tree::merge(layers).map_err(|error| chain(&error))?;
        tree.normalise(rules);
        tree.entries.retain(|one| {
            let node = matches!(one.kind, EntryKind::Char { .. } | EntryKind::Block { .. });
            !(node && one.path.starts_with(b"dev/"))
        });
        Ok::<_, String>(tree)
    };
    let full = merge(layers)?;
    let base = if layers.len() > 1 { Some(merge(&layers[..1])?) } else { None };
    let docker = kind == ImageType::Docker;
    let mut created_by = vec![label.created_by.clone()];
    if base.is_some() {
        created_by.insert(0, "goldsmith base".to_owned());
    }
    let packing = Packing {
        platform: Platform::of_debian(&label.arch),
        epoch: rules.epoch,
        created_by,
        compression: match (docker, label.zstd) {
            // As `docker save` writes them.
            (true, _) => Compression::None,
            (false, true) => Compression::Zstd,
            (false, false) => Compression::Gzip,
        },
        tag: "latest".to_owned(),
        docker_name: docker.then(|| label.docker_name.clone()),
    };
    pack(base.as_ref(), full, &packing, file).map(|_| ()).map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_names_are_the_targets_or_the_outputs() {
        let mut request = Request::new(std::collections::BTreeMap::new(), "/".into()).unwrap();
        request.types = vec![ImageType::Docker];
        for (output, target, expected) in [
            ("out/My Image", "", "my-image:latest"),
            ("x", "repo/app:1", "repo/app:1"),
            ("x", "r.io:5000/app", "r.io:5000/app:latest"),
        ] {
            request.output = output.into();
            request.env.insert("DOCKER_TARGET".to_owned(), target.to_owned());
            let label = Label::of(&request).unwrap().unwrap();
            assert_eq!(label.docker_name, expected);
        }
        request.env.insert("DOCKER_TARGET".to_owned(), "Not A Name".to_owned());
        assert_eq!(Label::of(&request).unwrap_err().kind, Kind::Usage);
        request.types = vec![ImageType::Oci];
        assert!(Label::of(&request).is_ok_and(|label| label.is_some()));
        request.types = vec![ImageType::Tar];
        assert!(Label::of(&request).is_ok_and(|label| label.is_none()));
    }
}
