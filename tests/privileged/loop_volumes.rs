//! `--backend loop` with logical volumes: devices of their own, without device-mapper.

use anyhow::{Result, ensure};
use goldsmith_tests::matrix::{self, Row};
use goldsmith_tests::{HostInvariant, TestEnv};

use crate::loop_backend::{build, environment, names, ok};
use crate::same_disk::equal;

pub(crate) const CASES: &[crate::Case] = &[
    ("loop_volumes::logical_volumes_are_devices", volumes),
    ("loop_volumes::a_volume_in_pieces_is_refused", pieces),
    ("loop_volumes::full_a_root_on_a_volume_boots", volumes_boot),
];

/// Everything but an ESP on volumes: a root, a file system of another kind below it, swap.
pub(crate) const LVM: &str = "
- local_loop: {name: image0, size: 1GiB}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - {name: ESP, type: 'EF00', size: 40MiB, mkfs: {type: vfat, mount: {mount_point: /boot/efi}}}
      - {name: system, type: '8E00', size: 100%}
- lvm:
    name: lvm
    pvs: [{name: pv, base: system}]
    vgs: [{name: my-vg, base: [pv]}]
    lvs:
      - {name: lv_root, base: my-vg, size: 400MiB}
      - {name: lv-opt, base: my-vg, size: 320MiB}
      - {name: lv_swap, base: my-vg, size: 16MiB}
      - {name: lv_bare, base: my-vg, extents: 100%FREE}
- mkfs: {name: mkfs_root, base: lv_root, mount: {mount_point: /, fstab: }}
- mkfs: {base: lv-opt, type: xfs, label: opt, mount: {mount_point: /opt, fstab: }}
- mkfs: {base: lv_swap, type: swap, label: swap, mount: {mount_point: none, fstab: }}
";

fn volumes() -> Result<()> {
    let env = environment(LVM)?;
    let look = r#"#!/bin/bash
set -eux
if grep -q ' / ext4 ' /proc/mounts; then
    [ "$(findmnt -no SOURCE /)" = /dev/mapper/my--vg-lv_root ]
    [ "$(findmnt -no SOURCE,FSTYPE /opt | xargs)" = "/dev/mapper/my--vg-lv--opt xfs" ]
    [ -b /dev/my-vg/lv-opt ]
    [ "$(blkid -p -o value -s TYPE /dev/my-vg/lv_swap)" = swap ]
    # Not yet: a host's udev would activate the volumes.
    [ -z "$(blkid -p -o value -s TYPE "${IMAGE_BLOCK_DEVICE}p2")" ]
    declare -A devices
    eval "devices=($IMAGE_BLOCK_DEVICES)"
    [ "${devices[lv_bare]}" = /dev/mapper/my--vg-lv_bare ]
    head -c 5000 /usr/bin/env > "${devices[lv_bare]}"
fi
"#;
    env.element("mine/finalise.d/20-volumes", look)?;
    let host = HostInvariant::take(env.cache())?;
    ok(&mut build(&env, "loop", &["--backend", "loop"])?)?;
    ok(&mut build(&env, "image", &[])?)?;
    host.check(env.cache())?;
    equal(&env, "loop", "image")?;
    // What a hook wrote to a volume that holds no file system lies where the volume does: behind
    // 1, 40 and 1 MiB, and behind 736 MiB of other volumes.
    let bytes = fs_err::read(env.path("loop.raw"))?;
    let at = 778 << 20;
    ensure!(bytes[at..at + 4] == *b"\x7fELF", "{:?}", &bytes[at..at + 4]);
    // The label of the physical volume, in the second sector of a partition behind 41 MiB.
    let at = (41 << 20) + 512;
    ensure!(bytes[at..at + 8] == *b"LABELONE", "{:?}", &bytes[at..at + 8]);
    Ok(())
}

/// Told before anything runs where the size is known, with the volume's line.
fn pieces() -> Result<()> {
    let two = "system, type: '8E00', size: 500MiB}\n      - {name: more, type: '8E00', size: 100%}";
    let layout = LVM
        .replace("system, type: '8E00', size: 100%}", two)
        .replace("[{name: pv, base: system}]", "[{name: pv, base: system}, {name: pw, base: more}]")
        .replace("base: [pv]", "base: [pv, pw]");
    let env = environment(&layout)?;
    let output = build(&env, "loop", &["--backend", "loop"])?.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let what = "layout.yaml:18: lv_bare: the loop backend makes devices of volumes in one piece";
    ensure!(output.status.code() == Some(4) && text.contains(what), "{text}");
    ensure!(!text.contains("install.d"), "{text}");
    ensure!(names(&env)? == ["elements", "layout.yaml"], "{:?}", names(&env)?);
    Ok(())
}

fn volumes_boot() -> Result<()> {
    let rows: Vec<_> = matrix::ROWS.into_iter().filter(Row::is_lvm).collect();
    rows.iter().try_for_each(|row| matrix::boots(&TestEnv::new()?, &[*row], "loop"))
}
