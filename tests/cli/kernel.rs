//! Kernels out of images: disks of every sort, archives, and what is refused.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, ensure};
use goldsmith_images::disk::layout::{
    DiskLayout, Ext4Options, Filesystem, FsKind, MIB, On, derived_uuid,
};
use goldsmith_images::disk::sink::{Compression, Qcow2Options, Qcow2Sink, RawSink};
use goldsmith_images::disk::{BootFiles, write};
use goldsmith_images::tree::{Entry, Kind, Source, Tree};
use goldsmith_tests::TestEnv;

use crate::with_os;

/// A system with two kernels and a third one for rescue.
fn tree() -> Tree {
    let mut tree = Tree::default();
    for name in ["", "boot", "etc"] {
        tree.insert(Entry::directory(name, 0o755, 1_700_000_000));
    }
    for version in ["6.1.0-9-amd64", "6.1.0-13-amd64", "0-rescue-abc"] {
        for name in ["vmlinuz", "initrd.img"] {
            let path = format!("boot/{name}-{version}");
            let source = Source::Bytes(Arc::from(format!("{name} {version}\n").as_bytes()));
            let size = format!("{name} {version}\n").len() as u64;
            tree.insert(Entry::new(path, Kind::File { size, source }, 0o600, 1_700_000_000));
        }
    }
    tree
}

fn layout() -> DiskLayout {
    let root = Filesystem {
        name: "root".into(),
        on: On::Whole,
        kind: FsKind::Ext4(Ext4Options { journal_mib: Some(4), ..Ext4Options::default() }),
        label: "root".into(),
        uuid: derived_uuid("test", "root"),
        mount_point: Some("/".into()),
    };
    DiskLayout::bare(32 * MIB, 1_700_000_000, root)
}

fn create(path: &Path) -> Result<fs_err::File> {
    Ok(fs_err::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?)
}

/// disk.raw, disk.qcow2, disk.tar and compressed ones.
fn images(env: &TestEnv) -> Result<()> {
    let layout = layout();
    let mut sink = RawSink::new(create(&env.path("disk.raw"))?, layout.size_bytes)?;
    write(&layout, &tree(), &mut sink, &BootFiles::default())?;
    let options = Qcow2Options { compression: Compression::Zstd { level: 3 }, threads: 1 };
    let mut sink = Qcow2Sink::new(create(&env.path("disk.qcow2"))?, layout.size_bytes, &options)?;
    write(&layout, &tree(), &mut sink, &BootFiles::default())?;
    tree().write_tar(create(&env.path("disk.tar"))?)?;
    Ok(())
}

fn found(env: &TestEnv, kernel: &str, ramdisk: &str) -> Result<()> {
    let read = |name: &str| fs_err::read_to_string(env.path(name));
    ensure!(read(kernel)? == "vmlinuz 6.1.0-13-amd64\n");
    ensure!(read(ramdisk)? == "initrd.img 6.1.0-13-amd64\n");
    fs_err::remove_file(env.path(kernel))?;
    fs_err::remove_file(env.path(ramdisk))?;
    Ok(())
}

fn tool(env: &TestEnv, line: &str) -> Result<()> {
    let output =
        Command::new("sh").args(["-c", line]).current_dir(env.directory.path()).output()?;
    ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn the_newest_kernel_comes_out_of_every_format() -> Result<()> {
    let env = with_os()?;
    images(&env)?;
    tool(&env, "gzip -k disk.raw && gzip -k disk.tar && xz -k -0 disk.qcow2")?;
    fs_err::copy(env.path("disk.tar.gz"), env.path("other.tgz"))?;
    for image in
        ["disk.raw", "disk.qcow2", "disk.tar", "disk.raw.gz", "disk.tar.gz", "disk.qcow2.xz"]
    {
        let ran = env.run(&["kernel", image])?;
        ensure!(ran.status == 0 && ran.stdout.contains("/boot/vmlinuz-6.1.0-13-amd64"), "{ran:?}");
        found(&env, "disk.vmlinuz", "disk.initrd")?;
    }
    fs_err::create_dir(env.path("out"))?;
    let ran = env.run(&["kernel", "other.tgz", "-o", "x", "-d", "out", "--json"])?;
    ensure!(ran.status == 0, "{ran:?}");
    let said: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    ensure!(said["ramdisk"]["from"] == "/boot/initrd.img-6.1.0-13-amd64", "{said}");
    ensure!(said["kernel"]["size"] == 23, "{said}");
    found(&env, "out/x.vmlinuz", "out/x.initrd")?;
    // Nothing else is left behind.
    ensure!(fs_err::read_dir(env.path("out"))?.count() == 0);
    Ok(())
}

#[test]
fn formats_of_other_programs_go_by_way_of_qemu_img() -> Result<()> {
    let env = with_os()?;
    images(&env)?;
    let without = env.command("goldsmith")?;
    let mut without = without;
    fs_err::write(env.path("disk.vdi"), {
        let mut bytes = vec![0; 4096];
        bytes[64..68].copy_from_slice(&0xbeda_107f_u32.to_le_bytes());
        bytes
    })?;
    let ran = goldsmith_tests::ran(without.env("PATH", "/nowhere").args(["kernel", "disk.vdi"]))?;
    ensure!(ran.status == 4 && ran.stderr.contains("apt-get install qemu-utils"), "{ran:?}");
    if Command::new("qemu-img").arg("--version").output().is_err() {
        return Ok(());
    }
    for format in ["vmdk", "vdi", "vpc", "vhdx"] {
        tool(&env, &format!("qemu-img convert -O {format} disk.raw other"))?;
        let ran = env.run(&["kernel", "other", "-o", "disk"])?;
        ensure!(ran.status == 0, "{format}: {ran:?}");
        found(&env, "disk.vmlinuz", "disk.initrd")?;
    }
    // A stranger's VMDK could name any file of this host.
    tool(&env, "qemu-img convert -O vmdk -o subformat=monolithicFlat disk.raw flat.vmdk")?;
    let ran = env.run(&["kernel", "flat.vmdk"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("other files"), "{ran:?}");
    tool(
        &env,
        "qemu-img create -q -f vmdk -b other -F vmdk over.vmdk 2>/dev/null || qemu-img convert -O vmdk disk.raw base.vmdk && qemu-img create -q -f vmdk -b base.vmdk -F vmdk over.vmdk",
    )?;
    let ran = env.run(&["kernel", "over.vmdk"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("names other files"), "{ran:?}");
    Ok(())
}

#[test]
fn the_old_name_writes_what_it_always_wrote() -> Result<()> {
    let env = with_os()?;
    images(&env)?;
    for line in [
        &["-d", ".", "-o", "mine", "-i", "disk.qcow2"][..],
        &["-d.", "-omine", "disk.raw"],
        &["disk.tar", "-x", "-d", ".", "-o", "mine"],
    ] {
        let ran = env.run_as("disk-image-get-kernel", line)?;
        ensure!(ran.status == 0 && ran.stdout.contains("mine-vmlinuz"), "{line:?}: {ran:?}");
        found(&env, "mine-vmlinuz", "mine-initrd")?;
    }
    let ran = env.run_as("disk-image-get-kernel", &["-h"])?;
    ensure!(ran.status == 0 && ran.stdout.contains("baremetal"), "{ran:?}");
    for (line, text) in [
        (&[][..], "name an image"),
        (&["-i", "disk.raw", "disk.tar"], "one image at a time"),
        (&["-q"], "invalid option -- 'q'"),
        (&["-d", ".", "gone"], "gone"),
    ] {
        let ran = env.run_as("disk-image-get-kernel", line)?;
        ensure!(ran.status == 1 && ran.stderr.contains(text), "{line:?}: {ran:?}");
    }
    let mut command = env.command("disk-image-get-kernel")?;
    command.env("DIB_BAREMETAL_KERNEL_PATTERN", "vmlinuz-*-9-*");
    command.env("DIB_BAREMETAL_INITRD_PATTERN", "initrd*-9-*");
    let ran = goldsmith_tests::ran(command.args(["-d", ".", "-o", "nine", "disk.raw"]))?;
    ensure!(ran.status == 0, "{ran:?}");
    ensure!(fs_err::read_to_string(env.path("nine-vmlinuz"))? == "vmlinuz 6.1.0-9-amd64\n");
    Ok(())
}

#[test]
fn images_without_a_kernel_or_a_readable_file_system_are_named() -> Result<()> {
    let env = with_os()?;
    images(&env)?;
    let mut lvm = vec![0; 1 << 20];
    lvm[512..520].copy_from_slice(b"LABELONE");
    fs_err::write(env.path("lvm.raw"), &lvm)?;
    fs_err::write(env.path("zeros.raw"), vec![0; 1 << 20])?;
    let mut qcow2 = fs_err::read(env.path("disk.qcow2"))?;
    qcow2[15] = 8;
    fs_err::write(env.path("backed.qcow2"), &qcow2)?;
    let mut damaged = fs_err::read(env.path("disk.raw"))?;
    damaged[1024 + 0x18] = 200;
    fs_err::write(env.path("damaged.raw"), &damaged)?;
    let mut cut = fs_err::read(env.path("disk.raw"))?;
    cut.truncate(16 << 20);
    fs_err::write(env.path("cut.raw"), &cut)?;
    let mut bare = tree();
    bare.remove_where(|entry| entry.path.starts_with(b"boot/initrd"));
    bare.write_tar(create(&env.path("bare.tar"))?)?;
    let mut none = tree();
    none.remove_where(|entry| entry.path.starts_with(b"boot/"));
    none.write_tar(create(&env.path("none.tar"))?)?;
    for (image, status, texts) in [
        ("lvm.raw", 6, &["the label of the physical volume is damaged"][..]),
        ("zeros.raw", 1, &["found: nothing known"]),
        ("backed.qcow2", 6, &["has a backing file", "qemu-img convert"]),
        ("damaged.raw", 6, &["the superblock is damaged"]),
        ("cut.raw", 6, &["larger than its disk"]),
        ("bare.tar", 1, &["no initial RAM disk for /boot/vmlinuz-6.1.0-13-amd64", "initramfs-"]),
        ("none.tar", 1, &["the archive does not hold a kernel"]),
        ("missing", 2, &["missing"]),
        ("elements", 2, &["is a directory"]),
    ] {
        let ran = env.run(&["kernel", image, "-o", "x"])?;
        ensure!(ran.status == status, "{image}: {ran:?}");
        for text in texts {
            ensure!(ran.stderr.contains(text), "{image}: {text:?} in {ran:?}");
        }
        ensure!(!env.path("x.vmlinuz").exists() && !env.path("x.initrd").exists(), "{image}");
    }
    Ok(())
}

#[test]
fn a_system_is_packed_the_same_way_every_time() -> Result<()> {
    let env = with_os()?;
    images(&env)?;
    for name in ["one.tgz", "two.tgz"] {
        let image = if name == "one.tgz" { "disk.raw" } else { "disk.qcow2" };
        let ran = env.run(&["image-to-tar", image, name])?;
        ensure!(ran.status == 0, "{ran:?}");
    }
    ensure!(fs_err::read(env.path("one.tgz"))? == fs_err::read(env.path("two.tgz"))?);
    tool(&env, "tar -tzf one.tgz | grep -qx ./boot/vmlinuz-6.1.0-13-amd64")?;
    tool(&env, "! tar -tzf one.tgz | grep lost+found")?;
    let ran = env.run(&["image-to-tar", "disk.tar", "x.tgz"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("archive already"), "{ran:?}");
    Ok(())
}
