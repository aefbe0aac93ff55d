//! Disks with file systems that nobody writes to: a root on erofs, a directory on squashfs.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use goldsmith_images::read::{Format, Medium, Partition, RawFile, System, partitions};
use goldsmith_images::tree::Kind;
use goldsmith_tests::{HostInvariant, TestEnv, ran};

use crate::attributes::{noted, run};
use crate::{member, ok};

const LAYOUT: &str = "
- local_loop: {name: image0, size: 64MiB}
- partitioning:
    base: image0
    label: gpt
    partitions:
      - name: root
        size: 40MiB
        mkfs: {name: mkfs_root, type: erofs, mount: {mount_point: /, fstab: {options: ro}}}
      - name: nodes
        size: 100%
        mkfs: {type: squashfs, mount: {mount_point: /nodes, fstab: {options: ro}}}
";

/// The bytes of a partition, in a file of its own.
fn carve(env: &TestEnv, part: &Partition, name: &str) -> Result<()> {
    let mut bytes = vec![0; usize::try_from(part.part.size())?];
    part.part.read_at(0, &mut bytes)?;
    Ok(fs_err::write(env.path(name), bytes)?)
}

/// The line of the configuration that a file system too small for its files is told with.
fn place_of(told: &str, node: &str) -> Option<u32> {
    let words = format!(": {node}: file system {node} cannot be written: it has ");
    let (before, _) = told.split_once(&words)?;
    before.rsplit_once("DIB_BLOCK_DEVICE_CONFIG:")?.1.parse().ok()
}

#[test]
fn erofs_and_squashfs_hold_what_the_tree_does() -> Result<()> {
    let env = TestEnv::new()?;
    let host = HostInvariant::take(env.cache())?;
    noted(&env)?;
    env.element(
        "noted/cleanup.d/20-y",
        "#!/bin/sh\necho 'a telltale note' > $TARGET_ROOT/etc/note\n",
    )?;
    let goldsmith = |words: &[&str]| {
        let mut command = env.command("goldsmith")?;
        command.env("SOURCE_DATE_EPOCH", "1700000000").env("DIB_BLOCK_DEVICE_CONFIG", LAYOUT);
        ran(command.args(words).args(["-n", "-a", "amd64", "noted"]))
    };
    let built = goldsmith(&["build", "-t", "raw,tar", "-o", "x"])?;
    ok(&built)?;
    let told = "mkfs_nodes: the extended attributes of its root directory are left out";
    ensure!(built.stderr.contains(told), "{built:#?}");
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&env.path("x.raw"))?);
    let parts = partitions(&disk)?;
    let [root, nodes] = parts.as_slice() else { anyhow::bail!("{parts:?}") };

    let fstab = member(&env.path("x.tar"), "./etc/fstab")?;
    let squash = format!("PARTUUID={} /nodes squashfs ro 0 2", nodes.id);
    ensure!(fstab == format!("LABEL=img-rootfs / erofs ro 0 2\n{squash}\n"), "{fstab}");

    // What a program made of a part of the tree is whole, by its own reader and by ours.
    carve(&env, nodes, "nodes")?;
    let squashed = run(&env, "unsquashfs", &["-lln", "nodes"])?;
    ensure!(squashed.lines().any(|line| line.ends_with("/moved")), "{squashed}");
    let part: Arc<dyn Medium> = Arc::clone(&nodes.part) as _;
    let tree = System::whole(&part, Format::Squashfs)?.tree(b"")?;
    let names: Vec<_> = tree.entries.iter().map(|e| String::from_utf8_lossy(&e.path)).collect();
    ensure!(names == ["", "changed", "kept", "moved", "replaced", "same", "written"], "{names:?}");
    let get = |name: &str| tree.get(name.as_bytes()).with_context(|| name.to_owned());
    ensure!(get("kept")?.kind == Kind::Block { major: 8, minor: 1 }, "{:?}", get("kept")?);
    let changed = get("changed")?;
    ensure!((changed.uid, changed.gid, changed.mode) == (3, 4, 0o600), "{changed:?}");
    ensure!(get("same")?.kind == Kind::Hardlink(b"replaced".to_vec()), "{:?}", get("same")?);
    let labels: Vec<_> = get("written")?.xattrs.iter().map(|(name, _)| name.as_slice()).collect();
    ensure!(labels == [&b"security.selinux"[..], b"trusted.mine"], "{labels:?}");

    carve(&env, root, "root")?;
    run(&env, "fsck.erofs", &["root"])?;
    let shown = run(&env, "dump.erofs", &["--path=/etc/more", "root"])?;
    ensure!(shown.contains("Links: 2"), "{shown}");
    let shown = run(&env, "dump.erofs", &["--path=/etc/listed", "root"])?;
    ensure!(shown.contains("0640"), "{shown}");
    let superblock = fs_err::read(env.path("root"))?;
    ensure!(superblock[1088..1104] == *b"img-rootfs\0\0\0\0\0\0", "no label");
    let note = superblock.windows(15).filter(|bytes| bytes == b"a telltale note").count();
    ensure!(note == 1, "the content of a file is there {note} times");

    // The same bytes again; and what changed is told.
    let verified = goldsmith(&["verify", "x.raw", "--cached"])?;
    ok(&verified)?;
    ensure!(verified.stdout.contains("verified, sha256:"), "{verified:#?}");
    let mut bytes = fs_err::read(env.path("x.raw"))?;
    let note = b"a telltale note";
    let at = bytes.windows(note.len()).position(|window| window == note).context("not there")?;
    bytes[at + 11] ^= 1;
    fs_err::write(env.path("x.raw"), bytes)?;
    let differs = goldsmith(&["verify", "x.raw", "--cached"])?;
    let place = "  partition 1 (/) /etc/note: content from byte 11 on; written by cleanup (cleanup.d/20-y of element noted)";
    ensure!(differs.status == 6 && differs.stdout.contains(place), "{differs:#?}");

    // A disk without room for what it is to hold.
    let mut command = env.command("goldsmith")?;
    let small = LAYOUT.replace("size: 40MiB", "size: 1MiB").replace("size: 64MiB", "size: 4MiB");
    fs_err::create_dir_all(env.path("elements/large/install.d"))?;
    env.element(
        "large/cleanup.d/10-large",
        "#!/bin/sh\nhead -c 3000000 /dev/urandom > $TARGET_ROOT/nodes/noise\n",
    )?;
    command.env("DIB_BLOCK_DEVICE_CONFIG", small);
    let line = ["build", "-n", "-a", "amd64", "-t", "raw", "-o", "small", "noted", "large"];
    let refused = ran(command.args(line))?;
    let place = place_of(&refused.stderr, "mkfs_nodes");
    ensure!(refused.status != 0 && place.is_some(), "{refused:#?}");
    host.check(env.cache())
}
