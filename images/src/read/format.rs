//! Which file system lies in a partition, by its magic.

use std::fmt;
use std::io;

use super::fields::{le16, le32, text};
use super::medium::{Medium, bytes};

/// What a partition can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ext2, ext3 or ext4.
    Ext,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// A physical volume of LVM.
    Lvm,
    /// LUKS encryption.
    Luks,
    /// A member of a software RAID.
    Raid,
    /// Swap.
    Swap,
    /// squashfs.
    Squashfs,
    /// EROFS.
    Erofs,
    /// F2FS.
    F2fs,
    /// ISO 9660.
    Iso,
    /// NTFS.
    Ntfs,
    /// exFAT.
    Exfat,
}

impl Format {
    /// Whether [`super::open_volume`] reads it.
    pub fn is_read(self) -> bool {
        matches!(
            self,
            Self::Ext | Self::Xfs | Self::Btrfs | Self::Fat | Self::Squashfs | Self::Erofs
        )
    }
}

impl Format {
    /// Whether it is a file system that is not read: swap is none, nor is what holds others.
    pub(super) fn is_unread(self) -> bool {
        matches!(self, Self::F2fs | Self::Iso | Self::Ntfs | Self::Exfat)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ext => "ext4",
            Self::Fat => "vfat",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Lvm => "LVM",
            Self::Luks => "LUKS",
            Self::Raid => "software RAID",
            Self::Swap => "swap",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
            Self::F2fs => "f2fs",
            Self::Iso => "ISO 9660",
            Self::Ntfs => "NTFS",
            Self::Exfat => "exFAT",
        })
    }
}

/// A format, and what its first bytes say of the file system's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magic {
    /// The format.
    pub format: Format,
    /// The label; empty when there is none.
    pub label: String,
    /// The identifier, as /etc/fstab spells it; empty when the format has none.
    pub uuid: String,
}

/// Where a magic number is and what it means.
const NUMBERS: [(usize, &[u8], Format); 17] = [
    (0, b"XFSB", Format::Xfs),
    (0x10040, b"_BHRfS_M", Format::Btrfs),
    (0, b"LUKS\xba\xbe", Format::Luks),
    (512, b"LABELONE", Format::Lvm),
    (0, b"LABELONE", Format::Lvm),
    (1024, b"LABELONE", Format::Lvm),
    (1536, b"LABELONE", Format::Lvm),
    (4096, b"\xfc\x4e\x2b\xa9", Format::Raid),
    (0, b"\xfc\x4e\x2b\xa9", Format::Raid),
    (4086, b"SWAPSPACE2", Format::Swap),
    (0, b"hsqs", Format::Squashfs),
    (1024, b"\xe2\xe1\xf5\xe0", Format::Erofs),
    (1024, b"\x10\x20\xf5\xf2", Format::F2fs),
    (0x8001, b"CD001", Format::Iso),
    (3, b"NTFS    ", Format::Ntfs),
    (3, b"EXFAT   ", Format::Exfat),
    (1080, b"\x53\xef", Format::Ext),
];

impl Magic {
    /// Looks at the first bytes of a file system.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn find(part: &dyn Medium) -> io::Result<Option<Self>> {
        let mut front =
            bytes(part, 0, usize::try_from(part.size()).unwrap_or(0x10400).min(0x10400))?;
        front.resize(0x10400, 0);
        let has = |at: usize, magic: &[u8]| front.get(at..).is_some_and(|b| b.starts_with(magic));
        let known = NUMBERS.iter().find(|(at, magic, _)| has(*at, magic));
        let format = match known {
            Some((_, _, format)) => *format,
            None if is_fat(&front) => Format::Fat,
            None => return Ok(None),
        };
        let (label, uuid) = names(format, &front);
        Ok(Some(Self { format, label, uuid }))
    }
}

/// FAT has no magic number; the fields that every one of them fills must make sense.
pub(super) fn is_fat(front: &[u8]) -> bool {
    let byte = |at: usize| front.get(at).copied().unwrap_or(0);
    let sector = le16(front, 11);
    le16(front, 510) == 0xaa55
        && matches!(byte(0), 0xe9 | 0xeb)
        && [512, 1024, 2048, 4096].contains(&sector)
        && byte(13).is_power_of_two()
        && le16(front, 14) > 0
        && (1..=2).contains(&byte(16))
        && (byte(21) == 0xf0 || byte(21) >= 0xf8)
        && (le16(front, 19) != 0 || le32(front, 32) != 0)
        && (le16(front, 22) != 0 || le32(front, 36) != 0)
}

fn names(format: Format, front: &[u8]) -> (String, String) {
    let slice = |at: usize, len: usize| front.get(at..at + len).unwrap_or_default();
    let uuid = |at: usize| {
        let bytes = <[u8; 16]>::try_from(slice(at, 16)).unwrap_or_default();
        uuid::Uuid::from_bytes(bytes).to_string()
    };
    match format {
        Format::Ext => (text(slice(1024 + 0x78, 16)), uuid(1024 + 0x68)),
        Format::Xfs => (text(slice(108, 12)), uuid(32)),
        Format::Btrfs => (text(slice(0x1012b, 256)), uuid(0x10020)),
        Format::Erofs => (text(slice(1024 + 64, 16)), uuid(1024 + 48)),
        Format::Swap => (text(slice(1052, 16)), uuid(1036)),
        Format::Fat => {
            // FAT32 has the longer block: 22 is zero there.
            let at = if le16(front, 22) == 0 { 67 } else { 39 };
            let id = le32(front, at);
            let label = text(slice(at + 4, 11));
            let label = if label == "NO NAME" { String::new() } else { label };
            (label, format!("{:04X}-{:04X}", id >> 16, id & 0xffff))
        }
        _ => (String::new(), String::new()),
    }
}
