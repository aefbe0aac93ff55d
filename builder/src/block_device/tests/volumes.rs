//! Volume groups.

use goldsmith_images::disk::layout::{MIB, On};

use super::*;

const LVM: &str = "
- local_loop: {name: image0}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - {name: BSP, type: EF02, size: 8MiB}
      - {name: first, type: 8E00, size: 1G}
      - {name: second, type: 8E00, size: 100%}
- lvm:
    name: lvm
    base: [first]
    pvs:
      - {name: pv1, base: first, options: [--force]}
      - {name: pv2, base: second}
    vgs:
      - {name: v-g, base: [pv1, pv2], options: ['-y', '--zero=n']}
    lvs:
      - {name: lv_root, base: v-g, size: 500M}
      - {name: lv_home, base: v-g, extents: 20%VG}
      - {name: lv_rest, base: v-g, extents: 100%FREE}
- mkfs:
    name: mkfs_root
    base: lv_root
    mount: {mount_point: /, fstab: }
- mkfs:
    base: lv_home
    type: ext4
    mount: {mount_point: /home, fstab: }
";

#[test]
fn volumes_have_their_extents() {
    let plan = load(LVM).unwrap();
    let layout = plan.layout(2 << 20).unwrap();
    let group = &layout.groups[0];
    // 1000000000 bytes are 953 MiB; 2 GiB less 2 and 8 MiB and that are 1084.
    let extents: Vec<_> = group.physical.iter().map(|pv| pv.extents).collect();
    assert_eq!(extents, [952 / 4, 1083 / 4]);
    let sizes: Vec<_> = group.logical.iter().map(|lv| (lv.extents(), lv.segments.len())).collect();
    assert_eq!(sizes, [(119, 1), (101, 1), (238 + 270 - 119 - 101, 2)]);
    assert_eq!(layout.filesystems[0].on, On::Volume { group: 0, volume: 0 });
    let root = layout.extents(&layout.filesystems[0]).unwrap();
    assert_eq!((root[0].offset, root[0].len), (10 * MIB, 119 * 4 * MIB));
    assert_eq!(plan.layout(2 << 20).unwrap(), layout);
    assert_eq!(plan.root_volume().as_deref(), Some("v-g/lv_root"));
    let devices = plan.devices();
    assert!(devices.contains(" [lv_home]=/dev/mapper/v--g-lv_home"), "{devices}");
    assert_eq!(
        plan.fstab(),
        "LABEL=cloudimg-rootfs / ext4 defaults 0 2\nLABEL=mkfs_lv_home /home ext4 defaults 0 2\n"
    );
    let facts = plan.facts();
    assert!(facts.contains("fs.0.device=/dev/mapper/v--g-lv_root\n"), "{facts}");
    assert!(facts.contains("fs.0.partition=0\nfs.0.lvm=lvmid/"), "{facts}");
    plan.need_loop().unwrap();
    let pieces = plan.need_whole_volumes(2 << 20).unwrap_err();
    let what = ":21: lv_rest: the loop backend makes devices of volumes in one piece, and this one lies on first and second";
    assert!(pieces.message.contains(what), "{pieces}");
    assert_eq!(pieces.kind, crate::error::Kind::Host);
    let whole = load(&LVM.replace("100%FREE", "50%FREE")).unwrap();
    whole.need_whole_volumes(2 << 20).unwrap();
    assert!(plan.check_any_size(&|size| plan.need_whole_volumes(size)).is_err());
    whole.check_any_size(&|size| whole.need_whole_volumes(size)).unwrap();
    let names =
        ["/dev/loop7", "/dev/loop7p1", "/dev/loop7p2", "/dev/loop7p3", "/dev/mapper/v--g-lv_root"];
    let facts = plan.facts_named(&names.map(str::to_owned));
    assert!(facts.contains("disk=/dev/loop7\n") && facts.contains("=/dev/mapper/v--g-lv_root\n"));
    assert!(
        plan.devices_named(&names.map(str::to_owned))
            .ends_with("[lv_root]=/dev/mapper/v--g-lv_root")
    );
    let order = &plan.config.order;
    let at = |name: &str| order.iter().position(|own| own == name).unwrap();
    for pair in ["first", "lvm", "pv1", "v-g", "lv_root", "mkfs_root"].windows(2) {
        assert!(at(pair[0]) < at(pair[1]), "{order:?}");
    }
}

#[test]
fn wrong_volumes_are_refused() {
    for (from, to, parts) in [
        ("base: [pv1, pv2]", "base: [pv1, pv3]", &[":17: v-g: base:pv3 in vgs does not match"][..]),
        ("base: [pv1, pv2]", "base: [pv1]", &[":15: pv2: no volume group"]),
        ("base: [pv1, pv2]", "base: []", &["v-g: the group has no physical volume"]),
        ("lv_home, base: v-g", "lv_home, base: vg", &[":20: lvm: base:vg in lvs does not match"]),
        (", size: 500M", "", &[":19: lv_root: Missing 'size' or 'extents'"]),
        ("size: 500M", "size: 50%", &[":19: lv_root: size: 50% is relative"]),
        ("size: 500M", "size: 1M", &["lv_root: size: 1M is less than an extent"]),
        ("extents: 20%VG", "extents: half", &[":20: lv_home: extents: half"]),
        ("size: 500M", "size: 500M, type: thin-pol", &["Unsupported type:thin-pol"]),
        (
            "size: 500M",
            "size: 500M, type: thin-pool",
            &[":19: lv_root: a volume of type thin-pool"],
        ),
        (
            "options: [--force]",
            "options: [--dataalignment, 4m]",
            &[":14: pv1: options: --dataalignment"],
        ),
        ("    lvs:", "    els:", &[":10: lvm: lvs is missing"]),
        ("name: pv2, base: second", "name: pv2, base: third", &["lvm: there is no third"]),
        (
            "name: pv2, base: second",
            "name: pv2, base: first",
            &[":15: pv2: first holds pv1 already"],
        ),
        ("base: lv_home", "base: v-g", &["mkfs_v-g: v-g is no disk, partition or volume"]),
        ("v-g", "shm", &[":17: shm: no volume group can have the name of /dev/shm"]),
        ("name: lv_home", "name: lv_root", &[":20: lv_root: two nodes are called lv_root"]),
    ] {
        assert!(LVM.contains(from), "{from}");
        let failure = load(&LVM.replace(from, to)).unwrap_err();
        for part in parts {
            assert!(failure.message.contains(part), "{to}: {failure}: no {part}");
        }
    }
    let large = LVM.replace("size: 500M", "size: 5G");
    let failure = load(&large).unwrap().layout(2 << 20).unwrap_err();
    assert!(
        failure.message.contains(":19: lv_root: its 5G do not fit: 508 of the 508"),
        "{failure}"
    );
    let full = LVM.replace("20%VG", "100%VG");
    let failure = load(&full).unwrap().layout(2 << 20).unwrap_err();
    assert!(failure.message.contains("lv_rest: its 100%FREE do not fit"), "{failure}");
}
