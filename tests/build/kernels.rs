//! The shipped elements that work on the kernel and its initial RAM disk, in one image.

use anyhow::{Result, ensure};
use goldsmith_tests::shipped;

use crate::image::Image;

fn kernel() -> Result<Image> {
    Image::build(
        "kernel",
        &shipped::KERNEL,
        &[
            ("DIB_DEBIAN_KERNEL", "cloud"),
            ("DIB_DRACUT_ENABLED_MODULES", "[{name: lvm, packages: [lvm2]}]"),
        ],
    )
}

#[test]
fn cleanup_kernel_initrd_leaves_the_newest_kernel() -> Result<()> {
    let image = kernel()?;
    let kernels = image.list.lines().filter(|line| line.contains("./boot/vmlinuz-")).count();
    ensure!(kernels == 1, "{kernels} kernels are left");
    image.lacks(&["/boot/vmlinuz-1.0-old", "/boot/config-1.0-old", "/boot/initrd.img-1.0-old"])
}

#[test]
fn dracut_regenerate_puts_modules_into_the_initial_ram_disk() -> Result<()> {
    let image = kernel()?;
    image.installed(&["dracut", "lvm2"])?;
    image.has(&["/etc/dracut.conf.d/disable-nouveau.conf"])?;
    ensure!(image.text("/probe/lsinitrd")?.lines().any(|line| line == "lvm"));
    Ok(())
}

#[test]
fn iso_boots_from_bios_and_from_uefi() -> Result<()> {
    let image = kernel()?;
    let iso = image.tar.with_file_name("kernel-boot.iso");
    let bytes = fs_err::read(&iso)?;
    let at = |from: usize, length: usize| bytes.get(from..from + length).unwrap_or_default();
    ensure!(at(0x8001, 5) == b"CD001", "no ISO 9660");
    ensure!(at(0x8028, 16) == b"VMEDIA_BOOT_ISO ", "another label");
    ensure!(at(0x8801, 5) == b"CD001" && at(0x8807, 23) == b"EL TORITO SPECIFICATION");
    let sector = u32::from_le_bytes(at(0x8847, 4).try_into()?) as usize * 2048;
    // The default entry is for a BIOS; after it comes the section of UEFI, platform 0xEF.
    ensure!(at(sector + 32, 1) == [0x88] && at(sector + 64, 2) == [0x91, 0xEF], "no entries");
    let efi = u32::from_le_bytes(at(sector + 96 + 8, 4).try_into()?) as usize * 2048;
    ensure!(at(efi + 510, 2) == [0x55, 0xAA] && at(efi + 54, 3) == b"FAT", "no FAT for UEFI");
    let text = String::from_utf8_lossy(&bytes);
    ensure!(text.contains("KERNEL /vmlinuz") && text.contains("root=LABEL=cloudimg-rootfs"));
    Ok(())
}
