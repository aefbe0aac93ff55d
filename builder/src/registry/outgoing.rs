//! What `push` sends: images by file or by name, several of them by an index; disks as images
//! or as artifacts.

use std::fs::File;
use std::path::{Path, PathBuf};

use goldsmith_images::oci::{
    Archive, ArchiveError, Config, Descriptor, Document, Index, LayoutDirectory, Platform,
};
use goldsmith_images::registry::{DISKS, DiskFile, Pieces, RegistryError, Role, Source};

use crate::error::{Failure, Kind, Result};
use crate::materialise::built::Packable;
use crate::phase::session::{Session, store_failure};
use crate::registry::registry_failure;

/// Images, and where their blobs lie.
#[derive(Debug, Default)]
pub struct Images {
    /// Archives that were opened.
    archives: Vec<Archive>,
    /// Layouts that were opened.
    layouts: Vec<LayoutDirectory>,
    /// Manifests or indexes.
    found: Vec<Descriptor>,
}

impl Images {
    /// Finds the images that `names` mean: pulled ones, built ones, files.
    ///
    /// # Errors
    ///
    /// When one is nothing of that, or cannot be read.
    pub fn find(session: &Session, names: &[String]) -> Result<Self> {
        let mut images = Self::default();
        for name in names {
            images.add(session, name)?;
        }
        Ok(images)
    }

    fn add(&mut self, session: &Session, name: &str) -> Result<()> {
        let stored = |error| store_failure(&error);
        if let Some(image) = session.store.pulled(name).map_err(stored)? {
            self.found.push(Descriptor { annotations: None, ..image });
            return Ok(());
        }
        let path = PathBuf::from(name);
        if path.join("oci-layout").is_file() {
            let layout = LayoutDirectory::open(&path).map_err(|error| unreadable(name, &error))?;
            self.found.extend(images(layout.index(), name)?);
            self.layouts.push(layout);
            return Ok(());
        }
        if path.is_file() {
            let file = fs_err::File::open(&path)
                .map_err(|error| Failure::wrap(Kind::Usage, "the image", &error))?;
            return self.archive(file.into_parts().0, name);
        }
        let refs = session.store.refs().map_err(stored)?;
        let built = refs.iter().find(|reference| reference.name == name);
        if let Some(reference) = built
            && let Some(built) = Packable::read(reference)
        {
            return self.archive(built.pack(session, reference)?, name);
        }
        if path.is_dir() {
            // It is none: this says what is missing.
            LayoutDirectory::open(&path).map_err(|error| unreadable(name, &error))?;
        }
        let message = format!(
            "{name} is neither an OCI archive or layout, nor an image that was pulled or built"
        );
        Err(Failure::new(Kind::Usage, message).hint(
            "`goldsmith build -t oci` makes an archive; `goldsmith store ls` lists what was pulled and built",
        ))
    }

    fn archive(&mut self, file: File, name: &str) -> Result<()> {
        let archive = Archive::open(file).map_err(|error| unreadable(name, &error))?;
        self.found.extend(images(archive.index(), name)?);
        self.archives.push(archive);
        Ok(())
    }

    /// Puts them together: one image as it is, several under an index by their platforms.
    ///
    /// # Errors
    ///
    /// When two are for the same platform, or one cannot be read.
    pub fn together<'a>(&'a self, session: &'a Session) -> Result<(Pieces<'a>, Descriptor)> {
        let mut pieces = Pieces::default();
        for archive in &self.archives {
            pieces.also(archive);
        }
        for layout in &self.layouts {
            pieces.also(layout);
        }
        pieces.also(&session.store);
        if let [only] = self.found.as_slice() {
            return Ok((pieces, only.clone()));
        }
        let mut images: Vec<Descriptor> = Vec::new();
        for one in &self.found {
            let platform = platform(&pieces, one).map_err(|error| registry_failure(&error))?;
            if images.iter().any(|other| other.platform.as_ref() == Some(&platform)) {
                let message = format!("two images are for {platform}");
                return Err(Failure::new(Kind::Usage, message)
                    .hint("an index holds one image for each architecture"));
            }
            images.push(Descriptor { platform: Some(platform), ..one.clone() });
        }
        let top = pieces.index(images, None).map_err(|error| registry_failure(&error))?;
        Ok((pieces, top))
    }
}

fn unreadable(name: &str, error: &ArchiveError) -> Failure {
    Failure::wrap(Kind::Usage, name, error)
        .hint("`goldsmith build -t oci` or `-t oci-dir` makes what can be pushed")
        .hint("disks are pushed by --as containerdisk or --as disk")
}

/// The images of an index, without what it says of them.
fn images(index: &Index, name: &str) -> Result<Vec<Descriptor>> {
    if index.manifests.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("{name} holds no image")));
    }
    let plain = |one: &Descriptor| Descriptor { annotations: None, ..one.clone() };
    Ok(index.manifests.iter().map(plain).collect())
}

/// What an image runs on, as its descriptor or its configuration says.
fn platform(source: &dyn Source, one: &Descriptor) -> std::result::Result<Platform, RegistryError> {
    if let Some(platform) = &one.platform {
        return Ok(platform.clone());
    }
    let wrong = |error| RegistryError::Source(Box::new(error));
    let bytes = source.document(one).map_err(RegistryError::Source)?;
    let Document::Manifest(manifest) = Document::read(&bytes, &one.media_type).map_err(wrong)?
    else {
        return Err(RegistryError::Source("an index cannot lie in another one here".into()));
    };
    let bytes = source.document(&manifest.config).map_err(RegistryError::Source)?;
    let config = Config::read(&bytes).map_err(wrong)?;
    Ok(Platform { architecture: config.architecture, os: config.os, variant: config.variant })
}

/// Endings of files that machines are started from.
const ROLES: [(&str, Role); 12] = [
    (".qcow2", Role::Qcow2),
    (".raw", Role::Raw),
    (".img", Role::Raw),
    (".raw.gz", Role::RawGzip),
    (".raw.zst", Role::RawZstd),
    (".raw.zstd", Role::RawZstd),
    (".vmlinuz", Role::Kernel),
    (".kernel", Role::Kernel),
    (".initrd", Role::Ramdisk),
    (".initramfs", Role::Ramdisk),
    (".img.gz", Role::RawGzip),
    (".img.zst", Role::RawZstd),
];

/// A disk, kernel or ramdisk, and what it is.
#[derive(Debug)]
pub struct Outgoing {
    /// The file.
    pub disk: DiskFile,
    /// What it is to a machine, by its name.
    pub role: Role,
    /// When it was written, in seconds since the epoch.
    pub epoch: i64,
}

impl Outgoing {
    /// Opens what a word of the command line means: `[ARCH=]FILE`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or its name does not say what it is.
    pub fn open(word: &str, arch: &str) -> Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let is_arch = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric());
        let (arch, path) = match word.split_once('=') {
            Some((arch, path)) if is_arch(arch) && !Path::new(word).exists() => (arch, path),
            _ => (arch, word),
        };
        let path = Path::new(path);
        let wrong = |error: &dyn std::error::Error| Failure::wrap(Kind::Usage, "the disk", error);
        let file = fs_err::File::open(path).map_err(|error| wrong(&error))?;
        let data = file.metadata().map_err(|error| wrong(&error))?;
        if !data.is_file() {
            return Err(Failure::new(Kind::Usage, format!("{} is no file", path.display())));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let role = ROLES.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, role)| *role);
        let role = role.ok_or_else(|| {
            let endings = ROLES.map(|(ending, _)| ending).join(" ");
            Failure::new(Kind::Usage, format!("the name {name} does not say what the file is"))
                .hint(format!("these endings do: {endings}"))
        })?;
        let platform = Platform::of_debian(arch);
        let disk = DiskFile { name, file: file.into_parts().0, platform };
        Ok(Self { disk, role, epoch: data.mtime() })
    }
}

/// What was put together of disks: what to push, and the artifacts that are asked for by
/// their digests.
#[derive(Debug)]
pub struct Disks {
    /// Documents and blobs.
    pub pieces: Pieces<'static>,
    /// What gets the name.
    pub top: Descriptor,
    /// Kernels and ramdisks.
    pub by_digest: Vec<Descriptor>,
}

/// Makes an image of each disk for KubeVirt, under an index when they are several. All say
/// that they were made at `epoch`, or else when their file was written.
///
/// # Errors
///
/// When a file is no disk that KubeVirt reads, or two are for the same platform.
pub fn container_disks(disks: Vec<Outgoing>, epoch: Option<i64>) -> Result<Disks> {
    let mut pieces = Pieces::default();
    let mut images: Vec<Descriptor> = Vec::new();
    for one in disks {
        if !matches!(one.role, Role::Qcow2 | Role::Raw) {
            let message = format!("{} is no disk that KubeVirt reads", one.disk.name);
            return Err(Failure::new(Kind::Usage, message).hint("qcow2 and raw are"));
        }
        let image = pieces.container_disk(one.disk, epoch.unwrap_or(one.epoch));
        let image = image.map_err(|error| registry_failure(&error))?;
        if images.iter().any(|other| other.platform == image.platform) {
            let message = "two disks are for the same architecture";
            return Err(Failure::new(Kind::Usage, message).hint("write ARCH=FILE"));
        }
        images.push(image);
    }
    let top = match images.as_slice() {
        [only] => only.clone(),
        _ => pieces.index(images, None).map_err(|error| registry_failure(&error))?,
    };
    Ok(Disks { pieces, top, by_digest: Vec::new() })
}

/// Makes an artifact of each file, under an index in which Ironic finds the disk for a
/// machine.
///
/// # Errors
///
/// When a file cannot be read, or there is no disk among them.
pub fn disk_artifacts(disks: Vec<Outgoing>) -> Result<Disks> {
    let mut pieces = Pieces::default();
    let (mut all, mut by_digest) = (Vec::new(), Vec::new());
    let mut disk = false;
    for one in disks {
        let role = one.role;
        let made = pieces.disk(one.disk, role).map_err(|error| registry_failure(&error))?;
        match role {
            Role::Kernel | Role::Ramdisk => by_digest.push(made.clone()),
            _ => disk = true,
        }
        all.push(made);
    }
    if !disk {
        return Err(Failure::new(Kind::Usage, "there is no disk among the files"));
    }
    let top = pieces.index(all, Some(DISKS)).map_err(|error| registry_failure(&error))?;
    Ok(Disks { pieces, top, by_digest })
}
