//! An image as the base of another one: `extract-image` reads it without a mount.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use goldsmith_tests::{HostInvariant, Side, TestEnv, Tree, compare, ran};

use crate::ok;

/// Serves one file to whoever asks, until the test ends; counts how often it was sent.
fn serve(file: PathBuf) -> Result<(u16, Arc<AtomicUsize>)> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    std::thread::spawn(move || -> Result<()> {
        for stream in server.incoming() {
            let mut stream = stream?;
            let mut asked = String::new();
            let mut lines = BufReader::new(stream.try_clone()?);
            while lines.read_line(&mut asked)? > 2 {}
            if asked.to_lowercase().contains("if-modified-since") {
                write!(stream, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n")?;
                continue;
            }
            let bytes = fs_err::read(&file)?;
            let length = bytes.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nLast-Modified: Fri, 01 Mar 2024 10:00:00 GMT\r\nConnection: close\r\n\r\n"
            )?;
            stream.write_all(&bytes)?;
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    Ok((port, sent))
}

/// What is stored in ways of its own.
const ODD: &str = r#"#!/usr/bin/python3
import os
os.makedirs("/srv/odd")
open("/srv/odd/capable", "w").write("x")
os.setxattr("/srv/odd/capable", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
os.setxattr("/srv/odd/capable", "user.note", b"kept")
os.link("/srv/odd/capable", "/srv/odd/again")
os.symlink("z" * 200, "/srv/odd/far")
os.mkfifo("/srv/odd/pipe", 0o640)
os.chown("/srv/odd/pipe", 1234, 4321)
with open("/srv/odd/sparse", "wb") as file:
    file.seek(30 << 20)
    file.write(b"end")
open("/srv/odd/shared", "w").write("y")
os.chmod("/srv/odd/shared", 0o6751)
"#;

/// A root on a logical volume.
const LAYOUT: &str = "
- local_loop: {name: image0, size: 1GiB}
- partitioning:
    base: image0
    label: mbr
    partitions:
      - {name: system, type: '8E', size: 100%}
- lvm:
    name: lvm
    pvs: [{name: pv, base: system}]
    vgs: [{name: vg, base: [pv]}]
    lvs: [{name: lv_root, base: vg, extents: 100%FREE}]
- mkfs:
    name: mkfs_root
    base: lv_root
    mount: {mount_point: /, fstab: {fsck-passno: 1}}
";

/// What the second image says of the first one's odd files.
const LOOK: &str = r#"#!/usr/bin/python3
import os
d = "/srv/odd/"
print(os.getxattr(d + "capable", "security.capability").hex(), file=open("/seen", "w"))
with open("/seen", "a") as out:
    print(os.getxattr(d + "capable", "user.note"), file=out)
    print(os.stat(d + "capable").st_nlink, file=out)
"#;

#[test]
fn a_disk_image_is_the_base_of_another_one() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    let host = HostInvariant::take(env.cache())?;
    env.element("odd/install.d/50-odd", ODD)?;
    // Its root lies on a logical volume.
    let mut command = env.command("goldsmith")?;
    command.env("DIB_BLOCK_DEVICE_CONFIG", LAYOUT);
    let line = ["build", "-n", "-t", "qcow2,tar", "-o", "base", "small", "odd"];
    ok(&ran(command.args(line))?)?;
    let (port, sent) = serve(env.path("base.qcow2"))?;
    // The element's own way of reading an image is not taken: no sandbox allows it.
    env.element("cloud/bin/extract-image", "#!/bin/bash\nexit 9\n")?;
    let cache_url = "../elements/cache-url/bin/cache-url";
    let cache_url = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(cache_url);
    env.element("cloud/bin/cache-url", &fs_err::read_to_string(cache_url)?)?;
    env.element("cloud/element-provides", "operating-system\n")?;
    env.element("cloud/environment.d/10-cloud.bash", "export DISTRO_NAME=debian\n")?;
    // A name of this test's own: the cache of hooks is everybody's.
    let name = env.directory.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    env.element(
        "cloud/root.d/10-cloud",
        &format!("#!/bin/bash\nset -eu\n$TMP_HOOKS_PATH/bin/extract-image {name}.qcow2 {name}.tgz http://127.0.0.1:{port}/base.qcow2 $DIB_IMAGE_CACHE/{name}.qcow2\n"),
    )?;
    env.element("cloud/finalise.d/10-look", LOOK)?;
    let line = ["build", "-n", "-t", "tar", "-o", "next", "--progress", "plain", "cloud"];
    ok(&env.run(&line)?)?;
    let base = Tree::read(&env.path("base.tar"), &[])?;
    let next = Tree::read(&env.path("next.tar"), &["/seen"])?;
    let known = [("/seen", Side::Second, "the second image's own hook")];
    compare(&base, &next, &known)?;
    let seen = next.text("/seen")?;
    let expected = "0100000200200000000000000000000000000000\nb'kept'\n2\n";
    ensure!(seen == expected, "{seen:?}");
    ensure!(sent.load(Ordering::SeqCst) == 1);
    // Asked again, the server has nothing newer; and offline nobody asks it.
    env.element("cloud/unique", "again")?;
    let again = env.run(&line)?;
    ok(&again)?;
    ensure!(
        again.stderr.contains("unpacking") && !again.stderr.contains("packing the"),
        "{again:?}"
    );
    env.element("cloud/unique", "offline")?;
    let mut command = env.command("goldsmith")?;
    let offline = ran(command.args(line).arg("--offline"))?;
    ok(&offline)?;
    ensure!(offline.stderr.contains("offline, "), "{offline:?}");
    ensure!(sent.load(Ordering::SeqCst) == 1);
    for ending in ["qcow2", "tgz", "tgz.lock"] {
        fs_err::remove_file(env.cache().join(format!("image-create/{name}.{ending}")))?;
    }
    host.check(env.cache())
}
