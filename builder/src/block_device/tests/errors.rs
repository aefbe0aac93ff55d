//! Every mistake is told with its line and its node.

use super::*;

/// A partition table with these partitions, an mbr.
fn mbr(partitions: &str) -> String {
    format!(
        "- local_loop: {{name: image0}}\n- partitioning:\n    base: image0\n    label: mbr\n    partitions:\n{partitions}"
    )
}

const ROOT: &str = "- local_loop:\n    name: image0\n    mkfs:\n      name: mkfs_root\n      mount: {mount_point: /}\n";

fn refused(text: &str, parts: &[&str]) {
    let error = load(text).unwrap_err();
    for part in parts {
        assert!(error.message.contains(part), "{text}\n{error}\nhas no {part}");
    }
}

#[test]
fn of_the_grammar() {
    for (text, parts) in [
        ("- local_loop: {name: a}\n- nope: {}", &[":2: there is no plugin nope"][..]),
        ("a: b", &["not a list"]),
        ("- {local_loop: {name: a},\n   mkfs: {base: a}}", &[":1: ", "local_loop and mkfs"]),
        ("- local_loop:\n    name: a\n- word", &[":3: ", "not one node but a word"]),
        ("- local_loop: {}", &[":1: local_loop: it needs a name"]),
        ("- local_loop: [a]", &[":1: local_loop: it is a list"]),
        ("- local_loop:\n    name: {a: b}", &[":2: local_loop: name is a map"]),
        ("- local_loop: {name: a}\n- local_loop: {name: a}", &[":2: a: two nodes are called a"]),
        ("- mkfs:\n    name: x\n    type: ext4", &[":1: x: base is missing"]),
        (
            "- local_loop: {name: a}\n\n- mkfs: {base: b, type: ext4}",
            &[":3: mkfs_b: there is no b"],
        ),
        (
            "- local_loop: {name: a}\n- partitioning: {base: b, label: gpt, partitions: []}",
            &[":2: partitioning_b: there is no disk b"],
        ),
        (
            "- local_loop: {name: a}\n- mkfs: {base: a, mount: {mount_point: /}}",
            &[":2: mkfs_a: type is missing"],
        ),
        ("- local_loop: {name: a, mkfs: {type: ext4, mount: {}}}", &["mount_point is missing"]),
        (
            "- local_loop: {name: a, mkfs: {type: ext4, mount: {mount_point: srv/../x}}}",
            &["mount_mkfs_a: the mount point srv/../x"],
        ),
        (
            "- local_loop: {name: a}\n- mkfs: {name: m, base: a, type: ext4}\n- mount: {name: x, base: a, mount_point: /}",
            &[":3: x: a is no file system"],
        ),
        (
            "- local_loop: {name: a, mkfs: {type: ext4, mount: {mount_point: /, fstab: {fsck-passno: one}}}}",
            &["fsck-passno: one is no number"],
        ),
        (
            "- local_loop: {name: a, mkfs: {type: ext4, mount: {mount_point: /, fstab: {options: 'rw, noatime'}}}}",
            &["\"rw, noatime\" are not one word"],
        ),
        ("- local_loop: {name: a}\n- mkfs: [", &["DIB_BLOCK_DEVICE_CONFIG"]),
        (
            "- fstab: {name: f, base: m}\n- mount: {name: m, base: f, mount_point: /}",
            &["it depends on itself"],
        ),
    ] {
        refused(text, parts);
    }
}

#[test]
fn of_partitions() {
    let (root, more) = (
        "      - {name: root, size: 50%, flags: [primary], mkfs: {name: mkfs_root, mount: {mount_point: /}}}\n",
        "      - {name: p1, size: 1MiB, flags: [primary]}\n      - {name: p2, size: 1MiB, flags: [primary]}\n      - {name: p3, size: 1MiB, flags: [primary]}\n",
    );
    let gpt = |text: &str| {
        mbr(&format!("{root}{text}")).replace("mbr", "gpt").replace("flags: [primary], ", "")
    };
    for (text, parts) in [
        (mbr("      - {size: 1MiB}"), &[":6: partitioning_image0: a partition has no name"][..]),
        (mbr("      - name: p\n        flags: [boot]"), &[":6: partition p: it has no size"]),
        (mbr("      - name: p\n        size: 3 parsecs"), &[":7: partition p: \"3 parsecs\""]),
        (
            mbr("      - {name: p, size: 1G, flags: [boot,\n          hidden]}"),
            &[":7: partition p", "hidden"],
        ),
        (
            mbr(&format!("{root}{more}      - {{name: p4, size: 1MiB, flags: [primary]}}\n")),
            &[":10: partition p4", "four primary"],
        ),
        (
            mbr(&format!("{root}{more}      - {{name: p4, size: 1MiB}}\n")),
            &[":10: partition p4: logical partitions need one of the four"],
        ),
        (
            mbr(&format!("      - {{name: l, size: 1MiB}}\n{root}")),
            &[":7: partition root: primary partitions must be given before"],
        ),
        (
            mbr(&format!("{root}      - {{name: p, size: 1%, type: XY}}")),
            &[":7: partition p: the type XY"],
        ),
        (gpt("      - {name: p, size: 1%, type: '83'}"), &[":7: partition p: the type 83 is not"]),
        (
            gpt("      - {name: p, size: 1%, flags: [primary]}"),
            &[":7: partition p: a gpt knows no"],
        ),
        (
            gpt(&format!("      - {{name: {}, size: 1%}}", "n".repeat(37))),
            &[":7: ", "36 characters"],
        ),
    ] {
        refused(&text, parts);
    }
}

#[test]
fn of_disks_and_tables() {
    let root = "      - {name: root, size: 50%, flags: [primary], mkfs: {name: mkfs_root, mount: {mount_point: /}}}\n";
    for (text, parts) in [
        (
            mbr(root).replace("label: mbr", "label: bsd"),
            &[":4: partitioning_image0: label must be"][..],
        ),
        (mbr(root).replace("    label: mbr\n", ""), &[":2: partitioning_image0: label is missing"]),
        (mbr(root).replace("label: mbr", "label: mbr\n    align: 700"), &["700 is no multiple"]),
        (
            mbr(root).replace("{name: image0}", "{name: image0, size: 10%}"),
            &[":1: image0: size: 10%"],
        ),
        (
            mbr(root).replace("{name: image0}", "{name: image0, block_size: 2048}"),
            &["sectors of 2048"],
        ),
        (
            mbr(root).replace("{name: image0}", "{name: image0, block_size: 4096}"),
            &[":2: partitioning_image0: an mbr counts in sectors of 512"],
        ),
        (
            format!(
                "{}- partitioning: {{name: x, base: image0, label: gpt, partitions: []}}\n",
                mbr(root)
            ),
            &[":7: x: image0 has a partition table already"],
        ),
        (
            format!("{}- mkfs: {{name: x, base: image0, type: ext4}}\n", mbr(root)),
            &[":7: x: image0 is divided into partitions"],
        ),
        (
            format!("{}- mkfs: {{name: x, base: root, type: ext4}}\n", mbr(root)),
            &[":7: x: root holds mkfs_root already"],
        ),
        (
            format!("{ROOT}- local_loop: {{name: data, size: 1G}}\n"),
            &[":6: data: a disk beside the image"],
        ),
    ] {
        refused(&text, parts);
    }
}

#[test]
fn of_file_systems() {
    let with = |text: &str| {
        ROOT.replace("      name: mkfs_root\n", &format!("      name: mkfs_root\n{text}"))
    };
    for (text, parts) in [
        (with("      type: zfs\n"), &[":3: mkfs_root: file system zfs cannot be written"][..]),
        (with("      label: 12345678901234567\n"), &[":5: mkfs_root: the label", "longer than 16"]),
        (
            with("      type: xfs\n      label: 1234567890123\n"),
            &[":6: mkfs_root: the label", "longer than 12 bytes, too long for filesystem xfs"],
        ),
        (with("      uuid: mine\n"), &["mkfs_root: uuid: mine is no UUID"]),
        (with("      opts: -O ^nothing\n"), &["mkfs_root: opts: -O ^nothing"]),
        ("- local_loop: {name: image0}\n".to_owned(), &[":1: nothing is mounted at /"]),
        ("[]".to_owned(), &["there is no disk"]),
    ] {
        refused(&text, parts);
    }
    let two = |a: &str, b: &str| {
        mbr(&format!(
            "      - name: a\n        size: 20%\n        mkfs: {{type: ext4, {a}}}\n      - name: b\n        size: 20%\n        mkfs: {{type: ext4, {b}}}\n"
        ))
    };
    let (at, srv) = ("mount: {mount_point: /}", "mount: {mount_point: /srv}");
    refused(
        &two(&format!("label: x, {at}"), &format!("label: x, {srv}")),
        &[":11: mkfs_b: the label x is used more than once", "mkfs_a in line 8"],
    );
    refused(&two(at, at), &[":11: mount_mkfs_b: two file systems are mounted at /: mkfs_a"]);
    // FAT makes labels equal that were not.
    let fat =
        two(&format!("label: efi, {at}"), "label: EFI").replace("ext4, label: e", "vfat, label: e");
    load(&fat).unwrap_err();
}

#[test]
fn of_sizes() {
    let plan = load(EFI).unwrap();
    let failure = plan.layout(4096).unwrap_err();
    assert!(
        failure.message.contains(":8: partition ESP: its 8MiB do not fit into the 2 MiB"),
        "{failure}"
    );
    assert!(failure.hints[0].contains("--image-size"), "{failure:?}");
    let text = mbr(
        "      - {name: root, size: 600MiB, mkfs: {name: mkfs_root, mount: {mount_point: /}}}\n      - {name: b, size: 600MiB}\n",
    );
    let failure = load(&text).unwrap().layout(1 << 20).unwrap_err();
    assert!(
        failure.message.contains(":7: partition b: its 600MiB do not fit into the 421 MiB"),
        "{failure}"
    );
}

#[test]
fn what_means_nothing_is_a_warning() {
    let text = ROOT.replace("mount_point: /", "mount_point: /, fstab: {fck-passno: 1}");
    let warnings = load(&text).unwrap().warnings();
    assert_eq!(
        warnings,
        ["DIB_BLOCK_DEVICE_CONFIG:5: fstab_mount_mkfs_root: fck-passno means nothing to fstab"]
    );
    assert!(load(EFI).unwrap().warnings().is_empty());
    let text = "- local_loop: {name: image0, directory: /x}
- partitioning:
    base: image0
    label: gpt
    align: 4MiB
    partitions:
      - {name: root, size: 60%, flag: [boot], mkfs: {name: mkfs_root, type: ext4, mount: {mount_point: /}}}
      - {name: esp, size: 10%, type: EF00, mkfs: {type: vfat, label: ESP, uuid: 12345678-1234-1234-1234-123456789abc}}
      - {name: pv, size: 100%, type: 8E00}
- lvm:
    name: lvm
    pvs: [{name: pv0, base: pv, option: [--x]}]
    vgs: [{name: vg, base: [pv0]}]
    lvs: [{name: lv, base: vg, extents: 100%FREE, extent: 5}]
";
    let warnings = load(text).unwrap().warnings();
    let told: Vec<_> =
        warnings.iter().map(|line| line.trim_start_matches("DIB_BLOCK_DEVICE_CONFIG:")).collect();
    let mut sorted = told.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "12: lvm: pv0 of pvs: option means nothing here",
            "14: lvm: lv of lvs: extent means nothing here",
            "1: image0: directory changes nothing: -o says where the image goes",
            "5: partitioning_image0: align changes nothing: partitions of a gpt begin at whole MiB",
            "7: partitioning_image0: root of partitions: flag means nothing here",
            "8: mkfs_esp: uuid changes nothing: a FAT has a serial number instead: opts: -i",
        ]
    );
}

#[test]
fn of_disks_of_any_size() {
    let part = |name: &str, size: &str, mkfs: &str| {
        format!("      - {{name: {name}, size: {size}, mkfs: {{name: fs_{name}, {mkfs}}}}}\n")
    };
    let root = part("root", "100%", "type: ext4, mount: {mount_point: /}");
    for (first, parts) in [
        (part("a", "299MiB", "type: xfs"), ":6: fs_a: "),
        (part("a", "32KiB", "type: swap"), ":6: fs_a: "),
        (part("a", "1KiB", "type: vfat, label: A"), ":6: fs_a: "),
        (part("a", "64MiB", "type: vfat, label: 'A*B'"), ":6: fs_a: "),
    ] {
        let plan = load(&mbr(&format!("{first}{root}"))).unwrap();
        let failure = plan.check_any_size(&|_| Ok(())).unwrap_err();
        assert!(failure.message.contains(parts), "{first}{failure}");
    }
    // Large ones find their size.
    let fits = part("a", "300GiB", "type: xfs");
    load(&mbr(&format!("{fits}{root}"))).unwrap().check_any_size(&|_| Ok(())).unwrap();
    let plan = load(&mbr(&root)).unwrap();
    let failure = plan.layout(3 << 30).unwrap_err();
    assert!(failure.message.contains(":6: partition root: "), "{failure}");
}

#[test]
fn of_sectors_that_a_bios_cannot_read() {
    let text = EFI.replacen("name: image0", "name: image0\n    block_size: 4096", 1);
    let plan =
        load(&text.replace("name: mkfs_root", "name: mkfs_root\n          type: xfs")).unwrap();
    plan.check_any_size(&|_| Ok(())).unwrap();
    assert!(load(&text).unwrap().facts().contains("\nbios=sectors\n"));
}

#[test]
fn of_disks_that_no_firmware_starts() {
    let checked = |text: &str, firmware: &Firmware| {
        let failure = load(text).unwrap().check_boot(firmware).err();
        failure.map(|failure| failure.message.replace("DIB_BLOCK_DEVICE_CONFIG", ""))
    };
    let uefi = Firmware::Uefi { element: "efi".into() };
    let bios = Firmware::Bios { element: "gpt".into() };
    assert_eq!(checked(EFI, &uefi), None);
    let plain = EFI.replace("mount_point: /boot/efi", "mount_point: /efi");
    let told = checked(&plain, &uefi).unwrap();
    assert!(told.starts_with(":2: image0: no vfat is mounted at /boot/efi"), "{told}");
    let other = EFI.replace("type: vfat", "type: ext4");
    let told = checked(&other, &uefi).unwrap();
    assert!(told.contains(": mkfs_ESP: no vfat is mounted at /boot/efi"), "{told}");
    assert_eq!(checked(EFI, &bios), None);
    let told = checked(&EFI.replace("EF02", "8300"), &bios).unwrap();
    assert!(told.contains(": partitioning_image0: there is no partition of type EF02"), "{told}");
    let large = EFI.replace("name: image0", "name: image0\n    block_size: 4096");
    let told = checked(&large, &bios).unwrap();
    assert!(told.contains("a BIOS reads sectors of 512 bytes, not of 4096"), "{told}");
}
