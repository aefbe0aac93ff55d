//! A layout as people and programs are shown it, before there is a disk.

use goldsmith_images::disk::layout::{
    DiskLayout, MIB, On, Partition, PartitionKind, Table, VolumeGroup,
};
use goldsmith_images::disk::shown_id;
use serde::Serialize;

use super::config::{Disk, PartitionNode};
use super::size::Size;
use super::volumes::Group;
use super::{Plan, place};
use crate::error::Result;

/// A disk, with or without a size.
#[derive(Debug, Serialize)]
pub struct ShownDisk {
    /// Its node.
    pub name: String,
    /// Bytes; nothing when they depend on what the disk will hold.
    pub size_bytes: Option<u64>,
    /// Bytes of a sector.
    pub sector_size: u32,
    /// `gpt` or `mbr`.
    pub table: Option<&'static str>,
    /// The table's identifier.
    pub id: Option<String>,
    /// Where its file goes, when it is not the image.
    pub directory: Option<String>,
    /// The partitions, or the disk itself when it has none.
    pub partitions: Vec<Row>,
    /// Volume groups on them.
    pub groups: Vec<ShownGroup>,
}

/// A volume group.
#[derive(Debug, Serialize)]
pub struct ShownGroup {
    /// Its name.
    pub name: String,
    /// Its identifier, as LVM shows it.
    pub id: Option<String>,
    /// Extents of 4 MiB; nothing when they depend on the disk's size.
    pub extents: Option<u64>,
    /// What it is made of.
    pub physical: Vec<String>,
    /// Its volumes.
    pub volumes: Vec<Row>,
}

/// A partition, a volume or a bare disk.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its number, when it is a partition.
    pub number: Option<u32>,
    /// What hooks find it as.
    pub device: String,
    /// First byte: on the disk, for a volume that is one run too.
    pub start: Option<u64>,
    /// Bytes; nothing when they depend on the disk's size.
    pub size_bytes: Option<u64>,
    /// The size as the configuration writes it.
    pub wanted: Option<String>,
    /// The size that the configuration asks for in bytes, before it is rounded.
    pub wanted_bytes: Option<u64>,
    /// What the table says that it is for.
    pub code: Option<String>,
    /// Whether it is in an extended partition.
    pub logical: bool,
    /// Whether the table marks it as the one to boot.
    pub boot: bool,
    /// Type of the file system; `lvm` for a physical volume.
    pub file_system: Option<String>,
    /// The file system's label; the group's name for a physical volume.
    pub label: Option<String>,
    /// Where it is mounted.
    pub mount_point: Option<String>,
    /// The file system's identifier.
    pub uuid: Option<String>,
}

impl Plan {
    /// All disks, the configuration's order kept; `size_kib` is the image's, if it is known.
    ///
    /// # Errors
    ///
    /// When something does not fit onto a disk whose size is known.
    pub fn show(&self, size_kib: Option<u64>) -> Result<Vec<ShownDisk>> {
        self.config.disks.iter().map(|disk| self.show_disk(disk, size_kib)).collect()
    }

    fn show_disk(&self, disk: &Disk, size_kib: Option<u64>) -> Result<ShownDisk> {
        let size_kib = disk.size.map(|bytes| bytes.div_ceil(1024)).or(size_kib);
        let layout = size_kib.map(|size| self.disk(disk, size)).transpose()?;
        let image = self.config.image().is_some_and(|image| image.name == disk.name);
        let mut shown = ShownDisk {
            name: disk.name.clone(),
            size_bytes: layout.as_ref().map(|layout| layout.size_bytes),
            sector_size: disk.sector,
            table: disk.table.as_ref().map(|table| if table.gpt { "gpt" } else { "mbr" }),
            id: layout.as_ref().and_then(|layout| match layout.table {
                Table::Gpt { disk_guid } => Some(disk_guid.to_string()),
                Table::Mbr { disk_id } => Some(format!("{disk_id:08x}")),
                Table::None => None,
            }),
            directory: disk.directory.clone().filter(|_| !image),
            partitions: Vec::new(),
            groups: Vec::new(),
        };
        shown.partitions = self.rows(disk, layout.as_ref());
        for group in &self.config.groups {
            let first = group.physical.first();
            if first.is_some_and(|pv| place::on(disk, &pv.base).is_some()) {
                shown.groups.push(self.show_group(group, disk, layout.as_ref(), &shown.partitions));
            }
        }
        Ok(shown)
    }

    /// The partitions of a disk; what has no size yet has no start behind it either.
    fn rows(&self, disk: &Disk, layout: Option<&DiskLayout>) -> Vec<Row> {
        let Some(table) = &disk.table else {
            let size = layout.map(|layout| layout.size_bytes);
            let row = self.row(&disk.name, layout.map(|_| 0), size);
            return vec![Row { wanted_bytes: disk.size, ..row }];
        };
        let sector = u64::from(disk.sector);
        let mut next = Some(if table.gpt { MIB } else { table.align });
        let mut rows = Vec::new();
        for node in &table.partitions {
            let placed = layout.and_then(|layout| layout.partition(node.number));
            let (start, len) = match placed {
                Some(part) => (Some(part.start_lba * sector), Some(part.sectors * sector)),
                None => early(node, table.gpt, table.align, next),
            };
            next = start.zip(len).map(|(start, len)| (start + len).next_multiple_of(table.align));
            rows.push(Row {
                number: Some(node.number),
                wanted: Some(node.wanted.clone()),
                wanted_bytes: node.size.bytes(),
                code: Some(code(node, placed, table.gpt)),
                logical: node.logical,
                boot: node.boot && !table.gpt,
                ..self.row(&node.name, start, len)
            });
        }
        rows
    }

    fn row(&self, name: &str, start: Option<u64>, size_bytes: Option<u64>) -> Row {
        let mkfs = self.config.filesystems.iter().find(|mkfs| mkfs.base == name);
        let group = self.config.groups.iter();
        let group = { group }.find(|group| group.physical.iter().any(|pv| pv.base == name));
        let pv = group.map(|_| "lvm".to_owned());
        Row {
            name: name.to_owned(),
            number: None,
            device: self.device_of(name),
            start,
            size_bytes,
            wanted: None,
            wanted_bytes: None,
            code: None,
            logical: false,
            boot: false,
            file_system: mkfs.map(|mkfs| mkfs.kind.clone()).or(pv),
            label: mkfs
                .map(|mkfs| mkfs.label.clone())
                .filter(|label| !label.is_empty())
                .or_else(|| group.map(|group| group.name.clone())),
            mount_point: mkfs.and_then(|mkfs| mkfs.mount_point()).map(str::to_owned),
            uuid: mkfs.map(|mkfs| self.shown_uuid(mkfs)).filter(|uuid| !uuid.is_empty()),
        }
    }

    fn show_group(
        &self,
        node: &Group,
        disk: &Disk,
        layout: Option<&DiskLayout>,
        partitions: &[Row],
    ) -> ShownGroup {
        let placed: Option<VolumeGroup> = match layout {
            Some(layout) => layout.groups.iter().find(|group| group.name == node.name).cloned(),
            None => self.early_group(node, disk, partitions),
        };
        let volumes = node.logical.iter().enumerate().map(|(index, volume)| {
            let run = placed.as_ref().and_then(|group| group.logical.get(index));
            let bytes = run.zip(placed.as_ref());
            let bytes = bytes.map(|(run, group)| run.extents() * group.extent_bytes);
            let group = layout.and_then(|l| l.groups.iter().position(|g| g.name == node.name));
            let runs = layout.zip(group);
            let runs = runs.and_then(|(layout, group)| layout.volume_extents(group, index));
            let start = match runs.as_deref() {
                Some([run]) => Some(run.offset),
                _ => None,
            };
            Row {
                wanted: Some(volume.written.clone()),
                wanted_bytes: Size::parse(&volume.written).ok().and_then(Size::bytes),
                ..self.row(&volume.name, start, bytes)
            }
        });
        ShownGroup {
            name: node.name.clone(),
            id: placed.as_ref().map(|group| shown_id(&group.id)),
            extents: placed.as_ref().map(|group| group.physical.iter().map(|pv| pv.extents).sum()),
            physical: node.physical.iter().map(|pv| pv.base.clone()).collect(),
            volumes: volumes.collect(),
        }
    }

    /// The group of a disk without a size, when its partitions have sizes nevertheless.
    fn early_group(&self, node: &Group, disk: &Disk, rows: &[Row]) -> Option<VolumeGroup> {
        let row = |on| rows.iter().find(|row| on == row.number.map_or(On::Whole, On::Partition));
        let len = |on| row(on).and_then(|row| row.size_bytes);
        let known = |base: &str| place::on(disk, base).and_then(len).is_some();
        if !node.physical.iter().all(|pv| known(&pv.base)) {
            return None;
        }
        place::group(node, disk, &self.seed, &|on| len(on).unwrap_or(0)).ok()
    }
}

/// Start and length of a partition as far as they do not depend on the disk's size.
fn early(
    node: &PartitionNode,
    gpt: bool,
    align: u64,
    next: Option<u64>,
) -> (Option<u64>, Option<u64>) {
    let start = next.map(|next| if node.logical { next + align } else { next });
    let unit = if gpt { MIB } else { 512 };
    (start, node.size.bytes().map(|bytes| bytes / unit * unit))
}

/// The type as the configuration writes it, or as the table would.
fn code(node: &PartitionNode, placed: Option<&Partition>, gpt: bool) -> String {
    match (placed.map(|part| part.kind), &node.kind) {
        (Some(PartitionKind::Mbr { type_byte, .. }), _) => format!("0x{type_byte:02x}"),
        (_, Some(kind)) => kind.clone(),
        (_, None) if gpt => "8300".to_owned(),
        (_, None) => "0x83".to_owned(),
    }
}
