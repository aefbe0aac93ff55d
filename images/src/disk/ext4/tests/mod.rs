//! ext4 as `e2fsck`, `debugfs`, the kernel and our own reader see it.

mod forms;
mod growth;
mod limits;
mod older;

use std::path::Path;

use super::super::layout::{
    DiskLayout, Ext4Errors, ExtKind, Extent, FsKind, MIB, On, Percent, derived_uuid,
};
use super::super::sink::RawSink;
use super::super::test_support::{
    acl, can_mount, capability, create, dir, entry, file, have, lacks, noise, raw, rich, run, same,
    tree, with,
};
use super::super::view;
use super::*;
use crate::tree::{Kind, Tree};

const EPOCH: i64 = 1_700_000_000;

fn image(tree: &Tree, len: u64, options: Ext4Options, path: &Path) -> Ext4Result {
    let root = Filesystem {
        name: "mkfs_root".into(),
        on: On::Whole,
        kind: FsKind::Ext4(options),
        label: "cloudimg-rootfs".into(),
        uuid: derived_uuid("test", "root"),
        mount_point: Some("/".into()),
    };
    let layout = DiskLayout::bare(len, EPOCH, root);
    let views = view::split(&layout, tree, &[]).unwrap();
    let place = Place { extent: Extent { offset: 0, len }, sector_size: 512, epoch: EPOCH };
    let mut sink = RawSink::new(create(path), len).unwrap();
    let usage = write(&views[0], &layout.filesystems[0], &options, &place, &mut sink)?;
    sink.finish().map_err(Ext4Error::Sink)?;
    Ok(usage)
}

type Ext4Result = Result<FilesystemUse, Ext4Error>;

#[test]
fn e2fsck_and_debugfs_agree() {
    if !have("e2fsck") || !have("debugfs") || !have("dumpe2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("root.ext4");
    let usage = image(&rich(), 300 * MIB, Ext4Options::default(), &path).unwrap();
    let text = path.to_str().unwrap();
    run("e2fsck", &["-fn", text]);
    let head = run("dumpe2fs", &["-h", text]);
    let uuid = derived_uuid("test", "root").to_string();
    for part in ["cloudimg-rootfs", &uuid, "Total journal size:       64M", "metadata_csum"] {
        assert!(head.contains(part), "{part} in {head}");
    }
    let number = |key: &str| -> u64 {
        let line = head.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_whitespace().next_back().unwrap().parse().unwrap()
    };
    assert_eq!(number("Inode count:"), 300 * MIB / 4096);
    assert_eq!(Some(number("Inode count:")), usage.file_limit);
    assert_eq!(number("Inode count:") - number("Free inodes:"), usage.files);
    let used = (number("Block count:") - number("Free blocks:")) * 4096;
    assert_eq!(usage.used_bytes, used);
    let ask = |request: &str| run("debugfs", &["-R", request, text]);
    for (request, part) in [
        ("stat /bin/su", "Mode:  04755"),
        ("stat /bin/su2", "Links: 2"),
        ("stat /dev/null", "Device major/minor number: 01:03"),
        ("stat /dev/vda", "Device major/minor number: 254:300"),
        ("stat /dev/pipe", "Type: FIFO"),
        ("stat /dev/sock", "Type: socket"),
        ("stat /tmp", "Mode:  01777"),
        ("stat /owned", "User: 100000   Group: 65534"),
        ("stat /short", "Fast link dest: \"bin/su\""),
        ("cat /many/file-02999", "aaaaaaa"),
        ("ea_get /attrs user.small", "v"),
    ] {
        let answer = ask(request);
        assert!(answer.contains(part), "{request}: {answer}");
    }
}

#[test]
fn the_kernel_sees_the_tree() {
    if !can_mount() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("root.ext4");
    image(&rich(), 64 * MIB, Ext4Options::default(), &path).unwrap();
    let target = scratch.path().join("mnt");
    fs_err::create_dir(&target).unwrap();
    // Its own mount name space: nothing stays if the test is killed.
    let script = "mount -o loop,ro \"$0\" \"$1\" && cd \"$1\" && \
        stat -c '%n %a %u %g %h %F %t:%T %s' bin/su bin/su2 dev/* owned long zeros ünïcode && \
        readlink short long && sha256sum bin/ping && ls many | wc -l && \
        { getfattr -e hex -n security.capability bin/ping; getfattr -n system.posix_acl_access -e hex acl; \
          getfattr --only-values -n user.big attrs | wc -c; getfacl -n acl; } 2>&1; true";
    let paths = [path.to_str().unwrap(), target.to_str().unwrap()];
    let args = ["--mount", "--propagation", "private", "sh", "-c", script, paths[0], paths[1]];
    let seen = run("unshare", &args);
    let sum = {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(noise(50_000)))
    };
    let mut expected = vec![
        "bin/su 4755 0 0 2 regular file 0:0 2".to_owned(),
        "bin/su2 4755 0 0 2 regular file 0:0 2".to_owned(),
        "dev/null 644 0 0 1 character special file 1:3 0".to_owned(),
        "dev/vda 644 0 0 1 block special file fe:12c 0".to_owned(),
        "dev/pipe 644 0 0 1 fifo 0:0 0".to_owned(),
        "dev/sock 644 0 0 1 socket 0:0 0".to_owned(),
        "owned 644 100000 65534 1 regular file 0:0 1".to_owned(),
        "zeros 644 0 0 1 regular file 0:0 3145728".to_owned(),
        "l".repeat(200),
        format!("{sum}  bin/ping"),
        "3000".to_owned(),
    ];
    if have("getfattr") {
        expected.push(format!("security.capability=0x{}", hex::encode(capability())));
        expected.push(format!("system.posix_acl_access=0x{}", hex::encode(acl())));
        expected.push("2000".to_owned());
    }
    if have("getfacl") {
        expected.push("user:1234:r--".to_owned());
    }
    for line in expected {
        assert!(seen.lines().any(|l| l.trim() == line), "{line} in\n{seen}");
    }
}
