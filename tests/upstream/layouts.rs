//! Layouts of disks, and a boot loader of boards, with an operating system of two files.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Result, ensure};
use goldsmith_tests::{TestEnv, Tree};

use crate::build_in;

/// Names and places, in sectors, of the partitions of a GPT.
fn partitions(disk: &[u8], sector: usize) -> Result<Vec<(String, u64, u64)>> {
    let header = &disk[sector..2 * sector];
    ensure!(header.starts_with(b"EFI PART"), "no GPT for sectors of {sector} bytes");
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let mut found = Vec::new();
    let table = usize::try_from(number(&header[72..80]))? * sector;
    for entry in disk[table..].chunks(128).take(128).filter(|entry| entry[0] != 0) {
        let name: Vec<_> =
            entry[56..128].chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let name = String::from_utf16(&name)?.trim_end_matches('\0').to_owned();
        found.push((name, number(&entry[32..40]), number(&entry[40..48])));
    }
    Ok(found)
}

pub(crate) fn layouts() -> Result<()> {
    let place = TestEnv::new()?;
    for (element, sector, names) in [
        ("block-device-gpt", 512, &["BSP", "root"][..]),
        ("block-device-efi-4k", 4096, &["ESP", "BSP", "root"]),
    ] {
        let words = ["-n", "-t", "raw", "-o", "x", "files", element];
        build_in(&place, "disk-image-create", &words, &BTreeMap::new())?;
        let disk = fs_err::read(place.path("x.raw"))?;
        let found = partitions(&disk, sector)?;
        let named: Vec<_> = found.iter().map(|(name, ..)| name.as_str()).collect();
        ensure!(named == names, "{element}: {found:?}");
        let (_, first, _) = found.last().expect("not empty");
        let root = usize::try_from(*first)? * sector;
        ensure!(disk[root + 1080..root + 1082] == [0x53, 0xef], "{element}: no ext4 in root");
        fs_err::remove_file(place.path("x.raw"))?;
    }
    volumes(&place)
}

/// The third partition is 40 GB of volumes, so only the beginning of the disk is read.
fn volumes(place: &TestEnv) -> Result<()> {
    // Without it a root file system on a volume is refused: it would not be found at boot.
    let lvm = "#!/bin/bash\nset -eu\nmkdir -p \"$TARGET_ROOT/usr/sbin\"\ntouch \"$TARGET_ROOT/usr/sbin/lvm\"\n";
    place.element("has-lvm/root.d/20-lvm", lvm)?;
    let words = ["-n", "-t", "raw", "-o", "x", "--image-size", "41", "files", "has-lvm"];
    let words = [&words[..], &["block-device-efi-lvm"]].concat();
    build_in(place, "disk-image-create", &words, &BTreeMap::new())?;
    let mut disk = Vec::new();
    fs_err::File::open(place.path("x.raw"))?.take(600 << 20).read_to_end(&mut disk)?;
    let found = partitions(&disk, 512)?;
    let named: Vec<_> = found.iter().map(|(name, ..)| name.as_str()).collect();
    ensure!(named == ["ESP", "BSP", "root"], "{found:?}");
    let group = usize::try_from(found[2].1)? * 512;
    ensure!(disk[group + 512..].starts_with(b"LABELONE"), "no physical volume");
    let text = String::from_utf8_lossy(&disk[group..group + (1 << 20)]).into_owned();
    for part in ["vg {", "lv_root {", "lv_var {", "lv_home {"] {
        ensure!(text.contains(part), "no {part:?} in the group's description");
    }
    ensure!(disk[group + (1 << 20)..].starts_with(b"XFSB"), "no xfs on the first volume");
    Ok(fs_err::remove_file(place.path("x.raw"))?)
}

pub(crate) fn uboot() -> Result<()> {
    let place = TestEnv::new()?;
    let words = ["-n", "-a", "armhf", "-t", "tar", "-o", "x", "files", "uboot"];
    build_in(&place, "disk-image-create", &words, &BTreeMap::new())?;
    let tree = Tree::read(&place.path("x.tar"), &["/boot/*"])?;
    for (file, name, content) in
        [("/boot/vmlinuz-1", "Kernel", "kernel"), ("/boot/initrd.img-1", "RAMdisk", "ramdisk")]
    {
        let text = tree.text(file)?;
        ensure!(text.contains(name) && text.contains(content), "{file}: {text:?}");
        ensure!(text.starts_with('\'') || text.starts_with("'\u{5}"), "{file}: {text:?}");
    }
    Ok(())
}
