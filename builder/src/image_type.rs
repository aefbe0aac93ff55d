//! Output formats, and how those that can be written in more than one way are.

use serde::{Deserialize, Serialize};

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageType {
    /// A sparse disk image.
    Raw,
    /// QEMU's format, version 3.
    Qcow2,
    /// Microsoft's format, as Azure and Xen read it.
    Vhd,
    /// Its successor, of Hyper-V.
    Vhdx,
    /// VMware's format.
    Vmdk,
    /// VirtualBox's format.
    Vdi,
    /// The root file system as a tar archive.
    Tar,
    /// The same, compressed by gzip.
    Tgz,
    /// The same, compressed by Zstandard.
    TarZst,
    /// The root file system as a squashfs, compressed by xz.
    Squashfs,
    /// The root file system as an image of appc's.
    Aci,
    /// An image for registries, as an OCI archive.
    Oci,
    /// The same as a directory: an OCI image layout.
    OciDir,
    /// An image for `docker load`.
    Docker,
}

/// Every format, in the order in which they are told of.
const ALL: [ImageType; 14] = [
    ImageType::Qcow2,
    ImageType::Raw,
    ImageType::Vhd,
    ImageType::Vhdx,
    ImageType::Vmdk,
    ImageType::Vdi,
    ImageType::Tar,
    ImageType::Tgz,
    ImageType::TarZst,
    ImageType::Squashfs,
    ImageType::Aci,
    ImageType::Oci,
    ImageType::OciDir,
    ImageType::Docker,
];

impl ImageType {
    /// Its name for `-t`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Tar => "tar",
            Self::Tgz => "tgz",
            Self::TarZst => "tar.zst",
            Self::Squashfs => "squashfs",
            Self::Aci => "aci",
            Self::Oci => "oci",
            Self::OciDir => "oci-dir",
            Self::Docker => "docker",
        }
    }

    /// The ending of its file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Squashfs => "squash",
            Self::Docker => "docker.tar",
            other => other.name(),
        }
    }

    /// The format of that name.
    pub fn parse(name: &str) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The format that a file's name says by its ending, and the name without it.
    pub fn of_name(name: &str) -> Option<(Self, &str)> {
        let stem = |kind: &Self| {
            let stem = name.strip_suffix(kind.ending())?.strip_suffix('.')?;
            (!stem.is_empty()).then_some((*kind, stem))
        };
        // Of docker.tar and tar the longer one.
        ALL.iter().filter_map(stem).min_by_key(|(_, stem)| stem.len())
    }

    /// Every format.
    pub fn all() -> [Self; 14] {
        ALL
    }

    /// All names, for people.
    pub fn names() -> String {
        ALL.map(Self::name).join(", ")
    }

    /// Whether it is a directory rather than a file.
    pub fn is_directory(self) -> bool {
        self == Self::OciDir
    }

    /// Whether it is a disk rather than an archive of files.
    pub fn is_disk(self) -> bool {
        matches!(self, Self::Raw | Self::Qcow2 | Self::Vhd | Self::Vhdx | Self::Vmdk | Self::Vdi)
    }
}

/// How disks are written whose formats leave a choice, qcow2 excepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatOptions {
    /// A VHD of the disk's length instead of one that grows.
    pub vhd_fixed: bool,
    /// A VMDK that is compressed and read from its beginning to its end.
    pub vmdk_stream: bool,
    /// The disk's adapter in a VMDK.
    pub vmdk_adapter: String,
    /// The version of the virtual hardware in a VMDK.
    pub vmdk_hardware: u32,
}

impl Default for FormatOptions {
    fn default() -> Self {
        Self {
            vhd_fixed: false,
            vmdk_stream: false,
            vmdk_adapter: "ide".to_owned(),
            vmdk_hardware: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_understood() {
        for kind in ALL {
            assert_eq!(ImageType::parse(kind.name()), Some(kind));
        }
        assert_eq!(ImageType::parse("squash"), None);
        for (name, expected) in [
            ("a.docker.tar", Some((ImageType::Docker, "a"))),
            ("a.b.tar", Some((ImageType::Tar, "a.b"))),
            ("a.tar.zst", Some((ImageType::TarZst, "a"))),
            ("a.oci-dir", Some((ImageType::OciDir, "a"))),
            ("a.squash", Some((ImageType::Squashfs, "a"))),
            (".raw", None),
            ("raw", None),
        ] {
            assert_eq!(ImageType::of_name(name), expected);
        }
        assert_eq!(ImageType::names().split(", ").count(), ALL.len());
    }
}
