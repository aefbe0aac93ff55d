//! Partition tables and the partitions they name.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The kind of partition table a disk begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Table {
    /// None: the disk is a file system.
    None,
    /// GUID partition table with a protective MBR and a backup at the end.
    Gpt {
        /// The disk's own identifier.
        disk_guid: Uuid,
    },
    /// DOS partition table; 512-byte sectors only.
    Mbr {
        /// The disk signature at byte 440.
        disk_id: u32,
    },
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its number as the guest's kernel counts: GPT slot, MBR 1 to 4, logical from 5.
    pub number: u32,
    /// Its name; written into a GPT, informative on an MBR.
    pub name: String,
    /// First sector.
    pub start_lba: u64,
    /// Number of sectors.
    pub sectors: u64,
    /// What the table says about it.
    pub kind: PartitionKind,
}

/// What a table records beside place and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "table", rename_all = "lowercase")]
pub enum PartitionKind {
    /// An entry of a GPT.
    Gpt {
        /// What the partition is for.
        type_guid: Uuid,
        /// Its own identifier.
        guid: Uuid,
        /// Attribute bits.
        attributes: u64,
    },
    /// An entry of an MBR, primary or logical.
    Mbr {
        /// What the partition is for.
        type_byte: u8,
        /// Whether the boot flag is set.
        active: bool,
        /// For a logical partition the sector of its extended boot record, which lies
        /// before `start_lba`. The extended partition itself is not listed: it begins
        /// at the first such record and reaches to the end of the disk.
        ebr_lba: Option<u64>,
    },
}

impl Partition {
    /// The sector of the extended boot record, for logical partitions.
    pub fn ebr_lba(&self) -> Option<u64> {
        match self.kind {
            PartitionKind::Mbr { ebr_lba, .. } => ebr_lba,
            PartitionKind::Gpt { .. } => None,
        }
    }

    /// The sector after the last one.
    pub fn end_lba(&self) -> u64 {
        self.start_lba + self.sectors
    }
}

/// GPT partition types that goldsmith itself asks for, and the codes of all that `sgdisk` has.
pub mod type_guid {
    use uuid::{Uuid, uuid};

    /// Linux file system data, `8300`.
    pub const LINUX: Uuid = uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4");
    /// EFI system partition, `EF00`.
    pub const ESP: Uuid = uuid!("C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
    /// BIOS boot partition, `EF02`.
    pub const BIOS_BOOT: Uuid = uuid!("21686148-6449-6E6F-744E-656564454649");
    /// Linux LVM, `8E00`.
    pub const LVM: Uuid = uuid!("E6D6D379-F507-44C2-A23C-238F2A3DF928");
    /// PowerPC PReP boot, `4100`.
    pub const PREP: Uuid = uuid!("9E1A2D38-C612-4316-AA26-8B49521E5A8B");

    /// The type behind a short code (`EF00`, also with `0x`) or a GUID written out.
    pub fn parse(code: &str) -> Option<Uuid> {
        let bare = code.strip_prefix("0x").or_else(|| code.strip_prefix("0X")).unwrap_or(code);
        match bare.len() {
            4 => u16::from_str_radix(bare, 16).ok().and_then(super::super::gpt_codes::guid),
            36 => Uuid::parse_str(bare).ok(),
            _ => None,
        }
    }
}

/// MBR partition types.
pub mod mbr_type {
    /// Linux file system.
    pub const LINUX: u8 = 0x83;
    /// Linux swap.
    pub const SWAP: u8 = 0x82;
    /// EFI system partition.
    pub const ESP: u8 = 0xef;
    /// PowerPC PReP boot.
    pub const PREP: u8 = 0x41;
    /// Extended partition with LBA addressing, as the MBR names it.
    pub const EXTENDED_LBA: u8 = 0x0f;
    /// Extended partition, as an extended boot record names its successor.
    pub const EXTENDED: u8 = 0x05;
    /// The whole disk, in the protective MBR of a GPT.
    pub const PROTECTIVE: u8 = 0xee;
}
