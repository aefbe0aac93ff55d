//! From nodes to sectors.

use goldsmith_images::disk::layout::{
    DiskLayout, Ext4Options, Filesystem, FsKind, MIB, On, Partition, PartitionKind, Table,
    VfatOptions, derived_u32, derived_uuid, mbr_type, type_guid,
};

use super::config::{MkfsNode, PartitionNode};
use super::{Plan, size};
use crate::error::{Failure, Kind, Result};

pub(super) fn filesystem_uuid(seed: &str, name: &str) -> uuid::Uuid {
    derived_uuid(seed, &format!("filesystem {name}"))
}

pub(super) fn volume_id(seed: &str, name: &str) -> u32 {
    derived_u32(seed, &format!("volume {name}"))
}

pub(super) fn is_bios_boot(partition: &PartitionNode) -> bool {
    partition.kind.as_deref().and_then(type_guid::parse) == Some(type_guid::BIOS_BOOT)
}

impl Plan {
    /// The layout on a disk of `size_kib` KiB.
    ///
    /// # Errors
    ///
    /// When the partitions do not fit.
    pub fn layout(&self, size_kib: u64) -> Result<DiskLayout> {
        let size_bytes = (size_kib * 1024).div_ceil(MIB) * MIB;
        let wrong = |what: String| {
            Failure::new(
                Kind::Configuration,
                format!("the disk of {} MiB: {what}", size_bytes / MIB),
            )
            .hint("--image-size raises the size of the image")
        };
        let partitions = match self.config.table.as_deref() {
            Some("gpt") => self.partitions(size_bytes, true).map_err(wrong)?,
            Some(_) => self.partitions(size_bytes, false).map_err(wrong)?,
            None => Vec::new(),
        };
        let table = match self.config.table.as_deref() {
            Some("gpt") => Table::Gpt { disk_guid: derived_uuid(&self.seed, "disk") },
            Some(_) => Table::Mbr { disk_id: derived_u32(&self.seed, "disk") },
            None => Table::None,
        };
        let layout = DiskLayout {
            size_bytes,
            sector_size: self.config.sector,
            epoch: self.epoch,
            table,
            partitions,
            filesystems: self.config.filesystems.iter().map(|mkfs| self.filesystem(mkfs)).collect(),
        };
        layout
            .validate()
            .map_err(|error| Failure::wrap(Kind::Configuration, "the block device", &error))?;
        Ok(layout)
    }

    fn filesystem(&self, mkfs: &MkfsNode) -> Filesystem {
        let at = self.config.partitions.iter().position(|partition| partition.name == mkfs.base);
        let number = at.and_then(|at| u32::try_from(at + 1).ok());
        let kind = match mkfs.kind.as_str() {
            "vfat" => FsKind::Vfat(VfatOptions {
                volume_id: volume_id(&self.seed, &mkfs.name),
                fat_bits: None,
            }),
            "swap" => FsKind::Swap,
            _ if mkfs.mount_point.as_deref() == Some("/") => FsKind::Ext4(self.root_ext4),
            _ => FsKind::Ext4(Ext4Options { journal_mib: None, ..Ext4Options::default() }),
        };
        Filesystem {
            name: mkfs.name.clone(),
            on: number.map_or(On::Whole, On::Partition),
            kind,
            label: mkfs.label.clone(),
            uuid: filesystem_uuid(&self.seed, &mkfs.name),
            mount_point: mkfs.mount_point.clone(),
        }
    }

    /// Places partitions one after the other from the first MiB on, each a whole number of
    /// MiB. On a GPT 2 MiB of the disk are the tables', as diskimage-builder counts; on an
    /// MBR the first one.
    fn partitions(
        &self,
        size_bytes: u64,
        gpt: bool,
    ) -> std::result::Result<Vec<Partition>, String> {
        let sector = u64::from(self.config.sector);
        let mut next = MIB;
        let mut free =
            size_bytes.checked_sub(if gpt { 2 * MIB } else { MIB }).ok_or("too small")?;
        let mut partitions = Vec::new();
        if !gpt && self.config.partitions.len() > 4 {
            return Err("more than four partitions need a gpt; logical ones cannot be written yet"
                .to_owned());
        }
        for (index, node) in self.config.partitions.iter().enumerate() {
            let wanted = size::bytes(&node.size, free)? / MIB * MIB;
            if wanted == 0 || wanted > free {
                return Err(format!(
                    "partition {} of {} does not fit into the {} MiB that are left",
                    node.name,
                    node.size,
                    free / MIB
                ));
            }
            let kind = kind(node, gpt, &self.seed)?;
            partitions.push(Partition {
                number: u32::try_from(index + 1).map_err(|error| error.to_string())?,
                name: node.name.clone(),
                start_lba: next / sector,
                sectors: wanted / sector,
                kind,
            });
            next += wanted;
            free -= wanted;
        }
        Ok(partitions)
    }
}

fn kind(node: &PartitionNode, gpt: bool, seed: &str) -> std::result::Result<PartitionKind, String> {
    let has = |flag: &str| node.flags.iter().any(|own| own == flag);
    if gpt {
        if has("primary") {
            return Err(format!("partition {}: a gpt knows no primary partitions", node.name));
        }
        let code = node.kind.as_deref().unwrap_or("8300");
        let type_guid = type_guid::parse(code)
            .ok_or_else(|| format!("partition {}: the type {code} is not known", node.name))?;
        let guid = derived_uuid(seed, &format!("partition {}", node.name));
        return Ok(PartitionKind::Gpt { type_guid, guid, attributes: 0 });
    }
    let type_byte = match node.kind.as_deref() {
        None => mbr_type::LINUX,
        Some(code) => byte(code)
            .ok_or_else(|| format!("partition {}: the type {code} is no byte", node.name))?,
    };
    Ok(PartitionKind::Mbr { type_byte, active: has("boot"), ebr_lba: None })
}

/// A hexadecimal byte, `0x83` or `83`; YAML makes a number of the first.
fn byte(code: &str) -> Option<u8> {
    match code.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => code.parse().ok().or_else(|| u8::from_str_radix(code, 16).ok()),
    }
}
