//! A finished tree as the base: `goldsmith materialise` lays out what an earlier build made.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use goldsmith_images::oci::{
    Archive, ArchiveError, Config, Descriptor, Document, Index, LayerBlob, LayoutDirectory,
    Manifest, Platform,
};
use goldsmith_images::registry::Source;
use goldsmith_images::store::SnapshotId;

use super::{BasePlan, Bootstrap, Origin, directory};
use crate::element::base_yaml::{Image, Oci};
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::{Done, Recipe};
use crate::phase::key::KeyBuilder;
use crate::phase::session::store_failure;
use crate::phase::state::State;

/// The step's name.
const NAME: &str = "rootfs";

/// A tree that needs no more than to be unpacked.
#[derive(Debug, Clone)]
pub(super) enum FinishedTree {
    /// The layers of an OCI archive or layout.
    Image {
        /// Its path.
        path: PathBuf,
        /// Its layers, bottom first.
        layers: Vec<LayerBlob>,
    },
    /// A directory, as it was listed.
    Directory {
        /// Its path.
        path: PathBuf,
        /// What tells whether it is still the same.
        fingerprint: String,
    },
    /// In the store, bottom first.
    Stored(Vec<SnapshotId>),
}

impl Bootstrap<'_> {
    /// Plans the tree that `reference` names: a file (an OCI archive, an archive of a tree, a
    /// disk), a directory that is an image layout or a root file system, else an image that the store knows by that name,
    /// else one of a registry. What does not say when it was made is of the time `epoch`.
    ///
    /// # Errors
    ///
    /// When there is no such thing, or it is damaged.
    pub fn plan_rootfs(&self, reference: &str, arch: &str, epoch: i64) -> Result<BasePlan> {
        let path = self.directory.join(reference);
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".oci") || name.ends_with(".docker.tar") {
                return self.plan_oci_image(&path, arch, epoch);
            }
            let image = Image { url: path.display().to_string(), ..Image::default() };
            return self.plan_image(&image, &path, arch);
        }
        if path.is_dir() && path.join("oci-layout").is_file() {
            return self.plan_oci_image(&path, arch, epoch);
        }
        if path.join("etc").is_dir() {
            return self.plan_directory(path, arch);
        }
        let refs = self.session.store.refs().map_err(|error| store_failure(&error))?;
        if let Some(found) = refs.into_iter().find(|found| found.name == reference) {
            return Ok(stored(reference, found.snapshots, epoch));
        }
        if !reference.contains('/') || path.is_dir() {
            let what = match path.is_dir() {
                true => "no image layout, holds no root file system (with /etc),",
                false => "no file",
            };
            let message = format!("{reference} is {what} and no image that the cache knows");
            return Err(Failure::new(Kind::Usage, message)
                .hint("`goldsmith store ls` lists what the cache knows; an image of a registry is HOST/REPOSITORY:TAG"));
        }
        let oci = Oci { image: reference.to_owned(), when: None, replaces: Vec::new() };
        self.plan_oci(NAME, &oci, arch, epoch)
    }

    fn plan_oci_image(&self, path: &Path, arch: &str, epoch: i64) -> Result<BasePlan> {
        let failed = |error: &dyn std::error::Error| {
            Failure::wrap(Kind::Verification, path.display(), error)
        };
        let (image, index) = open(path)?;
        let read = |descriptor: &Descriptor| {
            image.document(descriptor).map_err(|error| failed(error.as_ref()))
        };
        let chosen = index.choose(&Platform::of_debian(arch));
        let top = chosen.map_err(|error| failed(&error))?;
        let bytes = read(top)?;
        let document = Document::read(&bytes, &top.media_type).map_err(|error| failed(&error))?;
        let Document::Manifest(manifest) = document else {
            let message = format!("{} holds an index of images in its index", path.display());
            return Err(Failure::new(Kind::Verification, message));
        };
        let manifest: Manifest = manifest;
        let config = read(&manifest.config)?;
        let config = Config::read(&config).map_err(|error| failed(&error))?;
        let layers = manifest.layers(&config).map_err(|error| failed(&error))?;
        let made = config.created.as_deref();
        let made = made.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
        let key = KeyBuilder::new("oci-archive")
            .part("manifest", top.digest.to_string())
            .part("unpacker", crate::registry::layers::UNPACKER)
            .finish();
        let layers = layers.into_iter().map(|(blob, diff_id)| LayerBlob { blob, diff_id });
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(BasePlan {
            recipe: Recipe { name: NAME.to_owned(), key, networked: false },
            epoch: Some(made.map_or(epoch, |time| time.timestamp())),
            reference: format!("oci:{name}/{arch}"),
            origin: Origin::Finished(FinishedTree::Image {
                path: path.to_path_buf(),
                layers: layers.collect(),
            }),
        })
    }

    /// A directory that the user filled.
    fn plan_directory(&self, path: PathBuf, arch: &str) -> Result<BasePlan> {
        if self.session.store.root().starts_with(&path) {
            let cache = self.session.store.root().display();
            let message = format!("{}: the cache, {cache}, lies in it", path.display());
            return Err(Failure::new(Kind::Usage, message)
                .hint("name another one by GOLDSMITH_CACHE: nothing may change while it is read"));
        }
        let listed = directory::list(&path)?;
        for (paths, what) in [
            (&listed.sockets, "sockets, left out"),
            (&listed.mounts, "mounted here, its content left out"),
        ] {
            if let Some(first) = paths.first() {
                let first = crate::report::printable(first);
                let more = match paths.len() {
                    1 => String::new(),
                    count => format!(" and {} more", count - 1),
                };
                let text = format!("{}: /{first}{more}: {what}", path.display());
                self.session.reporter.warn(text);
            }
        }
        let fingerprint = listed.fingerprint();
        let key = KeyBuilder::new("directory")
            .part("importer", super::IMPORTER)
            .part("listed", &fingerprint)
            .finish();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(BasePlan {
            recipe: Recipe { name: NAME.to_owned(), key, networked: false },
            // As for an archive of it.
            epoch: None,
            reference: format!("directory:{name}/{arch}"),
            origin: Origin::Finished(FinishedTree::Directory { path, fingerprint }),
        })
    }

    /// Has the tree in the store; the layers of an archive are verified.
    pub(super) fn lay_down(&self, tree: &FinishedTree) -> Result<Done> {
        let mnt = match tree {
            FinishedTree::Stored(snapshots) => snapshots.clone(),
            FinishedTree::Image { path, layers } => self.unpack_image(path, layers)?,
            FinishedTree::Directory { path, fingerprint } => {
                vec![directory::import(self.session, NAME, path, fingerprint)?]
            }
        };
        Ok(Done { state: State { mnt, ..State::default() }, ..Done::default() })
    }

    fn unpack_image(&self, path: &Path, layers: &[LayerBlob]) -> Result<Vec<SnapshotId>> {
        let failed = |error: &dyn std::error::Error| {
            Failure::wrap(Kind::Verification, path.display(), error)
        };
        let (image, _) = open(path)?;
        let store = &self.session.store;
        for layer in layers {
            let (digest, size) = (&layer.blob.digest, layer.blob.size);
            let incoming = store.incoming(digest, size).map_err(|error| store_failure(&error))?;
            let Some(mut incoming) = incoming else { continue };
            incoming.restart().map_err(|error| failed(&error))?;
            let mut blob = image.blob(&layer.blob).map_err(|error| failed(error.as_ref()))?;
            let mut chunk = vec![0; 1 << 17];
            loop {
                let count = blob.read(&mut chunk).map_err(|error| failed(&error))?;
                if count == 0 {
                    break;
                }
                incoming.write_all(&chunk[..count]).map_err(|error| failed(&error))?;
            }
            incoming.finish().map_err(|error| failed(&error))?;
        }
        crate::registry::layers::unpack(self.session, layers)
    }
}

/// An OCI archive, or a directory that is an image layout, and what it holds.
fn open(path: &Path) -> Result<(Box<dyn Source>, Index)> {
    let failed = |error: ArchiveError| Failure::wrap(Kind::Verification, path.display(), &error);
    if path.is_dir() {
        let layout = LayoutDirectory::open(path).map_err(failed)?;
        let index = layout.index().clone();
        return Ok((Box::new(layout), index));
    }
    let file = fs_err::File::open(path)
        .map_err(|error| Failure::wrap(Kind::Usage, "the image", &error))?;
    let archive = Archive::open(file.into_parts().0).map_err(failed)?;
    let index = archive.index().clone();
    Ok((Box::new(archive), index))
}

/// A tree that is in the store already.
fn stored(name: &str, snapshots: Vec<SnapshotId>, epoch: i64) -> BasePlan {
    let list = snapshots.iter().map(SnapshotId::to_string).collect::<Vec<_>>().join(" ");
    let key = KeyBuilder::new("stored").part("snapshots", list).finish();
    BasePlan {
        recipe: Recipe { name: NAME.to_owned(), key, networked: false },
        epoch: Some(epoch),
        reference: name.to_owned(),
        origin: Origin::Finished(FinishedTree::Stored(snapshots)),
    }
}
