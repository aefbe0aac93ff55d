//! Logical partitions, several disks, sizes of their own.

use goldsmith_images::disk::layout::{MIB, Percent};

use super::*;

const LOGICAL: &str = "
- local_loop: {name: image0}
- partitioning:
    base: image0
    label: mbr
    partitions:
      - {name: boot, size: 100MiB, flags: [boot, primary], mkfs: {type: ext4, mount: {mount_point: /boot}}}
      - {name: root, size: 50%, mkfs: {name: mkfs_root, mount: {mount_point: /}}}
      - {name: var, size: 100%, mkfs: {type: ext4, mount: {mount_point: /var}}}
";

/// Number, first sector, sectors and extended boot record.
fn places(plan: &Plan, size_kib: u64) -> Vec<(u32, u64, u64, Option<u64>)> {
    let layout = plan.layout(size_kib).unwrap();
    layout.partitions.iter().map(|p| (p.number, p.start_lba, p.sectors, p.ebr_lba())).collect()
}

#[test]
fn logical_partitions_are_behind_their_records() {
    let plan = load(LOGICAL).unwrap();
    let unit = MIB / 512;
    assert_eq!(
        places(&plan, 1 << 20),
        [
            (1, unit, 100 * unit, None),
            // 922 MiB are left: 1024 - 101 - 1.
            (5, 102 * unit, 461 * unit, Some(101 * unit)),
            (6, 564 * unit, 460 * unit, Some(563 * unit)),
        ]
    );
    assert_eq!(
        plan.devices(),
        " [image0]=/dev/loop0 [boot]=/dev/mapper/loop0p1 [root]=/dev/mapper/loop0p5 [var]=/dev/mapper/loop0p6"
    );
    let facts = plan.facts();
    for fact in ["fs.1.mount=/\n", "fs.1.device=/dev/mapper/loop0p5\n", "fs.1.partition=5\n"] {
        assert!(facts.contains(fact), "{fact} in {facts}");
    }
    let names = ["/dev/loop7", "/dev/loop7p1", "/dev/loop7p5", "/dev/loop7p6"].map(str::to_owned);
    assert!(plan.devices_named(&names).ends_with(" [root]=/dev/loop7p5 [var]=/dev/loop7p6"));
    // The parts that percentages are of change with the alignment.
    let wide = LOGICAL.replace("label: mbr", "label: mbr\n    align: 4MiB");
    let unit = 4 * unit;
    assert_eq!(
        places(&load(&wide).unwrap(), 1 << 20)[..2],
        [(1, unit, 25 * unit, None), (5, 27 * unit, 458 * 2048, Some(26 * unit)),]
    );
}

#[test]
fn a_disk_may_have_a_size_of_its_own() {
    let text = EFI.replacen("name: image0", "name: image0\n    size: 2GiB", 1);
    let plan = load(&text).unwrap();
    assert_eq!(plan.own_size_kib(), Some(2 << 20));
    assert_eq!(plan.layout(1 << 20).unwrap().size_bytes, 2 << 30);
}

#[test]
fn what_is_on_another_disk_is_not_on_the_image() {
    let text = format!(
        "{EFI}\n- local_loop:\n    name: data\n    size: 64MiB\n    directory: /srv/disks\n    mkfs:\n      type: ext4\n      mount: {{mount_point: /data, fstab: }}\n"
    );
    let plan = load(&text).unwrap();
    let image = plan.layout(1 << 20).unwrap();
    assert_eq!(image.elsewhere, ["/data"]);
    let others = plan.other_disks(1 << 20).unwrap();
    assert_eq!((others.len(), others[0].name.as_str()), (1, "data"));
    assert_eq!(others[0].directory, "/srv/disks");
    assert_eq!(others[0].layout.size_bytes, 64 << 20);
    assert_eq!(others[0].layout.elsewhere, ["/boot/efi", "/"]);
    assert!(plan.devices().ends_with(" [data]=/dev/loop1"), "{}", plan.devices());
    assert!(plan.fstab().contains("LABEL=mkfs_data /data ext4 defaults 0 2\n"));
    assert_eq!(plan.need_loop().unwrap_err().kind, crate::error::Kind::Host);
    let swapped = text.replace("image0", "x").replace("name: data", "name: image0");
    let swapped = swapped.replace("name: x\n", "name: x\n    directory: /x\n");
    let failure = load(&swapped).unwrap_err();
    assert!(failure.message.contains("the root file system is on x"), "{failure}");
}

#[test]
fn options_and_identifiers_of_nodes_count() {
    let id = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    let text = format!(
        "- local_loop: {{name: image0, mkfs: {{name: mkfs_root, uuid: {id}, opts: -i 8192 -m 1, mount: {{mount_point: /}}}}}}"
    );
    let plan = load(&text).unwrap();
    let layout = plan.layout(1 << 20).unwrap();
    assert_eq!(layout.filesystems[0].uuid.to_string(), id);
    let FsKind::Ext4(ext4) = &layout.filesystems[0].kind else { panic!() };
    assert_eq!((ext4.inode_ratio, ext4.reserved_percent), (8192, Percent::whole(1)));
    assert!(plan.facts().contains(id));
}

#[test]
fn swap_has_its_line_of_fstab() {
    let text = format!(
        "{}      - {{name: s, size: 64MiB, mkfs: {{type: swap, mount: {{mount_point: none, fstab: {{options: pri=1}}}}}}}}\n",
        LOGICAL.replace("size: 100%", "size: 50%")
    );
    let plan = load(&text).unwrap();
    assert_eq!(plan.fstab(), "LABEL=mkfs_s none swap sw 0 0\n");
    assert_eq!(plan.mount_points(), "/boot|/|/var");
}
