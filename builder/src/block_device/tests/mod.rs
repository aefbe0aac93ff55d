mod boot_places;
mod disks;
mod errors;
mod read_only;
mod volumes;

use goldsmith_images::disk::layout::{FsKind, PartitionKind, XfsOptions};

use super::*;

fn load(text: &str) -> Result<Plan> {
    load_with(text, None)
}

fn load_with(text: &str, block_size: Option<&str>) -> Result<Plan> {
    Plan::load(&Inputs { config_override: Some(text), block_size, seed: "seed", ..plain_inputs() })
}

const EFI: &str = "
- local_loop:
    name: image0
- partitioning:
    base: image0
    label: gpt
    partitions:
      - name: ESP
        type: 'EF00'
        size: 8MiB
        mkfs:
          type: vfat
          mount:
            mount_point: /boot/efi
            fstab:
              options: umask=0077
              fsck-passno: 2
      - name: BSP
        type: 'EF02'
        size: 8MiB
      - name: root
        size: 100%
        mkfs:
          name: mkfs_root
          mount:
            mount_point: /
            fstab:
              fsck-passno: 1
";

// contract 9.15
#[test]
fn a_gpt_disk_of_one_gib() {
    let plan = load(EFI).unwrap();
    assert_eq!(plan.root_label(), "cloudimg-rootfs");
    assert_eq!(plan.mount_points(), "/boot/efi|/");
    assert_eq!(
        plan.fstab(),
        "LABEL=cloudimg-rootfs / ext4 defaults 0 1\nLABEL=MKFS_ESP /boot/efi vfat umask=0077 0 2\n"
    );
    let layout = plan.layout(1 << 20).unwrap();
    let sizes: Vec<_> = layout.partitions.iter().map(|p| p.sectors / 2048).collect();
    assert_eq!(sizes, [8, 8, 1006]);
    assert_eq!(layout.partitions[0].start_lba, 2048);
    assert!(matches!(layout.filesystems[0].kind, FsKind::Vfat(_)));
    assert_eq!(plan.layout(1 << 20).unwrap(), layout);
    assert!(plan.facts().contains("bios=partition\n"));
    assert!(plan.devices().contains("[root]=/dev/mapper/loop0p3"));
    assert!(plan.layout(4096).is_err());
}

#[test]
fn the_list_form_is_the_same_as_the_tree() {
    let list = "
- local_loop: {name: image0}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - {name: ESP, type: 'EF00', size: 8MiB}
      - {name: BSP, type: 'EF02', size: 8MiB}
      - {name: root, size: '100%'}
- mkfs: {base: ESP, type: vfat}
- mount: {base: mkfs_ESP, mount_point: /boot/efi}
- fstab: {base: mount_mkfs_ESP, options: umask=0077, fsck-passno: 2}
- mkfs: {name: mkfs_root, base: root}
- mount: {base: mkfs_root, mount_point: /}
- fstab: {base: mount_mkfs_root, fsck-passno: 1}
";
    let (list, tree) = (load(list).unwrap(), load(EFI).unwrap());
    assert_eq!(list.layout(1 << 20).unwrap(), tree.layout(1 << 20).unwrap());
    assert_eq!(list.facts(), tree.facts());
    assert_eq!(list.fstab(), tree.fstab());
    assert_eq!(list.config.order.len(), tree.config.order.len());
}

#[test]
fn an_mbr_disk_and_a_bare_one() {
    let mbr = "
- local_loop: {name: image0}
- partitioning:
    base: image0
    label: mbr
    partitions:
      - name: root
        flags: [boot, primary]
        size: 100%
        mkfs: {name: mkfs_root, label: ROOT, mount: {mount_point: /}}
";
    let plan = load(mbr).unwrap();
    let layout = plan.layout(1 << 20).unwrap();
    // One alignment at the end of the disk stays free.
    assert_eq!(layout.partitions[0].sectors, 1022 * 2048);
    let kind = layout.partitions[0].kind;
    assert!(matches!(kind, PartitionKind::Mbr { type_byte: 0x83, active: true, .. }));
    assert!(plan.facts().contains("bios=gap"));
    assert_eq!(plan.fstab(), "");
    let bare = load("").unwrap_or_else(|_| load(" ").unwrap());
    assert!(!bare.is_partitioned());
    assert_eq!(bare.fstab(), "LABEL=cloudimg-rootfs / ext4 defaults 0 1\n");
}

#[test]
fn an_xfs_root_has_its_own_label_and_least_size() {
    let plan = load("- local_loop: {name: a, mkfs: {name: mkfs_root, type: xfs, mount: {mount_point: /, fstab: {}}}}").unwrap();
    assert_eq!(plan.fstab(), "LABEL=img-rootfs / xfs defaults 0 2\n");
    assert!(plan.has("xfs") && !plan.has("ext4"));
    let layout = plan.layout(400 << 10).unwrap();
    assert_eq!(layout.filesystems[0].kind, FsKind::Xfs(XfsOptions::default()));
    let small = plan.layout(200 << 10).unwrap_err();
    assert!(small.to_string().contains("xfs needs 300 MiB"), "{small}");
}

#[test]
fn the_size_of_sectors_in_the_environment_wins() {
    assert_eq!(load_with(EFI, None).unwrap().config.disks[0].sector, 512);
    assert_eq!(load_with(EFI, Some("4096")).unwrap().config.disks[0].sector, 4096);
    let own = EFI.replacen("name: image0", "name: image0\n    block_size: 4096", 1);
    assert_eq!(load_with(&own, None).unwrap().config.disks[0].sector, 4096);
    assert_eq!(load_with(&own, Some("512")).unwrap().config.disks[0].sector, 512);
    let failure = load_with(EFI, Some("1000")).unwrap_err();
    assert!(failure.message.contains("DIB_BLOCK_SIZE: sectors of 1000 bytes"), "{failure:?}");
}
