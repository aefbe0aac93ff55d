//! A configuration put together: disks, their partitions, volume groups, file systems.

use super::graph::{Entry, entries};
use super::size::Size;
use super::volumes::Group;
use super::wrong::{Checked, Wrong};
use super::{disks, filesystems, order, volumes, yaml};

/// What a document describes. All names that refer to others are resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// In the configuration's order.
    pub(super) disks: Vec<Disk>,
    pub(super) groups: Vec<Group>,
    /// In the configuration's order, inner nodes first.
    pub(super) filesystems: Vec<MkfsNode>,
    /// Names of all nodes in the order in which diskimage-builder would make them.
    pub(super) order: Vec<String>,
    /// What means nothing, with its line.
    pub(super) warnings: Vec<Wrong>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) name: String,
    pub(super) line: u64,
    /// Its own size; else the image's.
    pub(super) size: Option<u64>,
    /// Where its file goes, unless it is the image.
    pub(super) directory: Option<String>,
    /// Bytes of a sector.
    pub(super) sector: u32,
    pub(super) table: Option<TableNode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableNode {
    pub(super) line: u64,
    pub(super) name: String,
    pub(super) gpt: bool,
    /// Bytes that partitions of an MBR begin at a multiple of.
    pub(super) align: u64,
    pub(super) partitions: Vec<PartitionNode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionNode {
    pub(super) name: String,
    pub(super) line: u64,
    /// As the guest's kernel counts.
    pub(super) number: u32,
    pub(super) size: Size,
    /// The size as it is written.
    pub(super) wanted: String,
    pub(super) kind: Option<String>,
    pub(super) boot: bool,
    /// In an extended partition.
    pub(super) logical: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MkfsNode {
    pub(super) name: String,
    pub(super) line: u64,
    pub(super) base: String,
    pub(super) kind: String,
    pub(super) label: String,
    pub(super) opts: Option<String>,
    pub(super) uuid: Option<String>,
    pub(super) mount: Option<Mount>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) name: String,
    pub(super) line: u64,
    /// `none` for swap.
    pub(super) point: String,
    pub(super) fstab: Option<Fstab>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fstab {
    pub(super) options: String,
    pub(super) dump: u64,
    pub(super) pass: u64,
}

/// What a configuration leaves to the build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults<'a> {
    /// `DIB_BLOCK_SIZE`.
    pub(super) block_size: Option<&'a str>,
    /// Of `mkfs_root`, when its node does not say.
    pub(super) fs_type: &'a str,
    /// The same.
    pub(super) root_label: Option<&'a str>,
}

/// Keys that the plugin knows and this entry has no use for.
fn needless(entry: &Entry) -> Option<Wrong> {
    let is = |key: &str, value: &str| {
        entry.get(key).is_some_and(|node| node.value.word() == Some(value))
    };
    let (key, why) = match entry.plugin {
        "partitioning" if is("label", "gpt") => ("align", "partitions of a gpt begin at whole MiB"),
        "mkfs" if is("type", "vfat") || is("type", "fat") => {
            ("uuid", "a FAT has a serial number instead: opts: -i")
        }
        "local_loop" if entry.name == "image0" => ("directory", "-o says where the image goes"),
        _ => return None,
    };
    let line = entry.get(key)?.line;
    Some(Wrong::new(line, &entry.name, format!("{key} changes nothing: {why}")))
}

impl Config {
    pub(super) fn parse(text: &str, defaults: &Defaults<'_>) -> Checked<Self> {
        Self::assemble(&list(text)?, defaults)
    }

    fn assemble(list: &[Entry], defaults: &Defaults<'_>) -> Checked<Self> {
        let mut warnings = Vec::new();
        for entry in list {
            warnings.extend(entry.unknown().map(|key| {
                let what = format!("{} means nothing to {}", key.name, entry.plugin);
                Wrong::new(key.line, &entry.name, what)
            }));
            warnings.extend(entry.unknown_inside().map(|(place, key)| {
                let what = format!("{place}: {} means nothing here", key.name);
                Wrong::new(key.line, &entry.name, what)
            }));
            warnings.extend(needless(entry));
        }
        let mut config = Self {
            disks: disks::disks(list, defaults.block_size)?,
            groups: volumes::groups(list)?,
            filesystems: filesystems::filesystems(list, defaults)?,
            order: Vec::new(),
            warnings,
        };
        config.order = order::order(list, &config)?;
        Ok(config)
    }

    pub(super) fn mounted_at(&self, point: &str) -> Option<&MkfsNode> {
        self.filesystems.iter().find(|mkfs| mkfs.mount_point() == Some(point))
    }

    /// The disk that becomes the image: the one called `image0`, else the first.
    pub(super) fn image(&self) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.name == "image0").or_else(|| self.disks.first())
    }

    /// The disk that a partition, a volume or a disk of that name is on.
    pub(super) fn disk_of(&self, base: &str) -> Option<&Disk> {
        if let Some((group, _)) = self.volume(base) {
            let physical = self.groups.get(group)?.physical.first()?;
            return self.disk_of(&physical.base);
        }
        let has = |disk: &&Disk| disk.name == base || disk.partition(base).is_some();
        self.disks.iter().find(has)
    }

    /// Indices of the group and of the volume of that name.
    pub(super) fn volume(&self, name: &str) -> Option<(usize, usize)> {
        self.groups.iter().enumerate().find_map(|(index, group)| {
            let volume = group.logical.iter().position(|volume| volume.name == name)?;
            Some((index, volume))
        })
    }
}

impl Disk {
    pub(super) fn partitions(&self) -> &[PartitionNode] {
        self.table.as_ref().map(|table| table.partitions.as_slice()).unwrap_or_default()
    }

    pub(super) fn partition(&self, name: &str) -> Option<&PartitionNode> {
        self.partitions().iter().find(|partition| partition.name == name)
    }
}

impl MkfsNode {
    /// Where it is mounted; nothing for swap.
    pub(super) fn mount_point(&self) -> Option<&str> {
        self.mount.as_ref().map(|mount| mount.point.as_str()).filter(|point| *point != "none")
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> Wrong {
        Wrong::new(self.line, &self.name, what)
    }
}

/// The list form of a document.
pub(super) fn list(text: &str) -> Checked<Vec<Entry>> {
    let document = yaml::parse(text).map_err(|error| Wrong::new(0, "", error))?;
    entries(&document)
}
