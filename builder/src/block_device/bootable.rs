//! Whether firmware could start a disk: what the boot loader's hook would find out at the end is
//! said before the build.

use super::wrong::{Checked, Wrong};
use super::{Plan, types};
use crate::error::Result;

/// What is to start an image, and the element that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    /// It reads an EFI system partition.
    Uefi {
        /// Its name.
        element: String,
    },
    /// It starts code outside of file systems, for which a GPT needs a partition.
    Bios {
        /// Its name.
        element: String,
    },
}

impl Plan {
    /// Refuses a layout that has no place for the boot loader of this firmware.
    ///
    /// # Errors
    ///
    /// For UEFI without an EFI system partition at /boot/efi; for a BIOS and a GPT without a
    /// partition of type EF02, or with sectors of 4096 bytes. Line and node are named.
    pub fn check_boot(&self, firmware: &Firmware) -> Result<()> {
        let checked = match firmware {
            Firmware::Uefi { element } => self.starts_by_uefi(element),
            Firmware::Bios { element } => self.starts_by_bios(element),
        };
        checked.map_err(|wrong| wrong.failure(&self.file))
    }

    fn starts_by_uefi(&self, element: &str) -> Checked<()> {
        let esp = self.config.mounted_at("/boot/efi");
        let (line, node) = match (esp, self.config.image()) {
            (Some(mkfs), _) if mkfs.kind == "vfat" => return Ok(()),
            (Some(mkfs), _) => (mkfs.line, &mkfs.name),
            (None, Some(image)) => (image.line, &image.name),
            (None, None) => return Ok(()),
        };
        let what = "no vfat is mounted at /boot/efi, where GRUB for UEFI goes";
        Err(Wrong::new(line, node, what).hint(format!(
            "element {element} is for UEFI: it needs a partition of type EF00 with that"
        )))
    }

    fn starts_by_bios(&self, element: &str) -> Checked<()> {
        let Some(image) = self.config.image() else { return Ok(()) };
        let Some(table) = image.table.as_ref().filter(|table| table.gpt) else { return Ok(()) };
        if image.sector != 512 {
            let what = format!("a BIOS reads sectors of 512 bytes, not of {}", image.sector);
            return Err(Wrong::new(image.line, &image.name, what)
                .hint("UEFI reads both; label: mbr is for a BIOS, too, with those of 512"));
        }
        if !table.partitions.iter().any(types::is_bios_boot) {
            let what = "there is no partition of type EF02, where GRUB for BIOS goes";
            return Err(Wrong::new(table.line, &table.name, what)
                .hint(format!("element {element} is for a BIOS: 8MiB of that type are enough")));
        }
        Ok(())
    }
}
