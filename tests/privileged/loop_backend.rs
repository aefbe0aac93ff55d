//! `--backend loop`: real devices and mounts, as root, for the layouts of the image backend.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{HostInvariant, Namespace, TestEnv, matrix, server};

use crate::loop_volumes::LVM;
use crate::same_disk::{RICH, equal};

pub(crate) const CASES: &[crate::Case] = &[
    ("loop_backend::hooks_see_devices_and_the_tree_is_the_same", same_tree),
    ("loop_backend::a_bare_file_system_needs_no_partition", bare),
    ("loop_backend::logical_partitions_are_devices", logical),
    ("loop_backend::a_failing_hook_leaves_nothing", failing_hook),
    ("loop_backend::a_finished_tree_is_laid_out_by_both_backends", materialised),
    ("loop_backend::an_xfs_is_the_same_by_both", xfs),
    ("loop_backend::an_image_is_verified", verified),
    ("loop_backend::a_full_output_directory_is_named", full_output),
    ("loop_backend::sigkill_at_any_moment_leaves_nothing", killed),
    ("loop_backend::full_boots_by_bios", boots_by_bios),
    ("loop_backend::boots_by_uefi", boots_by_uefi),
    ("loop_backend::full_a_finished_tree_boots", finished_tree_boots),
];

/// An ESP, GRUB's place and a root, small enough for many builds.
const LAYOUT: &str = "
- local_loop:
    name: image0
- partitioning:
    base: image0
    label: gpt
    partitions:
      - name: ESP
        type: 'EF00'
        size: 40MiB
        mkfs:
          type: vfat
          mount: {mount_point: /boot/efi, fstab: {options: defaults, fsck-passno: 2}}
      - name: BSP
        type: 'EF02'
        size: 8MiB
      - name: root
        type: '8300'
        size: 100%
        mkfs:
          mount: {mount_point: /, fstab: {options: defaults, fsck-passno: 1}}
";

/// What a hook with real devices may expect of them.
const FINALISE: &str = r#"#!/bin/bash
set -eux
mkdir -p /boot/efi/EFI/x
echo esp > /boot/efi/EFI/x/file
if grep -q ' / ext4 ' /proc/mounts; then
    [ -b "$IMAGE_BLOCK_DEVICE" ]
    source=$(awk '$2 == "/" { print $1 }' /proc/mounts)
    [ -b "$source" ]
    [ "$(blkid -o value -s LABEL "$source")" = cloudimg-rootfs ]
    dd if="$IMAGE_BLOCK_DEVICE" bs=512 count=1 of=/dev/null status=none
    # The host's other devices are not there.
    ! ls /dev/vda /dev/sda /dev/loop-control
    echo seen > /dev/shm/seen
fi
id -u nobody > /owned
chown nobody: /owned
"#;

pub(crate) fn environment(layout: &str) -> Result<TestEnv> {
    let env = TestEnv::with_small_os()?;
    env.element("mine/install.d/10-rich", RICH)?;
    env.element("mine/finalise.d/10-look", FINALISE)?;
    env.element("mine/cleanup.d/10-late", "#!/bin/bash\nset -eu\ntest -f $TARGET_ROOT/boot/efi/EFI/x/file\nsudo touch $TARGET_ROOT/late\n[ -e made-by-cleanup.txt ] || echo made > made-by-cleanup.txt\n")?;
    fs_err::write(env.path("layout.yaml"), layout)?;
    Ok(env)
}

pub(crate) fn build(env: &TestEnv, output: &str, options: &[&str]) -> Result<Command> {
    let types = if output == "loop" { "vdi,raw" } else { "raw" };
    command(env, &["build"], types, output, options)
}

/// Lays the tree that an earlier build made out by a backend.
pub(crate) fn materialise(env: &TestEnv, output: &str, backend: &str) -> Result<Command> {
    command(env, &["materialise", "tree.oci"], "raw", output, &["--backend", backend])
}

fn command(
    env: &TestEnv,
    verb: &[&str],
    types: &str,
    output: &str,
    options: &[&str],
) -> Result<Command> {
    let mut command = env.command("goldsmith")?;
    let layout = env.path("layout.yaml");
    if fs_err::metadata(&layout)?.len() > 0 {
        command.env("DIB_BLOCK_DEVICE_CONFIG", format!("file://{}", layout.display()));
    }
    command.args(verb).args(["-n", "-t", types, "-o", output, "--progress", "plain"]);
    command.args(options).args(["small", "mine"]);
    Ok(command)
}

pub(crate) fn ok(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    goldsmith_tests::succeeded(&output).with_context(|| format!("{command:?}"))
}

/// Cuts the root file system out of `disk` and returns what `find` sees in it.
fn listing(env: &TestEnv, disk: &str) -> Result<BTreeMap<String, String>> {
    let image = env.path(&format!("{disk}.raw"));
    let table = Command::new("sfdisk").arg("-J").arg(&image).output()?;
    let (start, count) = if table.status.success() {
        let table: serde_json::Value = serde_json::from_slice(&table.stdout)?;
        let root = table["partitiontable"]["partitions"][2].clone();
        (root["start"].as_u64().context("start")?, root["size"].as_u64().context("size")?)
    } else {
        (0, fs_err::metadata(&image)?.len() / 512)
    };
    let root = env.path(&format!("{disk}.ext4"));
    ok(Command::new("dd")
        .arg(format!("if={}", image.display()))
        .arg(format!("of={}", root.display()))
        .args(["bs=1M", "iflag=skip_bytes,count_bytes", "conv=sparse", "status=none"])
        .arg(format!("skip={}", start * 512))
        .arg(format!("count={}", count * 512)))?;
    ok(Command::new("e2fsck").arg("-fn").arg(&root))?;
    let to = env.path(&format!("{disk}.files"));
    fs_err::create_dir(&to)?;
    // debugfs restores owners and modes, and reads no kernel's mind.
    ok(Command::new("debugfs").arg("-R").arg(format!("rdump / {}", to.display())).arg(&root))?;
    list(&to)
}

fn list(root: &Path) -> Result<BTreeMap<String, String>> {
    let output = Command::new("find")
        .arg(root)
        .args(["-mindepth", "1", "-not", "-type", "b", "-not", "-type", "c"])
        .args(["-printf", "%P\\t%y %m %U %G %l\\n"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(path, rest)| (path.to_owned(), rest.to_owned()))
        .collect())
}

fn compare(env: &TestEnv) -> Result<()> {
    let host = HostInvariant::take(env.cache())?;
    ok(&mut build(env, "loop", &["--backend", "loop"])?)?;
    let made = env.path("made-by-cleanup.txt");
    ensure!(fs_err::read_to_string(&made)? == "made\n", "what a hook made beside the output");
    fs_err::remove_file(&made)?;
    ok(&mut build(env, "image", &[])?)?;
    host.check(env.cache())?;
    let by_loop = listing(env, "loop")?;
    ensure!(by_loop.len() > 3000, "{} files", by_loop.len());
    ensure!(by_loop.get("owned").is_some_and(|line| line.contains("644 65534 65534")));
    ensure!(by_loop.contains_key("late") && by_loop.contains_key("opt/rich/long-link"));
    equal(env, "loop", "image")
}

/// A tree without a disk: who makes it needs no privilege.
pub(crate) fn tree(env: &TestEnv) -> Result<()> {
    ok(&mut command(env, &["build"], "oci", "tree", &["--layer-compression", "zstd"])?)
}

fn materialised() -> Result<()> {
    let env = environment(LAYOUT)?;
    tree(&env)?;
    let host = HostInvariant::take(env.cache())?;
    for backend in ["loop", "image"] {
        ok(&mut materialise(&env, &format!("by-{backend}"), backend)?)?;
    }
    host.check(env.cache())?;
    let by_loop = listing(&env, "by-loop")?;
    ensure!(by_loop.len() > 3000 && by_loop.contains_key("late"), "{} files", by_loop.len());
    equal(&env, "by-loop", "by-image")
}

/// In place of an ext4's mount: an xfs with all that this kernel has to know to fill it.
const XFS: &str = "type: xfs
          opts: -m reflink=1,bigtime=1,inobtcount=1 -i sparse=1 -d agcount=3
          mount:";

fn xfs() -> Result<()> {
    let ext4 = "mkfs:\n          mount: {mount_point: /,";
    let layout = LAYOUT.replace(ext4, &ext4.replace("mount:", XFS));
    ensure!(layout != LAYOUT);
    let env = environment(&layout)?;
    tree(&env)?;
    for backend in ["loop", "image"] {
        let mut command = materialise(&env, &format!("by-{backend}"), backend)?;
        ok(command.args(["--image-size", "1"]))?;
    }
    equal(&env, "by-loop", "by-image")
}

/// The kernel writes no file system twice the same: `verify` looks at what they say.
fn verified() -> Result<()> {
    let env = environment(LAYOUT)?;
    let host = HostInvariant::take(env.cache())?;
    ok(&mut build(&env, "loop", &["--backend", "loop"])?)?;
    let verify = || -> Result<goldsmith_tests::Ran> {
        let mut command = env.command("goldsmith")?;
        let layout = format!("file://{}", env.path("layout.yaml").display());
        command.env("DIB_BLOCK_DEVICE_CONFIG", layout).args(["verify", "loop.raw", "--cached"]);
        command.args(["--backend", "loop", "-n", "--progress", "plain", "small", "mine"]);
        goldsmith_tests::ran(&mut command)
    };
    let same = verify()?;
    ensure!(same.status == 0 && same.stdout.contains("verified"), "{same:#?}");
    let image = env.path("loop.raw");
    let mut bytes = fs_err::read(&image)?;
    let at = bytes.windows(5).position(|window| window == b"esp\n\0").context("no file")?;
    bytes[at] = b'E';
    fs_err::write(&image, bytes)?;
    let differs = verify()?;
    let line = "partition 1 (/boot/efi) /boot/efi/EFI/x/file: content from byte 0 on";
    ensure!(differs.status == 6 && differs.stdout.contains(line), "{differs:#?}");
    host.check(env.cache())
}

/// Where the output goes is full before the disk is: named, and nothing left.
fn full_output() -> Result<()> {
    let env = environment(LAYOUT)?;
    tree(&env)?;
    let small = Namespace::mounts()?;
    let at = env.path("small");
    fs_err::create_dir(&at)?;
    small.root(&format!("mount -t tmpfs -o size=64m tmpfs {}", at.display()))?;
    let command = materialise(&env, "small/disk", "loop")?;
    let ran = small.run(&command)?;
    ensure!(ran.status == 4, "{ran:#?}");
    ensure!(ran.stderr.contains("no space is left for the output in"), "{ran:#?}");
    let left = fs_err::read_dir(small.path(&at))?.count();
    ensure!(left == 0, "{left} files are left");
    Ok(())
}

fn same_tree() -> Result<()> {
    let env = environment(LAYOUT)?;
    compare(&env)?;
    ok(Command::new("qemu-img")
        .args(["compare", "-q", "-f", "raw", "-F", "vdi"])
        .args([env.path("loop.raw"), env.path("loop.vdi")]))?;
    let null = Command::new("debugfs")
        .args(["-R", "stat /dev/null"])
        .arg(env.path("loop.ext4"))
        .output()?;
    let null = String::from_utf8_lossy(&null.stdout).into_owned();
    ensure!(null.contains("Type: character special"), "{null}");
    let esp = env.path("esp.img");
    ok(Command::new("dd")
        .arg(format!("if={}", env.path("loop.raw").display()))
        .arg(format!("of={}", esp.display()))
        .args(["bs=1M", "skip=1", "count=40", "status=none"]))?;
    ok(Command::new("fsck.vfat").arg("-n").arg(&esp))?;
    let file = Command::new("mtype").arg("-i").arg(&esp).arg("::EFI/x/file").output()?;
    ensure!(file.stdout == b"esp\n", "{file:?}");
    Ok(())
}

fn bare() -> Result<()> {
    compare(&environment("")?)
}

/// The root file system is on the third entry of the table too: the second is the extended one.
fn logical() -> Result<()> {
    let layout = "
- local_loop: {name: image0}
- partitioning:
    base: image0
    label: mbr
    partitions:
      - {name: efi, type: '0xef', size: 40MiB, flags: [primary], mkfs: {type: vfat, mount: {mount_point: /boot/efi}}}
      - {name: root, size: 100%, mkfs: {mount: {mount_point: /, fstab: }}}
";
    let env = environment(layout)?;
    let look = "#!/bin/bash\nset -eux\n[[ $(findmnt -no SOURCE /) == *p5 ]]\n[[ $IMAGE_BLOCK_DEVICES == *p5 ]]\n";
    env.element("mine/finalise.d/20-fifth", look)?;
    compare(&env)
}

fn failing_hook() -> Result<()> {
    let env = environment(LAYOUT)?;
    env.element("mine/finalise.d/20-fail", "#!/bin/sh\nexit 37\n")?;
    let host = HostInvariant::take(env.cache())?;
    let output = build(&env, "fail", &["--backend", "loop"])?.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1)
            && text.contains("20-fail of element mine exited with status 37"),
        "{text}"
    );
    ensure!(names(&env)? == ["elements", "layout.yaml"], "{:?}", names(&env)?);
    host.check(env.cache())
}

pub(crate) fn names(env: &TestEnv) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(env.directory.path())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn killed() -> Result<()> {
    let seed = match std::env::var("GOLDSMITH_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => u64::from(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos()) | 1,
    };
    killed_at(seed).with_context(|| format!("the same moments again: GOLDSMITH_SEED={seed}"))
}

/// Kills at moments that follow from the seed.
fn killed_at(seed: u64) -> Result<()> {
    let env = environment(LVM)?;
    ok(&mut build(&env, "first", &["--backend", "loop"])?)?;
    tree(&env)?;
    let host = HostInvariant::take(env.cache())?;
    let count = if std::env::var_os("GOLDSMITH_FULL").is_some() { 100 } else { 20 };
    let mut dice = seed;
    for n in 0..count {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_millis(100 + (dice >> 33) % 5200);
        // Another name is another step: everything before it is cached.
        let mut command = match n % 2 {
            0 => build(&env, "killed", &["--backend", "loop"])?,
            _ => materialise(&env, "killed", "loop")?,
        };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(moment);
        child.kill()?;
        child.wait()?;
        fs_err::remove_file(env.path("killed.raw")).or_else(missing)?;
    }
    ok(&mut build(&env, "after", &["--backend", "loop"])?)?;
    ensure!(
        names(&env)?
            == [
                "after.raw",
                "elements",
                "first.raw",
                "layout.yaml",
                "made-by-cleanup.txt",
                "tree.oci"
            ],
        "{:?}",
        names(&env)?
    );
    host.check(env.cache())
}

fn missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn boots_by_bios() -> Result<()> {
    let env = TestEnv::new()?;
    let image: PathBuf = server::image(&env, "bookworm", &["--backend", "loop"])?;
    server::boots(&env, &image, false, "")
}

fn boots_by_uefi() -> Result<()> {
    let last = matrix::ROWS.last().context("a row")?;
    ensure!(last.firmware == "uefi", "{last:?}");
    matrix::boots(&TestEnv::new()?, &[*last], "loop")
}

// Every kind of disk that there is, in the full run; CI boots those of the tests above.
fn finished_tree_boots() -> Result<()> {
    let rows: Vec<_> = matrix::ROWS.into_iter().filter(|row| !row.is_lvm()).collect();
    matrix::boots(&TestEnv::new()?, &rows, "loop")
}
