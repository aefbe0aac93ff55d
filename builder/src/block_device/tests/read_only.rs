//! File systems that nobody writes to.

use super::*;

/// A root on erofs and a directory on squashfs, on a disk with that table.
fn layout(table: &str) -> String {
    format!(
        "
- local_loop: {{name: image0}}
- partitioning:
    base: image0
    label: {table}
    partitions:
      - {{name: root, size: 200MiB, mkfs: {{name: mkfs_root, type: erofs, mount: {{mount_point: /, fstab: {{}}}}}}}}
      - {{name: usr, size: 100%, mkfs: {{type: squashfs, mount: {{mount_point: /usr, fstab: {{options: ro}}}}}}}}
"
    )
}

#[test]
fn fstab_names_a_squashfs_by_its_partition() {
    let plan = load(&layout("gpt")).unwrap();
    let disk = plan.layout(1 << 20).unwrap();
    let PartitionKind::Gpt { guid, .. } = disk.partitions[1].kind else { panic!("no gpt") };
    let root = "LABEL=img-rootfs / erofs defaults 0 2\n";
    assert_eq!(plan.fstab(), format!("{root}PARTUUID={guid} /usr squashfs ro 0 2\n"));
    assert_eq!(
        (disk.filesystems[0].kind, disk.filesystems[1].kind),
        (FsKind::Erofs, FsKind::Squashfs)
    );
    let facts = plan.facts();
    assert!(facts.contains("fs.1.uuid=\nfs.1.label=\n"), "{facts}");
    let plan = load(&layout("mbr")).unwrap();
    let goldsmith_images::disk::layout::Table::Mbr { disk_id } =
        plan.layout(1 << 20).unwrap().table
    else {
        panic!("no mbr")
    };
    let number = plan.config.disks[0].partitions()[1].number;
    let line = format!("PARTUUID={disk_id:08x}-{number:02x} /usr squashfs ro 0 2\n");
    assert!(plan.fstab().ends_with(&line), "{}", plan.fstab());
    let shown = plan.show(None).unwrap();
    let row = &shown[0].partitions[1];
    assert_eq!((row.label.as_ref(), row.uuid.as_ref()), (None, None));
    plan.need_loop().unwrap();
}

#[test]
fn a_btrfs_has_its_least_size() {
    let text = layout("gpt").replace("type: erofs", "type: btrfs, label: root");
    let plan = load(&text).unwrap();
    assert_eq!(plan.layout(1 << 20).unwrap().filesystems[0].kind, FsKind::Btrfs);
    plan.need_loop().unwrap();
    let only =
        "- local_loop: {name: a, mkfs: {name: mkfs_root, type: btrfs, mount: {mount_point: /}}}";
    let small = load(only).unwrap().layout(100 << 10).unwrap_err();
    assert!(small.to_string().contains("btrfs needs 109 MiB"), "{small}");
}

#[test]
fn what_they_cannot_have_is_refused() {
    for (from, to, expected) in [
        ("type: squashfs", "type: squashfs, label: x", "mkfs_usr: label: a squashfs has none"),
        ("type: squashfs", "type: squashfs, uuid: x", "mkfs_usr: uuid: x is no UUID"),
        (
            "type: squashfs",
            "type: squashfs, uuid: 6e1b1d0e-6f3c-5b0a-9a51-35f1a0f7c2d4",
            "mkfs_usr: uuid: a squashfs has none",
        ),
        (
            "type: squashfs",
            "type: squashfs, opts: -b 4096",
            "opts: -b cannot be written for squashfs",
        ),
        ("type: erofs", "type: erofs, label: cloudimg-rootfs1", "longer than 15 bytes"),
        (
            "type: squashfs, mount: {mount_point: /usr, fstab: {options: ro}}",
            "type: squashfs",
            "mkfs_usr: squashfs that is mounted nowhere would be empty for ever",
        ),
    ] {
        let text = layout("gpt");
        assert!(text.contains(from), "{from}");
        let failure = load(&text.replace(from, to)).unwrap_err();
        assert!(failure.message.contains(expected), "{failure}: no {expected}");
    }
    let bare = "- local_loop: {name: a, mkfs: {name: mkfs_root, type: squashfs, mount: {mount_point: /, fstab: {}}}}";
    let failure = load(bare).unwrap_err();
    assert!(failure.message.contains("fstab cannot name a squashfs"), "{failure}");
    assert!(load(&bare.replace(", fstab: {}", "")).is_ok());
}
