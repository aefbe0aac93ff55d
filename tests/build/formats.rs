//! Every output format at once, from a tree that holds what archives lose.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv};

use super::{member, ok};

/// A tree with hard links, attributes, capabilities and a device, made by a host phase: no
/// hook runs in it, so that nothing has to be installed.
const TREE: &str = r#"#!/usr/bin/python3
import os

root = os.environ["TARGET_ROOT"]
path = lambda name: os.path.join(root, name)
for name in "dev", "etc", "proc", "sys", "tmp", "usr/bin":
    os.makedirs(path(name))
with open(path("usr/bin/tool"), "wb") as tool:
    tool.write(b"".join(b"%d squared is %d\n" % (n, n * n) for n in range(200000)))
os.chown(path("usr/bin/tool"), 7, 1234)
os.chmod(path("usr/bin/tool"), 0o4750)
os.link(path("usr/bin/tool"), path("usr/bin/again"))
os.symlink("tool", path("usr/bin/link"))
with open(path("etc/note"), "w") as note:
    note.write("a note\n")
os.setxattr(path("etc/note"), "user.note", b"kept")
os.setxattr(path("usr/bin/tool"), "security.capability",
            bytes.fromhex("0100000200040000000000000000000000000000"))
"#;

/// Unpacks the squashfs that an earlier build wrote and says what is in it.
const READER: &str = r##"#!/bin/bash
set -eu -o pipefail
unsquashfs -lln x.squash > "$TMP_MOUNT_PATH/list"
unsquashfs -q -n -no-exit-code -d /tmp/unpacked x.squash > /dev/null || :
python3 - > "$TMP_MOUNT_PATH/attributes" <<'EOF'
import os
print(os.getxattr("/tmp/unpacked/etc/note", "user.note").decode())
print(os.getxattr("/tmp/unpacked/usr/bin/tool", "security.capability").hex())
print(os.stat("/tmp/unpacked/usr/bin/tool").st_nlink)
EOF
cmp /tmp/unpacked/usr/bin/tool "$TMP_MOUNT_PATH/usr/bin/tool"
"##;

const VALUES: &str = r#"#!/bin/bash
set -eu -o pipefail
value() { "$DIB_PYTHON_EXEC" "$_LIB/dib-block-device.py" getval "$1"; }
{
    value root-label
    value mount-points
    [ "$(value image-block-device)" = "$IMAGE_BLOCK_DEVICE" ]
    value image-block-devices
    status=0
    "$DIB_PYTHON_EXEC" "$_LIB/dib-block-device.py" create 2> /dev/null || status=$?
    echo "create $status"
    "$DIB_PYTHON_EXEC" "$_LIB/element-info.py" formats
} > "$TMP_MOUNT_PATH/values"
"#;

const DISKS: [(&str, &str); 5] =
    [("qcow2", "qcow2"), ("vhd", "vpc"), ("vhdx", "vhdx"), ("vmdk", "vmdk"), ("vdi", "vdi")];
const OTHERS: [&str; 5] = ["raw", "tar", "tar.zst", "squash", "aci"];

fn qemu_img(words: &[&str], files: &[&Path]) -> Result<String> {
    let output = Command::new("qemu-img").args(words).args(files).output().context("qemu-img")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{words:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

/// Files whose names begin with `x`, checksum files left out.
fn outputs(env: &TestEnv) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(env.directory.path())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with('x') && !name.ends_with(".md5") && !name.ends_with(".sha256") {
            let bytes = fs_err::read(env.path(&name))?;
            found.insert(name, bytes);
        }
    }
    Ok(found)
}

#[test]
fn every_format_is_written_in_one_run_and_the_same_in_the_next() -> Result<()> {
    let env = TestEnv::new()?;
    let host = HostInvariant::take(env.cache())?;
    env.element("formats/element-provides", "operating-system\n")?;
    env.element("formats/root.d/10-tree", TREE)?;
    env.element("formats/pre-finalise.d/10-values", VALUES)?;
    env.element("reader/pre-finalise.d/20-reader", READER)?;
    fs_err::write(env.path("manifest.json"), "{\"acKind\": \"ImageManifest\"}")?;
    let create = |types: &str, more: &[&str]| -> Result<()> {
        let mut command = env.command("disk-image-create")?;
        command.env("ACI_MANIFEST", "manifest.json").args(["-n", "-o", "x", "-t", types]);
        let output = command.args(more).output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{text}");
        Ok(())
    };
    create("tar,raw,qcow2,vhd,squashfs,vhdx,vmdk,vdi,tar.zst,aci", &["--checksum", "formats"])?;
    let first = outputs(&env)?;
    let endings = || DISKS.iter().map(|(ending, _)| *ending).chain(OTHERS);
    for ending in endings() {
        let name = format!("x.{ending}");
        ensure!(first.contains_key(&name), "{name} is missing: {:?}", first.keys());
        for sum in ["md5", "sha256"] {
            let check = Command::new(format!("{sum}sum"))
                .args(["--quiet", "-c", &format!("{name}.{sum}")])
                .current_dir(env.directory.path())
                .status()?;
            ensure!(check.success(), "{name}.{sum}");
        }
    }
    let raw = env.path("x.raw");
    for (ending, driver) in DISKS {
        let disk = env.path(&format!("x.{ending}"));
        if driver != "vpc" {
            qemu_img(&["check", "-q", "-f", driver], &[&disk])?;
        }
        qemu_img(&["compare", "-q", "-f", "raw", "-F", driver], &[&raw, &disk])?;
    }
    let tar = env.path("x.tar");
    ensure!(
        member(&tar, "./values")?
            == "cloudimg-rootfs\n/\n [image0]=/dev/loop0\ncreate 4\nformats\n",
        "{}",
        member(&tar, "./values")?
    );
    let aci = env.path("x.aci");
    ensure!(member(&aci, "manifest")? == "{\"acKind\": \"ImageManifest\"}");
    ensure!(member(&aci, "rootfs/etc/note")? == "a note\n");
    ok(&env.run(&["build", "-n", "-t", "tar", "-o", "read", "formats", "reader"])?)?;
    let read = env.path("read.tar");
    let list = member(&read, "./list")?;
    let line = |name: &str| list.lines().find(|line| line.ends_with(name)).unwrap_or_default();
    ensure!(line("/usr/bin/tool").starts_with("-rwsr-x--- 7/1234 "), "{list}");
    ensure!(line("/dev/null").starts_with("crw-rw-rw- 0/0 "), "{list}");
    ensure!(line("/usr/bin/link -> tool").starts_with('l'), "{list}");
    ensure!(line("squashfs-root").starts_with("drwxr-xr-x 0/0 "), "{list}");
    for empty in ["/proc", "/sys"] {
        ensure!(line(empty).starts_with('d'), "{list}");
        ensure!(!list.contains(&format!("squashfs-root{empty}/")), "{list}");
    }
    ensure!(
        member(&read, "./attributes")? == "kept\n0100000200040000000000000000000000000000\n2\n",
        "{}",
        member(&read, "./attributes")?
    );
    again(&env, &first, create)?;
    host.check(env.cache())
}

/// The same in another order: the old files are renamed, the new ones have the same bytes.
/// Then what `--qemu-img-options` change.
fn again(
    env: &TestEnv,
    first: &BTreeMap<String, Vec<u8>>,
    create: impl Fn(&str, &[&str]) -> Result<()>,
) -> Result<()> {
    create("squashfs,aci,tar.zst,vdi,vmdk,vhdx,vhd,qcow2", &["formats"])?;
    let second = outputs(env)?;
    for (name, bytes) in first {
        ensure!(second.get(name) == Some(bytes), "{name} differs");
    }
    let renamed = second.keys().filter(|name| name.starts_with("x-")).count();
    ensure!(renamed == 8, "{:?}", second.keys());
    let options = "subformat=streamOptimized,adapter_type=lsilogic,subformat=fixed";
    create("vmdk,vhd", &["--qemu-img-options", options, "formats"])?;
    let (raw, stream, fixed) = (env.path("x.raw"), env.path("x.vmdk"), env.path("x.vhd"));
    qemu_img(&["check", "-q", "-f", "vmdk"], &[&stream])?;
    qemu_img(&["compare", "-q", "-f", "raw", "-F", "vmdk"], &[&raw, &stream])?;
    qemu_img(&["compare", "-q", "-f", "raw", "-F", "vpc"], &[&raw, &fixed])?;
    let told = qemu_img(&["info"], &[&stream])?;
    ensure!(told.contains("streamOptimized"), "{told}");
    let length = |path: &Path| Ok::<_, anyhow::Error>(fs_err::metadata(path)?.len());
    ensure!(length(&fixed)? == length(&raw)? + 512);
    ensure!(length(&stream)? < length(&raw)? / 4);
    Ok(())
}

/// What GNU tar says of an archive, attributes and numbers of owners included.
fn listing(archive: &Path, packer: Option<&str>) -> Result<String> {
    let mut tar = Command::new("tar");
    if let Some(packer) = packer {
        tar.args(["-I", packer]);
    }
    let words = ["--numeric-owner", "--full-time", "--xattrs", "--xattrs-include=*", "-tvvf"];
    let output = tar.args(words).arg(archive).output().context("tar")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && told.is_empty(), "{}: {told}", archive.display());
    Ok(String::from_utf8(output.stdout)?)
}

/// A packed archive is the plain one to whoever unpacks it.
#[test]
fn packed_archives_are_the_plain_one_to_gnu_tar() -> Result<()> {
    let env = TestEnv::new()?;
    env.element("formats/element-provides", "operating-system\n")?;
    env.element("formats/root.d/10-tree", TREE)?;
    ok(&env.run(&["build", "-n", "-t", "tar,tgz,tar.zst", "-o", "p", "formats"])?)?;
    let plain = env.path("p.tar");
    let wanted = listing(&plain, None)?;
    for part in
        ["-rwsr-x---* 7/1234 ", " link to ./usr/bin/again", "x: 4 user.note", "crw-rw-rw-  0/0 "]
    {
        ensure!(wanted.contains(part), "no {part}: {wanted}");
    }
    for (name, packer) in [("p.tgz", "gzip"), ("p.tar.zst", "zstd")] {
        let packed = env.path(name);
        let check = Command::new(packer).args(["-q", "-t"]).arg(&packed).output()?;
        ensure!(check.status.success(), "{name}: {}", String::from_utf8_lossy(&check.stderr));
        let found = listing(&packed, Some(packer))?;
        ensure!(found == wanted, "{name}: {found}\n{wanted}");
        let output = Command::new(packer).args(["-d", "-c"]).arg(&packed).output()?;
        ensure!(output.stdout == fs_err::read(&plain)?, "{name} unpacks to another archive");
        let smaller = fs_err::metadata(&packed)?.len() < fs_err::metadata(&plain)?.len() / 2;
        ensure!(smaller, "{name} is hardly packed");
    }
    Ok(())
}
