//! Disks in registries: as images that KubeVirt starts from, and as artifacts that Ironic finds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use chrono::{DateTime, SecondsFormat};

use super::RegistryError;
use super::pieces::{Part, Pieces};
use crate::oci::{
    Compression, Config, Descriptor, History, Manifest, Platform, RootFs, media_type,
};

/// The type of an index of disks.
pub const DISKS: &str = "application/vnd.goldsmith.disks.v1";
/// Who starts KubeVirt's machines: the user `qemu` of its containers.
const QEMU: u64 = 107;
/// Archives are made of blocks.
const BLOCK: u64 = 512;
/// The name of a file in a registry.
const TITLE: &str = "org.opencontainers.image.title";

/// A file that machines are started from.
#[derive(Debug)]
pub struct DiskFile {
    /// Its name, without a directory.
    pub name: String,
    /// Its content.
    pub file: File,
    /// What it runs on.
    pub platform: Platform,
}

/// What a file is to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A disk in QEMU's format.
    Qcow2,
    /// The bytes of a disk.
    Raw,
    /// The same, compressed by gzip.
    RawGzip,
    /// The same, compressed by Zstandard.
    RawZstd,
    /// A kernel.
    Kernel,
    /// An initial RAM disk.
    Ramdisk,
}

impl Role {
    /// `disktype` in an index, the type of the artifact, and of its one layer. Ironic takes
    /// disks by the first, passes over those that it does not know, and tells from the last
    /// whether it has to decompress.
    fn types(self) -> (&'static str, &'static str, &'static str) {
        let disk = "application/vnd.goldsmith.disk.v1";
        match self {
            Self::Qcow2 => ("qcow2", disk, "application/octet-stream"),
            Self::Raw => ("raw", disk, "application/octet-stream"),
            Self::RawGzip => ("raw", disk, "application/gzip"),
            Self::RawZstd => ("raw", disk, "application/zstd"),
            Self::Kernel => {
                ("kernel", "application/vnd.goldsmith.kernel.v1", "application/octet-stream")
            }
            Self::Ramdisk => {
                ("ramdisk", "application/vnd.goldsmith.ramdisk.v1", "application/octet-stream")
            }
        }
    }
}

impl Pieces<'_> {
    /// Takes a disk as an artifact of one layer, and returns its descriptor as an index of
    /// disks has it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn disk(&mut self, disk: DiskFile, role: Role) -> Result<Descriptor, RegistryError> {
        let (disktype, kind, media_type) = role.types();
        let mut layer = self.file(media_type, disk.file).map_err(source)?;
        layer.annotations = Some(BTreeMap::from([(TITLE.to_owned(), disk.name.clone())]));
        let manifest = self.artifact(kind, layer, None)?;
        let notes = [("disktype".to_owned(), disktype.to_owned()), (TITLE.to_owned(), disk.name)];
        Ok(Descriptor {
            artifact_type: Some(kind.to_owned()),
            platform: Some(disk.platform),
            annotations: Some(BTreeMap::from(notes)),
            ..manifest
        })
    }

    /// Takes a disk as an image of nothing but `/disk/NAME`, which is QEMU's own; it says that
    /// it was made at `epoch`, in seconds.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn container_disk(
        &mut self,
        disk: DiskFile,
        epoch: i64,
    ) -> Result<Descriptor, RegistryError> {
        let size = disk.file.metadata().map_err(source)?.len();
        let mut head = header("disk/", 0, epoch).map_err(source)?;
        head.extend(header(&format!("disk/{}", disk.name), size, epoch).map_err(source)?);
        // What is missing of the last block, and two empty ones.
        let tail = usize::try_from(size.wrapping_neg() % BLOCK + 2 * BLOCK).unwrap_or_default();
        let parts =
            vec![Part::Bytes(head), Part::File(disk.file, size), Part::Bytes(vec![0; tail])];
        let layer = self.parts(Compression::None.media_type(), parts).map_err(source)?;
        let created = DateTime::from_timestamp(epoch, 0).unwrap_or_default();
        let created = Some(created.to_rfc3339_opts(SecondsFormat::Secs, true));
        let created_by = Some(format!("goldsmith push --as containerdisk {}", disk.name));
        let config = Config {
            created: created.clone(),
            architecture: disk.platform.architecture.clone(),
            variant: disk.platform.variant.clone(),
            os: disk.platform.os.clone(),
            config: None,
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.digest] },
            history: Some(vec![History { created, created_by, empty_layer: None }]),
        };
        let config = self.json(media_type::CONFIG, &config)?;
        let manifest = self.json(media_type::MANIFEST, &Manifest::new(config, vec![layer]))?;
        Ok(Descriptor { platform: Some(disk.platform), ..manifest })
    }
}

fn source(error: io::Error) -> RegistryError {
    RegistryError::Source(Box::new(error))
}

/// The header of QEMU's own file, or of a directory: a name with a slash at its end.
fn header(name: &str, size: u64, epoch: i64) -> io::Result<Vec<u8>> {
    let directory = name.ends_with('/');
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_entry_type(match directory {
        true => tar::EntryType::Directory,
        false => tar::EntryType::Regular,
    });
    header.set_mode(if directory { 0o755 } else { 0o440 });
    header.set_uid(QEMU);
    header.set_gid(QEMU);
    header.set_mtime(u64::try_from(epoch).unwrap_or_default());
    header.set_size(size);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::oci::Document;
    use crate::registry::Source as _;

    fn disk(name: &str, bytes: &[u8]) -> DiskFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        DiskFile { name: name.to_owned(), file, platform: Platform::of_debian("arm64") }
    }

    fn manifest(pieces: &Pieces<'_>, one: &Descriptor) -> Manifest {
        let bytes = pieces.document(one).unwrap();
        match Document::read(&bytes, media_type::MANIFEST).unwrap() {
            Document::Manifest(manifest) => manifest,
            Document::Index(index) => panic!("{index:?}"),
        }
    }

    #[test]
    fn a_container_disk_is_an_image_of_one_file() {
        for length in [0, 1, 512, 1000] {
            let content = vec![b'x'; length];
            let mut pieces = Pieces::default();
            let image = pieces.container_disk(disk("a.qcow2", &content), 1_700_000_000).unwrap();
            let mut again = Pieces::default();
            let same = again.container_disk(disk("a.qcow2", &content), 1_700_000_000).unwrap();
            assert_eq!(image, same);
            assert_eq!(image.platform.as_ref().unwrap().architecture, "arm64");
            let manifest = manifest(&pieces, &image);
            let config = Config::read(&pieces.document(&manifest.config).unwrap()).unwrap();
            let layers = manifest.layers(&config).unwrap();
            let [(blob, diff_id)] = layers.as_slice() else { panic!("{layers:?}") };
            assert_eq!(blob.digest, *diff_id, "it is not compressed");
            let mut archive = tar::Archive::new(pieces.blob(blob).unwrap());
            let mut entries = archive.entries().unwrap();
            let directory = entries.next().unwrap().unwrap();
            assert_eq!(directory.path().unwrap().to_str(), Some("disk/"));
            let mut file = entries.next().unwrap().unwrap();
            assert_eq!(file.path().unwrap().to_str(), Some("disk/a.qcow2"));
            let owner = (file.header().uid().unwrap(), file.header().gid().unwrap());
            assert_eq!((owner, file.header().mode().unwrap()), ((107, 107), 0o440));
            let mut found = Vec::new();
            file.read_to_end(&mut found).unwrap();
            assert_eq!(found, content);
            assert!(entries.next().is_none());
        }
    }

    #[test]
    fn disks_are_artifacts_of_one_layer() {
        let mut pieces = Pieces::default();
        for (name, role, disktype, layer) in [
            ("a.qcow2", Role::Qcow2, "qcow2", "application/octet-stream"),
            ("a.raw", Role::Raw, "raw", "application/octet-stream"),
            ("a.raw.gz", Role::RawGzip, "raw", "application/gzip"),
            ("a.raw.zst", Role::RawZstd, "raw", "application/zstd"),
            ("a.vmlinuz", Role::Kernel, "kernel", "application/octet-stream"),
            ("a.initrd", Role::Ramdisk, "ramdisk", "application/octet-stream"),
        ] {
            let one = pieces.disk(disk(name, name.as_bytes()), role).unwrap();
            assert_eq!(one.annotation("disktype"), Some(disktype));
            let manifest = manifest(&pieces, &one);
            assert_eq!(manifest.config.media_type, media_type::EMPTY);
            assert_eq!(manifest.artifact_type, one.artifact_type);
            let [only] = manifest.layers.as_slice() else { panic!("{manifest:?}") };
            assert_eq!((only.media_type.as_str(), only.annotation(TITLE)), (layer, Some(name)));
        }
    }
}
