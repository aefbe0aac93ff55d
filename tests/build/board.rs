//! Shipped elements that need no more than a tree: a disk of sectors of 4096 bytes, and files for
//! machines with U-Boot.

use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{TestEnv, shipped};

use crate::image::Image;

const SOURCES: &str = "# of the test\ndeb https://example.invalid/debian bookworm main\n";
const KERNEL: &str = "kernel of the probe\n";

/// Bytes of a disk, most of which is a hole.
fn at(disk: &fs_err::File, from: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    disk.file().read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

fn board() -> Result<Image> {
    let env = TestEnv::with_small_os()?;
    // ARM as far as hooks are concerned: nothing of the image is run on such a machine.
    env.element("probe-board/environment.d/99-probe-board.bash", "export ARCH=armhf\n")?;
    env.element(
        "probe-board/install.d/60-probe-board",
        "#!/bin/bash\nset -eu\n\
         echo 'kernel of the probe' > /boot/vmlinuz-6.1-armmp\n\
         echo 'RAM disk of the probe' > /boot/initrd.img-6.1-armmp\n",
    )?;
    fs_err::write(env.path("sources"), SOURCES)?;
    let sources = env.path("sources").display().to_string();
    let variables = [("DIB_APT_SOURCES", sources.as_str()), ("UBOOT_KERNEL_ADDR", "0x81000000")];
    Image::build_as(&env, "board", "tar,raw", &["-n"], &shipped::BOARD, &variables)
}

#[test]
fn apt_sources_replaces_the_list_and_others_do_nothing_unasked() -> Result<()> {
    let image = board()?;
    ensure!(image.text("/etc/apt/sources.list")? == SOURCES);
    image.lacks(&["/etc/apt/apt.conf", "/etc/apt/preferences"])
}

#[test]
fn block_device_efi_4k_has_large_sectors() -> Result<()> {
    let image = board()?;
    let disk = fs_err::File::open(image.tar.with_file_name("board.raw"))?;
    // The header of the GPT is sector 1; entries have 128 bytes, from sector 2 on.
    ensure!(&at(&disk, 4096, 8)? == b"EFI PART", "no GPT of 4096 bytes a sector");
    ensure!(&at(&disk, 512, 8)? != b"EFI PART");
    let number = |from: u64| -> Result<u64> {
        let bytes: [u8; 8] = at(&disk, from, 8)?.try_into().ok().context("the disk is short")?;
        Ok(u64::from_le_bytes(bytes) * 4096)
    };
    let partition = |index: u64| number(2 * 4096 + index * 128 + 32);
    let (esp, root) = (partition(0)?, partition(2)?);
    ensure!(at(&disk, esp + 510, 2)? == [0x55, 0xAA], "no FAT");
    ensure!(at(&disk, esp + 11, 2)? == [0, 16], "a FAT of other sectors");
    ensure!(at(&disk, root + 1024 + 56, 2)? == [0x53, 0xEF], "no ext4");
    let fstab = image.text("/etc/fstab")?;
    ensure!(fstab.contains("/boot/efi") && fstab.contains(" / ext4 "), "{fstab}");
    Ok(())
}

#[test]
fn block_device_gpt_has_room_for_grub_and_the_root() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let image = Image::build_as(&env, "gpt", "tar,raw", &["-n"], &shipped::GPT, &[])?;
    let disk = fs_err::File::open(image.tar.with_file_name("gpt.raw"))?;
    let table = at(&disk, 0, 34 * 512)?;
    ensure!(table.get(512..520) == Some(b"EFI PART".as_slice()), "no GPT");
    // Types as they lie on the disk: GRUB's partition, and a Linux file system.
    let kinds = [
        [
            0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6F, 0x6E, 0x74, 0x4E, 0x65, 0x65, 0x64, 0x45,
            0x46, 0x49,
        ],
        [
            0xAF, 0x3D, 0xC6, 0x0F, 0x83, 0x84, 0x72, 0x47, 0x8E, 0x79, 0x3D, 0x69, 0xD8, 0x47,
            0x7D, 0xE4,
        ],
        [0; 16],
    ];
    for (index, kind) in kinds.iter().enumerate() {
        let at = 1024 + index * 128;
        ensure!(table.get(at..at + 16) == Some(kind), "partition {index} is another one");
    }
    image.lacks(&["/boot/efi"])
}

#[test]
fn uboot_wraps_what_baremetal_copies() -> Result<()> {
    let image = board()?;
    for (ending, kind, text) in
        [("vmlinuz", 2, KERNEL.as_bytes()), ("initrd", 3, b"RAM disk of the probe\n")]
    {
        let file = fs_err::read(image.tar.with_file_name(format!("board.{ending}")))?;
        ensure!(file.get(..4) == Some(&[0x27, 0x05, 0x19, 0x56]), "{ending} is not wrapped");
        // System Linux, architecture ARM, the kind, and what is wrapped after 64 bytes.
        ensure!(file.get(28..31) == Some(&[5, 2, kind]), "{ending}: {:?}", file.get(..64));
        ensure!(file.get(64..) == Some(text), "{ending} holds something else");
        if ending == "vmlinuz" {
            ensure!(file.get(16..20) == Some(&[0x81, 0, 0, 0]), "loaded elsewhere");
        }
    }
    Ok(())
}

#[test]
fn block_device_efi_lvm_has_a_group_of_volumes() -> Result<()> {
    let env = TestEnv::new()?;
    let options = ["-n", "--image-size", "41"];
    let variables = [("DIB_DEBIAN_KERNEL", "none")];
    let image =
        Image::build_as(&env, "volumes", "tar,raw", &options, &shipped::VOLUMES, &variables)?;
    let disk = fs_err::File::open(image.tar.with_file_name("volumes.raw"))?;
    let table = at(&disk, 0, 34 * 512)?;
    ensure!(table.get(512..520) == Some(b"EFI PART".as_slice()), "no GPT");
    let first: [u8; 8] = table[1024 + 2 * 128 + 32..][..8].try_into()?;
    let volume = u64::from_le_bytes(first) * 512;
    ensure!(at(&disk, volume + 512, 8)? == b"LABELONE", "no physical volume");
    let text = String::from_utf8_lossy(&at(&disk, volume, 1 << 20)?).into_owned();
    for part in ["vg {", "lv_root {", "lv_var {", "lv_home {", "extent_count = "] {
        ensure!(text.contains(part), "no {part:?} in the group's description");
    }
    // The first volume begins where extents do.
    ensure!(at(&disk, volume + (1 << 20), 4)? == b"XFSB", "no xfs on the first volume");
    let fstab = image.text("/etc/fstab")?;
    for line in [
        "LABEL=img-rootfs / xfs rw,relatime 0 1",
        "LABEL=fs_var /var xfs rw,relatime 0 2",
        "LABEL=fs_home /home xfs rw,nodev,relatime 0 2",
    ] {
        ensure!(fstab.lines().any(|other| other == line), "no {line:?} in {fstab}");
    }
    ensure!(image.text("/var/lib/dpkg/status")?.contains("Package: lvm2\n"));
    Ok(())
}
