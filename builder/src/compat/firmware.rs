//! What diskimage-builder's elements say of the machine that is to start an image.

use crate::block_device::Firmware;

/// The element whose hook puts GRUB onto the disk.
const LOADER: &str = "bootloader";
const UEFI: [&str; 3] = ["block-device-efi", "block-device-efi-4k", "block-device-efi-lvm"];
const BIOS: &str = "block-device-gpt";

/// The firmware that an image of these elements is for, if they have a boot loader put onto its
/// disk and the layout must have a place for it. `arch` is dpkg's name.
pub fn firmware(elements: &[&str], arch: &str) -> Option<Firmware> {
    if !elements.contains(&LOADER) {
        return None;
    }
    if let Some(element) = elements.iter().find(|name| UEFI.contains(name)) {
        return Some(Firmware::Uefi { element: (*element).to_owned() });
    }
    let bios = elements.contains(&BIOS) && ["amd64", "i386"].contains(&arch);
    bios.then(|| Firmware::Bios { element: BIOS.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_loader_and_a_layout_name_the_firmware() {
        let of = |elements: &[&str], arch| firmware(elements, arch);
        let uefi = Firmware::Uefi { element: "block-device-efi".into() };
        assert_eq!(of(&["vm", "bootloader", "block-device-efi"], "arm64"), Some(uefi));
        assert_eq!(of(&["block-device-efi"], "arm64"), None);
        let bios = Firmware::Bios { element: "block-device-gpt".into() };
        assert_eq!(of(&["block-device-gpt", "bootloader"], "i386"), Some(bios));
        assert_eq!(of(&["block-device-gpt", "bootloader"], "ppc64el"), None);
        assert_eq!(of(&["block-device-mbr", "bootloader"], "amd64"), None);
    }
}
