//! Embeds GRUB for BIOS: its boot sector and core image, patched with their places.
//!
//! UEFI needs nothing here: its loader is a file in the EFI system partition.

use super::layout::{DiskLayout, Extent};
use super::sink::offset_of;
use super::table::Fragment;

/// Code of the boot sector; disk signature and partition entries follow.
const CODE: usize = 0x1b8;
/// In `boot.img`: first sector of the core image, eight bytes.
const BOOT_CORE_LBA: usize = 0x5c;
/// In `boot.img`: the drive to read; 0xff means the one that booted.
const BOOT_DRIVE: usize = 0x64;
/// In `boot.img`: a jump that distrusts the drive number, replaced by two no-ops as
/// GRUB does for hard disks.
const BOOT_DRIVE_CHECK: usize = 0x66;
/// In `core.img`: where its own first sector finds the rest, eight bytes. Length and
/// segment beside it are `grub-mkimage`'s.
const CORE_NEXT_LBA: usize = 0x1f4;
/// Sectors GRUB's i386-pc code was written for.
const SECTOR: u64 = 512;

/// The files of a boot loader that lie outside any file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootFiles {
    /// GRUB for BIOS, if the disk is to boot that way.
    pub bios: Option<BiosBoot>,
}

/// GRUB's two images for i386-pc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BiosBoot {
    /// `boot.img` of the target's GRUB.
    pub boot_img: Vec<u8>,
    /// What `grub-mkimage -O i386-pc` made.
    pub core_img: Vec<u8>,
}

/// Why a boot loader cannot be embedded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// Not the 512 bytes of a boot sector.
    #[error("boot.img has {len} bytes and not 512")]
    BootImage {
        /// Its length.
        len: usize,
    },
    /// Too short to be a core image.
    #[error("core.img of {len} bytes is no core image")]
    CoreImage {
        /// Its length.
        len: usize,
    },
    /// The disk has no partition table.
    #[error("BIOS boot code needs a partition table; this disk is a bare file system")]
    NoTable,
    /// A GPT without a BIOS boot partition, or partitions that begin at once.
    #[error("there is no BIOS boot partition and no gap for GRUB's core image")]
    NoArea,
    /// The core image does not fit.
    #[error("GRUB's core image needs {needed} bytes where there are {available}")]
    TooSmall {
        /// Its length.
        needed: u64,
        /// Bytes of the BIOS boot partition or gap.
        available: u64,
    },
    /// GRUB for BIOS counts in sectors of 512 bytes.
    #[error("GRUB for BIOS cannot boot a disk with sectors of {sector_size} bytes")]
    SectorSize {
        /// The disk's.
        sector_size: u32,
    },
}

/// Adds the boot code: the code of the first sector goes into the table's first
/// fragment, the core image becomes one of its own, whose extent is returned.
pub(super) fn embed(
    layout: &DiskLayout,
    bios: &BiosBoot,
    fragments: &mut Vec<Fragment>,
) -> Result<Extent, BootError> {
    if u64::from(layout.sector_size) != SECTOR {
        return Err(BootError::SectorSize { sector_size: layout.sector_size });
    }
    let first = fragments.first_mut().ok_or(BootError::NoTable)?;
    let area = layout.bios_area().ok_or(BootError::NoArea)?;
    let mut core = bios.core_img.clone();
    core.resize(core.len().next_multiple_of(512), 0);
    let needed = offset_of(core.len());
    if needed > area.len {
        return Err(BootError::TooSmall { needed, available: area.len });
    }
    if bios.boot_img.len() != 512 {
        return Err(BootError::BootImage { len: bios.boot_img.len() });
    }
    if core.len() < 2 * 512 {
        return Err(BootError::CoreImage { len: bios.core_img.len() });
    }
    let lba = area.offset / SECTOR;
    let mut code = bios.boot_img.clone();
    code.truncate(CODE);
    patch(&mut code, BOOT_CORE_LBA, &lba.to_le_bytes());
    patch(&mut code, BOOT_DRIVE, &[0xff]);
    patch(&mut code, BOOT_DRIVE_CHECK, &[0x90, 0x90]);
    patch(&mut first.bytes, 0, &code);
    patch(&mut core, CORE_NEXT_LBA, &(lba + 1).to_le_bytes());
    fragments.push(Fragment { offset: area.offset, bytes: core });
    Ok(Extent { offset: area.offset, len: needed })
}

/// Overwrites bytes; the lengths were checked.
fn patch(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(old) = bytes.get_mut(at..at + new.len()) {
        old.copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Partition, PartitionKind, Table, mbr_type};
    use super::super::table;
    use super::*;

    fn layout(start_lba: u64) -> DiskLayout {
        DiskLayout {
            size_bytes: 16 << 20,
            sector_size: 512,
            epoch: 0,
            table: Table::Mbr { disk_id: 0xaabb_ccdd },
            partitions: vec![Partition {
                number: 1,
                name: "root".into(),
                start_lba,
                sectors: 4096,
                kind: PartitionKind::Mbr {
                    type_byte: mbr_type::LINUX,
                    active: true,
                    ebr_lba: None,
                },
            }],
            groups: Vec::new(),
            elsewhere: Vec::new(),
            filesystems: Vec::new(),
        }
    }

    fn grub() -> BiosBoot {
        BiosBoot { boot_img: vec![0xeb; 512], core_img: vec![0xc0; 70_001] }
    }

    #[test]
    fn code_is_patched_and_the_table_is_kept() {
        let layout = layout(2048);
        let plain = table::fragments(&layout).unwrap();
        let mut fragments = plain.clone();
        let extent = embed(&layout, &grub(), &mut fragments).unwrap();
        assert_eq!((extent.offset, extent.len), (512, 137 * 512));
        let sector = &fragments[0].bytes;
        assert_eq!(sector[CODE..], plain[0].bytes[CODE..]);
        assert_eq!(sector[BOOT_CORE_LBA..BOOT_CORE_LBA + 8], 1_u64.to_le_bytes());
        assert_eq!((sector[0], sector[0x64], sector[0x65]), (0xeb, 0xff, 0xeb));
        assert_eq!(sector[0x66..0x68], [0x90, 0x90]);
        let core = &fragments[1].bytes;
        assert_eq!(core[CORE_NEXT_LBA..CORE_NEXT_LBA + 8], 2_u64.to_le_bytes());
        assert_eq!(core[70_000..70_002], [0xc0, 0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bad = |layout: &DiskLayout, grub: &BiosBoot| {
            let mut fragments = table::fragments(layout).unwrap();
            embed(layout, grub, &mut fragments).unwrap_err().to_string()
        };
        let text = bad(&layout(63), &grub());
        assert!(text.contains("70144 bytes where there are 31744"), "{text}");
        assert!(bad(&layout(1), &grub()).contains("no gap"));
        let short = BiosBoot { boot_img: vec![0; 440], ..grub() };
        assert!(bad(&layout(2048), &short).contains("440 bytes"));
        let mut none = layout(2048);
        none.table = Table::None;
        assert!(bad(&none, &grub()).contains("bare file system"));
        let mut large = layout(2048);
        large.sector_size = 4096;
        assert!(bad(&large, &grub()).contains("4096"));
    }
}
