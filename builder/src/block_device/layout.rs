//! From nodes to sectors.

use std::collections::BTreeMap;

use goldsmith_images::disk::layout::{
    DiskLayout, Ext4Options, ExtKind, Filesystem, FsKind, LayoutError, MIB, On, Table, VfatOptions,
    XfsOptions, derived_u32, derived_uuid,
};

use super::config::{Disk, MkfsNode};
use super::wrong::Wrong;
use super::{Plan, able, other_options, place, xfs_options};
use crate::error::{Failure, Kind, Result};

/// Sizes that images have, from 1 GiB to 1 TiB.
const PRESUMED_KIB: [u64; 7] = [1 << 20, 2 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30];

/// A disk beside the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherDisk {
    /// Its node; its file is called `NAME.raw`.
    pub name: String,
    /// Where its file goes, as the configuration says.
    pub directory: String,
    /// What is on it.
    pub layout: DiskLayout,
}

/// What is asked of a FAT; its serial number is the one of `opts`, or one of the seed.
pub(super) fn vfat(seed: &str, mkfs: &MkfsNode) -> super::wrong::Checked<VfatOptions> {
    let volume_id = derived_u32(seed, &format!("volume {}", mkfs.name));
    let mut vfat = VfatOptions { volume_id, fat_bits: None };
    other_options::vfat(mkfs.opts.as_deref().unwrap_or_default(), &mut vfat)
        .map_err(|option| mkfs.wrong(format!("opts: {option} cannot be written")))?;
    Ok(vfat)
}

/// The identifier that is given, or one of the seed.
pub(super) fn filesystem_uuid(seed: &str, mkfs: &MkfsNode) -> uuid::Uuid {
    let own = able::uuid(mkfs).ok().flatten();
    own.unwrap_or_else(|| derived_uuid(seed, &format!("filesystem {}", mkfs.name)))
}

impl Plan {
    /// The layout of the image on a disk of `size_kib` KiB, unless its node has a size of its own.
    ///
    /// # Errors
    ///
    /// When partitions or volumes do not fit; line and node are named.
    pub fn layout(&self, size_kib: u64) -> Result<DiskLayout> {
        let image = self.config.image();
        let image = image.ok_or_else(|| Failure::new(Kind::Internal, "a layout without a disk"))?;
        self.disk(image, size_kib)
    }

    /// The other disks, of `size_kib` KiB where they have no size of their own.
    ///
    /// # Errors
    ///
    /// As [`layout`](Self::layout).
    pub fn other_disks(&self, size_kib: u64) -> Result<Vec<OtherDisk>> {
        let image = self.config.image().map(|disk| &disk.name);
        let others = self.config.disks.iter().filter(|disk| Some(&disk.name) != image);
        others
            .map(|disk| {
                Ok(OtherDisk {
                    name: disk.name.clone(),
                    directory: disk.directory.clone().unwrap_or_default(),
                    layout: self.disk(disk, size_kib)?,
                })
            })
            .collect()
    }

    /// The size of the image in KiB, when its node has one.
    pub fn own_size_kib(&self) -> Option<u64> {
        self.config.image().and_then(|disk| disk.size).map(|bytes| bytes.div_ceil(1024))
    }

    /// Mount points of all file systems that have one, in the configuration's order.
    pub fn mounts(&self) -> Vec<String> {
        let all = self.config.filesystems.iter().filter_map(MkfsNode::mount_point);
        all.map(str::to_owned).collect()
    }

    /// Directories that disks beside the image are written to, with the names of the disks.
    pub fn other_directories(&self) -> Vec<(&str, &str)> {
        let image = self.config.image().map(|disk| &disk.name);
        let others = self.config.disks.iter().filter(|disk| Some(&disk.name) != image);
        others
            .map(|disk| (disk.name.as_str(), disk.directory.as_deref().unwrap_or_default()))
            .collect()
    }

    /// Refuses a tree that is larger than the file systems that are to hold it: `used_kib` lies
    /// at each of [`mounts`](Self::mounts). What a file system itself takes is not counted.
    ///
    /// # Errors
    ///
    /// When one is too small; its line and node are named.
    pub fn check_content(&self, size_kib: u64, used_kib: &[u64]) -> Result<()> {
        for disk in &self.config.disks {
            let layout = self.disk(disk, size_kib)?;
            for (mount, used) in self.mounts().iter().zip(used_kib) {
                let Some(filesystem) = layout.mounted_at(mount) else { continue };
                // How much less these take than files do, their writers know.
                if matches!(filesystem.kind, FsKind::Erofs | FsKind::Squashfs) {
                    continue;
                }
                let runs = layout.extents(filesystem).unwrap_or_default();
                let room: u64 = runs.iter().map(|run| run.len).sum();
                let node = self.config.mounted_at(mount);
                if let Some(node) = node.filter(|_| used.saturating_mul(1024) > room) {
                    let what = format!(
                        "{} MiB of files lie at {mount}, and it has {} MiB",
                        used.div_ceil(1024),
                        room / MIB
                    );
                    return Err(node.wrong(what).hint(place::LARGER).failure(&self.file));
                }
            }
        }
        Ok(())
    }

    /// Refuses an image with a kernel whose root file system nothing in it can find.
    ///
    /// # Errors
    ///
    /// When that is on a logical volume and there are no programs of LVM.
    pub fn check_boots(&self, has_kernel: bool, has_lvm: bool) -> Result<()> {
        let Some(volume) = self.root_volume().filter(|_| has_kernel && !has_lvm) else {
            return Ok(());
        };
        let what = format!(
            "the root file system is on volume {volume}, and the image has no lvm2 to find it"
        );
        let root = self.config.mounted_at("/");
        let wrong =
            root.map_or_else(|| Wrong::new(0, "", what.clone()), |root| root.wrong(what.clone()));
        Err(wrong
            .hint("-p lvm2 adds it on Debian and Ubuntu; the element dracut-regenerate with lvm in DIB_DRACUT_ENABLED_MODULES elsewhere")
            .failure(&self.file))
    }

    pub(super) fn disk(&self, disk: &Disk, size_kib: u64) -> Result<DiskLayout> {
        let size_bytes = disk.size.unwrap_or(size_kib.saturating_mul(1024));
        let size_bytes = size_bytes.div_ceil(MIB).saturating_mul(MIB);
        let wrong = |wrong: Wrong| wrong.failure(&self.file);
        let table = match &disk.table {
            None => Table::None,
            Some(table) if table.gpt => {
                Table::Gpt { disk_guid: derived_uuid(&self.seed, &role(disk)) }
            }
            Some(_) => Table::Mbr { disk_id: derived_u32(&self.seed, &role(disk)) },
        };
        let mut layout = DiskLayout {
            size_bytes,
            sector_size: disk.sector,
            epoch: self.epoch,
            table,
            partitions: place::partitions(disk, size_bytes, &self.seed).map_err(wrong)?,
            groups: Vec::new(),
            filesystems: Vec::new(),
            elsewhere: Vec::new(),
        };
        let len = |on| layout.place(on).map_or(0, |place| place.len);
        layout.groups = place::groups(&self.config, disk, &self.seed, &len).map_err(wrong)?;
        for mkfs in &self.config.filesystems {
            match self.on(disk, &layout, &mkfs.base) {
                Some(on) => layout.filesystems.push(self.filesystem(mkfs, on).map_err(wrong)?),
                None => layout.elsewhere.extend(mkfs.mount_point().map(str::to_owned)),
            }
        }
        layout.validate().map_err(|error| {
            self.node_of(disk, &error).map_or_else(
                || {
                    let what = format!("{}: {}", self.file, disk.name);
                    Failure::wrap(Kind::Configuration, what, &error)
                },
                |(line, node)| Wrong::new(line, node, error.to_string()).failure(&self.file),
            )
        })?;
        Ok(layout)
    }

    /// The node that is to blame, and its line.
    fn node_of(&self, disk: &Disk, error: &LayoutError) -> Option<(u64, String)> {
        if let Some(name) = error.partition() {
            let node = disk.partitions().iter().find(|node| node.name == name)?;
            return Some((node.line, format!("partition {name}")));
        }
        if let Some(name) = error.group() {
            let node = self.config.groups.iter().find(|node| node.name == name)?;
            return Some((node.line, name.to_owned()));
        }
        let name = error.filesystem()?;
        let node = self.config.filesystems.iter().find(|node| node.name == name)?;
        Some((node.line, name.to_owned()))
    }

    /// File and line of each file system, by its node's name.
    pub fn places(&self) -> BTreeMap<String, String> {
        let places = self.config.filesystems.iter();
        places.map(|mkfs| (mkfs.name.clone(), format!("{}:{}", self.file, mkfs.line))).collect()
    }

    /// Refuses what no disk of any size can hold, while the tree's size is not known yet.
    ///
    /// # Errors
    ///
    /// As [`layout`](Self::layout) and `more`, of the largest size that was tried.
    pub fn check_any_size(&self, more: &dyn Fn(u64) -> Result<()>) -> Result<()> {
        let mut last = Ok(());
        for size_kib in PRESUMED_KIB {
            last = self.layout(size_kib).and_then(|_| self.other_disks(size_kib)).map(drop);
            last = last.and_then(|()| more(size_kib));
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn on(&self, disk: &Disk, layout: &DiskLayout, base: &str) -> Option<On> {
        let Some((group, volume)) = self.config.volume(base) else {
            return place::on(disk, base);
        };
        let name = &self.config.groups.get(group)?.name;
        let group = layout.groups.iter().position(|group| &group.name == name)?;
        Some(On::Volume { group, volume })
    }

    /// What is asked of an xfs, by its own options or, of the root, by those of the command line.
    fn xfs(&self, mkfs: &MkfsNode, is_root: bool) -> super::wrong::Checked<XfsOptions> {
        let mut xfs = XfsOptions::default();
        match &mkfs.opts {
            Some(opts) => xfs_options::apply(opts, &mut xfs)
                .map_err(|option| mkfs.wrong(format!("opts: {option} cannot be written")))?,
            None if is_root => xfs = self.root_xfs,
            None => {}
        }
        Ok(xfs)
    }

    fn filesystem(&self, mkfs: &MkfsNode, on: On) -> super::wrong::Checked<Filesystem> {
        let is_root = mkfs.mount_point() == Some("/");
        let kind = match mkfs.kind.as_str() {
            "vfat" => FsKind::Vfat(vfat(&self.seed, mkfs)?),
            "swap" => FsKind::Swap,
            "xfs" => FsKind::Xfs(self.xfs(mkfs, is_root)?),
            "btrfs" => FsKind::Btrfs,
            "erofs" => FsKind::Erofs,
            "squashfs" => FsKind::Squashfs,
            kind => {
                let kind = ExtKind::named(kind).unwrap_or_default();
                let mut ext4 = Ext4Options { journal_mib: None, ..Ext4Options::of(kind) };
                match &mkfs.opts {
                    Some(opts) => able::options(mkfs, opts, &mut ext4)?,
                    None if is_root => ext4 = self.root_ext4,
                    None => {}
                }
                FsKind::Ext4(ext4)
            }
        };
        Ok(Filesystem {
            name: mkfs.name.clone(),
            on,
            kind,
            label: mkfs.label.clone(),
            uuid: filesystem_uuid(&self.seed, mkfs),
            mount_point: mkfs.mount_point().map(str::to_owned),
        })
    }
}

/// What the disk's identifier is derived for; the image's is not of its name.
pub(super) fn role(disk: &Disk) -> String {
    if disk.name == "image0" { "disk".to_owned() } else { format!("disk {}", disk.name) }
}
