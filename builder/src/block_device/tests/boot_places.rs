//! What a finished tree has to have to be started.

use super::*;

const GPT: &str = "
- local_loop: {name: image0}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - {name: ESP, type: EF00, size: 40MiB, mkfs: {type: vfat, mount: {mount_point: /efi}}}
      - {name: BSP, type: EF02, size: 8MiB}
      - {name: root, size: 100%, mkfs: {name: mkfs_root, mount: {mount_point: /}}}
";

#[test]
fn a_kernel_needs_a_boot_loader_for_one_of_the_places() {
    let plan = load(GPT).unwrap();
    let paths = plan.loader_paths("amd64");
    let grub = ["boot/grub/i386-pc/core.img", "boot/grub2/i386-pc/core.img"];
    assert_eq!(paths, [&["efi/EFI/", "efi/efi/"][..], &grub].concat());
    let failure = plan.check_loader("amd64", true, &[false; 4]).unwrap_err();
    let what = ":7: partition ESP: it is for a boot loader, and the tree, which has a kernel, has none for UEFI or BIOS";
    assert!(failure.message.contains(what), "{failure}");
    // One of them starts it; and without a kernel there is nothing to start.
    plan.check_loader("amd64", true, &[false, false, false, true]).unwrap();
    plan.check_loader("amd64", false, &[false; 4]).unwrap();
    // No machine of these has a BIOS.
    assert_eq!(plan.loader_paths("arm64"), ["efi/EFI/", "efi/efi/"]);
    let mbr = GPT.replace("label: gpt", "label: mbr").replace("EF00", "'0xef'");
    let mbr = mbr.replace("      - {name: BSP, type: EF02, size: 8MiB}\n", "");
    assert_eq!(load(&mbr).unwrap().loader_paths("amd64"), ["efi/EFI/", "efi/efi/"]);
    let active = mbr.replace("{name: root,", "{name: root, flags: [boot],");
    assert_eq!(load(&active).unwrap().loader_paths("amd64").len(), 4);
    let bare = "- local_loop: {name: a, mkfs: {name: mkfs_root, mount: {mount_point: /}}}";
    load(bare).unwrap().check_loader("amd64", true, &[]).unwrap();
}
