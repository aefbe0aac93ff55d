//! `--backend loop` with file systems that the kernel fills, or that it writes nothing to.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use goldsmith_images::read::{Magic, Medium, RawFile, partitions};
use goldsmith_tests::{HostInvariant, TestEnv};

use crate::loop_backend::{build, environment, ok};
use crate::same_disk::equal;

pub(crate) const CASES: &[crate::Case] = &[
    ("loop_kinds::a_btrfs_is_the_same_by_both", btrfs),
    ("loop_kinds::what_nobody_writes_to_is_the_same_by_both", read_only),
];

/// Builds by both backends; what the loop backend said.
fn by_both(env: &TestEnv) -> Result<String> {
    let host = HostInvariant::take(env.cache())?;
    let output = build(env, "loop", &["--backend", "loop"])?.output()?;
    goldsmith_tests::succeeded(&output)?;
    ok(&mut build(env, "image", &[])?)?;
    host.check(env.cache())?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn btrfs() -> Result<()> {
    let env = environment(
        "
- local_loop: {name: image0, size: 1GiB}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - {name: boot, size: 64MiB, mkfs: {type: ext2, mount: {mount_point: /boot, fstab: }}}
      - {name: spare, size: 32MiB, mkfs: {type: ext3, label: spare}}
      - {name: fat, size: 16MiB, mkfs: {type: vfat, label: FAT}}
      - {name: log, size: 300MiB, mkfs: {type: xfs, label: log}}
      - {name: root, size: 100%, mkfs: {name: mkfs_root, type: btrfs, mount: {mount_point: /, fstab: }}}
",
    )?;
    env.element(
        "mine/finalise.d/20-kind",
        r#"#!/bin/bash
set -eux
if grep -q ' / btrfs ' /proc/mounts; then
    source=$(findmnt -no SOURCE /)
    [ -b "$source" ]
    [[ "$source" == "$IMAGE_BLOCK_DEVICE"p5 ]]
    [ "$(blkid -p -o value -s TYPE "$source")" = btrfs ]
fi
"#,
    )?;
    by_both(&env)?;
    equal(&env, "loop", "image")?;
    // Those that are mounted nowhere are made all the same.
    let disk: Arc<dyn Medium> = Arc::new(RawFile::new(fs_err::File::open(env.path("loop.raw"))?)?);
    let mut formats = Vec::new();
    for partition in partitions(&disk)? {
        let magic =
            Magic::find(partition.part.as_ref())?.context("a partition without a format")?;
        formats.push((magic.format.to_string(), magic.label));
    }
    let told: Vec<_> =
        formats.iter().map(|(kind, label)| (kind.as_str(), label.as_str())).collect();
    ensure!(told[1..4] == [("ext4", "spare"), ("vfat", "FAT"), ("xfs", "log")], "{told:?}");
    Ok(())
}

fn read_only() -> Result<()> {
    let env = environment(
        "
- local_loop: {name: image0, size: 1GiB}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - name: root
        size: 400MiB
        mkfs: {name: mkfs_root, type: erofs, label: cloudimg-rootfs, mount: {mount_point: /, fstab: {options: ro}}}
      - {name: opt, size: 64MiB, mkfs: {type: squashfs, mount: {mount_point: /opt, fstab: {options: ro}}}}
      - {name: late, size: 100%, mkfs: {type: ext3, mount: {mount_point: /opt/rich, fstab: }}}
",
    )?;
    // Hooks write to what becomes read-only afterwards.
    let hook = "#!/bin/sh\nset -eux\necho late > /opt/late\nmkfifo -m 0600 /opt/pipe\nchown 5:6 /opt/pipe\n";
    env.element("mine/finalise.d/20-late", hook)?;
    let said = by_both(&env)?;
    let told = "/opt: nobody writes to a mounted squashfs: the kernel mounts an ext4 in its place";
    ensure!(said.contains(told) && said.contains("/: nobody writes to a mounted erofs"), "{said}");
    equal(&env, "loop", "image")?;
    // Both are the same bytes: the writers are, and so are the trees.
    let part = |name: &str, mib: u64, len: usize| -> Result<Vec<u8>> {
        let mut bytes = vec![0; len << 20];
        let disk = fs_err::File::open(env.path(name))?;
        std::os::unix::fs::FileExt::read_exact_at(disk.file(), &mut bytes, mib << 20)?;
        Ok(bytes)
    };
    for (what, mib, len, at, magic) in
        [("erofs", 1, 400, 1024, *b"\xe2\xe1\xf5\xe0"), ("squashfs", 401, 64, 0, *b"hsqs")]
    {
        let (by_loop, by_image) = (part("loop.raw", mib, len)?, part("image.raw", mib, len)?);
        ensure!(by_loop == by_image, "{what}: other bytes");
        ensure!(by_loop[at..][..4] == magic, "{what} is none");
    }
    Ok(())
}
