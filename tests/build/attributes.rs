//! What the kernel refuses an ordinary user, in an image that one builds: device nodes, access
//! lists, SELinux labels, trusted attributes. From the base through hooks to every output.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv};

use crate::ok;

/// A base as an archive, of a system that needs no hook inside.
const BASE: &str = r#"
import io, tarfile
label = {"SCHILY.xattr.security.selinux": "system_u:object_r:etc_t:s0\0", "SCHILY.xattr.trusted.mine": "kept"}
archive = tarfile.open("base.tar", "w", format=tarfile.PAX_FORMAT)
def add(name, kind, mode=0o644, size=0, device=(0, 0), link="", **headers):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname, info.mtime = kind, mode, size, link, 1600000000
    info.devmajor, info.devminor = device
    info.pax_headers = headers
    archive.addfile(info, io.BytesIO(b"x" * size))
add("etc", tarfile.DIRTYPE, 0o755, **label)
add("etc/os-release", tarfile.REGTYPE, size=5, **label)
add("etc/link", tarfile.SYMTYPE, 0o777, link="os-release", **label)
add("etc/listed", tarfile.REGTYPE, 0o640, **{"SCHILY.acl.access": "user::rw-\nuser:7:r--\ngroup::r--\nmask::r--\nother::---\n"})
add("nodes", tarfile.DIRTYPE, 0o755, **label)
for name in "kept", "removed", "replaced", "changed", "renamed":
    add("nodes/" + name, tarfile.BLKTYPE, 0o660, device=(8, 1))
add("dev/net/tun", tarfile.CHRTYPE, 0o666, device=(10, 200))
archive.close()
"#;

/// What a later phase does to them, with the usual programs.
const HOOK: &str = r#"#!/bin/bash
set -eu
cd "$TARGET_ROOT"
rm nodes/removed
echo text > nodes/new && mv nodes/new nodes/replaced
chmod 600 nodes/changed
chown 3:4 nodes/changed
mv nodes/renamed nodes/moved
ln nodes/replaced nodes/same
cp -a etc/os-release etc/copy
cp -a etc/os-release nodes/written
ln etc/copy etc/more
"#;

/// Says what is in an archive, or in all layers of an image, one after the other.
const LIST: &str = r#"
import io, json, sys, tarfile
def show(archive):
    for one in archive:
        kind = {b"0": "file", b"3": "char", b"4": "block"}.get(one.type, "other")
        words = [one.name.removeprefix("./"), kind, oct(one.mode), f"{one.uid}:{one.gid}"]
        if kind in ("char", "block"):
            words.append(f"{one.devmajor}:{one.devminor}")
        for key in sorted(one.pax_headers):
            if key.startswith("SCHILY.xattr."):
                value = one.pax_headers[key].encode("utf-8", "surrogateescape")
                words.append(key[13:] + "=" + value.hex())
        print(*words)
archive = tarfile.open(sys.argv[1])
if "index.json" not in archive.getnames():
    show(archive)
else:
    blob = lambda d: archive.extractfile("blobs/" + d["digest"].replace(":", "/")).read()
    index = json.load(archive.extractfile("index.json"))
    for layer in json.loads(blob(index["manifests"][0]))["layers"]:
        show(tarfile.open(fileobj=io.BytesIO(blob(layer))))
"#;

pub(crate) fn run(env: &TestEnv, program: &str, arguments: &[&str]) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .current_dir(env.directory.path())
        .output()
        .with_context(|| program.to_owned())?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {told}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn has(text: &str, lines: &[String]) -> Result<()> {
    for line in lines {
        ensure!(text.lines().any(|there| there == line), "{line:?} is not in\n{text}");
    }
    Ok(())
}

/// Writes the element `noted`: that base, and that hook.
pub(crate) fn noted(env: &TestEnv) -> Result<()> {
    run(env, "python3", &["-c", BASE])?;
    let sum = run(env, "sha512sum", &["base.tar"])?;
    let sum = sum.split(' ').next().unwrap_or_default();
    env.element("noted/element-provides", "operating-system\n")?;
    env.element("noted/environment.d/10-x.bash", "export DISTRO_NAME=debian\n")?;
    let path = env.path("base.tar");
    env.element(
        "noted/base.yaml",
        &format!("rootfs:\n  url: {}\n  sha512: \"{sum}\"\n", path.display()),
    )?;
    env.element("noted/cleanup.d/10-x", HOOK)
}

#[test]
fn devices_lists_and_labels_reach_every_output() -> Result<()> {
    let env = TestEnv::new()?;
    let host = HostInvariant::take(env.cache())?;
    noted(&env)?;
    let line = ["build", "-n", "-a", "amd64", "-t", "tar,raw,squashfs,oci", "-o", "x", "noted"];
    ok(&env.run(&line)?)?;

    let label = hex(b"system_u:object_r:etc_t:s0\0");
    let labels = format!("security.selinux={label} trusted.mine={}", hex(b"kept"));
    let list = "system.posix_acl_access=0200000001000600ffffffff020004000700000004000400ffffffff10000400ffffffff20000000ffffffff";
    let expected = [
        format!("nodes other 0o755 0:0 {labels}"),
        format!("etc/os-release file 0o644 0:0 {labels}"),
        format!("etc/copy file 0o644 0:0 {labels}"),
        format!("etc/link other 0o777 0:0 {labels}"),
        format!("etc/listed file 0o640 0:0 {list}"),
        "nodes/kept block 0o660 0:0 8:1".to_owned(),
        "nodes/replaced file 0o644 0:0".to_owned(),
        "nodes/changed block 0o600 3:4 8:1".to_owned(),
        "nodes/moved block 0o660 0:0 8:1".to_owned(),
        "dev/net/tun char 0o666 0:0 10:200".to_owned(),
    ];
    let archive = run(&env, "python3", &["-c", LIST, "x.tar"])?;
    has(&archive, &expected)?;
    ensure!(!archive.contains("nodes/removed") && !archive.contains("nodes/renamed"), "{archive}");
    ensure!(!archive.contains("user.goldsmith"), "{archive}");
    let layers = run(&env, "python3", &["-c", LIST, "x.oci"])?;
    // Whoever runs it makes /dev.
    let elsewhere: Vec<_> =
        expected.iter().filter(|line| !line.starts_with("dev/")).cloned().collect();
    has(&layers, &elsewhere)?;
    ensure!(layers.contains("nodes/.wh.removed") && !layers.contains("user.goldsmith"), "{layers}");

    let ask = |request: &str| run(&env, "debugfs", &["-R", request, "x.raw"]);
    for (request, part) in [
        ("stat /nodes/kept", "Device major/minor number: 08:01"),
        ("stat /nodes/changed", "User:     3   Group:     4"),
        ("stat /nodes/moved", "Type: block special    Mode:  0660"),
        ("stat /nodes/replaced", "Type: regular"),
        ("stat /dev/net/tun", "Device major/minor number: 10:200"),
        ("ea_list /etc/link", "security.selinux"),
        ("ea_get -V /etc/copy trusted.mine", "kept"),
        ("ea_list /etc/listed", "system.posix_acl_access"),
    ] {
        let answer = ask(request)?;
        ensure!(answer.contains(part), "{request}: {answer}");
    }
    run(&env, "e2fsck", &["-fn", "x.raw"])?;
    let squashed = run(&env, "unsquashfs", &["-lln", "x.squash"])?;
    for (name, device) in [("nodes/kept", "8,  1"), ("dev/net/tun", "10,200")] {
        let line = squashed.lines().find(|line| line.ends_with(name)).unwrap_or_default();
        let digits = |text: &str| text.replace(' ', "");
        ensure!(digits(line).contains(&digits(device)), "{name}: {squashed}");
    }
    host.check(env.cache())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
