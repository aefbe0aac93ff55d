//! ext4 as `e2fsck`, `debugfs` and the kernel read it.

use std::path::Path;

use super::super::layout::{DiskLayout, Extent, FsKind, MIB, On, derived_uuid};
use super::super::sink::RawSink;
use super::super::test_support::{can_mount, create, dir, entry, file, have, noise, run, tree};
use super::super::view;
use super::*;
use crate::tree::{Entry, Kind, Tree};

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
    let usage = write(&views[0], &layout.filesystems[0], &options, &place, &mut sink, &())?;
    sink.finish().map_err(Ext4Error::Sink)?;
    Ok(usage)
}

type Ext4Result = Result<FilesystemUse, Ext4Error>;

fn acl() -> Vec<u8> {
    let entry = |tag: u16, perm: u16, id: u32| {
        [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    [
        2_u32.to_le_bytes().to_vec(),
        entry(0x01, 6, none),
        entry(0x02, 4, 1234),
        entry(0x04, 4, none),
        entry(0x10, 4, none),
        entry(0x20, 0, none),
    ]
    .concat()
}

fn capability() -> Vec<u8> {
    // cap_net_raw=ep, version 2
    [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn with(mut entry: Entry, change: impl FnOnce(&mut Entry)) -> Entry {
    change(&mut entry);
    entry
}

/// One of everything.
fn rich() -> Tree {
    let mut entries = vec![
        with(dir(""), |e| e.mode = 0o755),
        dir("bin"),
        with(file("bin/ping", &noise(50_000)), |e| {
            e.xattrs = vec![(b"security.capability".to_vec(), capability())];
        }),
        with(file("bin/su", b"su"), |e| e.mode = 0o4755),
        entry("bin/su2", Kind::Hardlink(b"bin/su".to_vec())),
        dir("dev"),
        entry("dev/null", Kind::Char { major: 1, minor: 3 }),
        entry("dev/vda", Kind::Block { major: 254, minor: 300 }),
        entry("dev/pipe", Kind::Fifo),
        entry("dev/sock", Kind::Socket),
        with(file("acl", b"acl"), |e| {
            e.mode = 0o640;
            e.xattrs = vec![(b"system.posix_acl_access".to_vec(), acl())];
        }),
        with(file("attrs", b"a"), |e| {
            e.xattrs = vec![
                (b"user.big".to_vec(), noise(2000)),
                (b"user.small".to_vec(), b"v".to_vec()),
                (b"trusted.t".to_vec(), b"t".to_vec()),
            ];
        }),
        with(file("owned", b"x"), |e| (e.uid, e.gid, e.mtime_nsec) = (100_000, 65_534, 42)),
        file("empty", b""),
        file("zeros", &vec![0; 3 << 20]),
        file("ünïcode", b"u"),
        entry("short", Kind::Symlink(b"bin/su".to_vec())),
        entry("long", Kind::Symlink(vec![b'l'; 200])),
        with(dir("tmp"), |e| e.mode = 0o1777),
        dir("many"),
        dir("lost+found"),
    ];
    entries.extend((0..3000).map(|i| file(&format!("many/file-{i:05}"), &[b'a'; 7])));
    tree(entries)
}

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
    // The estimate may be a little above, never below.
    let used = (number("Block count:") - number("Free blocks:")) * 4096;
    assert!(usage.used_bytes >= used, "{} {used}", usage.used_bytes);
    assert!(usage.used_bytes - used < 20 * MIB, "{} {used}", usage.used_bytes);
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

#[test]
fn it_can_be_written_to_and_grown() {
    if !have("e2fsck") || !have("resize2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("root.ext4");
    image(&rich(), 300 * MIB, Ext4Options::default(), &path).unwrap();
    let text = path.to_str().unwrap();
    if can_mount() {
        let target = scratch.path().join("mnt");
        fs_err::create_dir(&target).unwrap();
        let script = "mount -o loop \"$0\" \"$1\" && cd \"$1\" && rm bin/su many/file-00* && \
            for i in $(seq 500); do echo $i > many/new-$i; done && cd / && umount \"$1\"";
        let args = ["--mount", "--propagation", "private", "sh", "-c", script];
        run("unshare", &[&args[..], &[text, target.to_str().unwrap()]].concat());
        run("e2fsck", &["-fn", text]);
    }
    // resize2fs wants a check after the last change.
    run("e2fsck", &["-fp", text]);
    run("resize2fs", &[text, "5G"]);
    run("e2fsck", &["-fn", text]);
    assert!(run("debugfs", &["-R", "cat /many/file-02999", text]).contains("aaaaaaa"));
}

#[test]
fn every_size_is_clean() {
    if !have("e2fsck") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let small = tree(vec![dir(""), file("hello", b"hello")]);
    let odd = 4096 + 512;
    let groups = [16, 17, 100, 128, 129, 2048, 2049, 2052, 2060, 4100, 8192, 20_000];
    for mib in groups {
        for options in [
            Ext4Options::default(),
            Ext4Options { inode_ratio: 16_384, journal_mib: None, reserved_percent: 1 },
        ] {
            image(&small, mib * MIB + odd, options, &path).unwrap();
            run("e2fsck", &["-fn", path.to_str().unwrap()]);
        }
    }
}

#[test]
fn one_file_fills_what_is_available() {
    for options in [
        Ext4Options::default(),
        Ext4Options { inode_ratio: 16_384, journal_mib: None, reserved_percent: 1 },
    ] {
        for mib in [20, 200, 2048, 2500, 4096, 10_000, 70_000] {
            let g = Geometry::new(mib * MIB, &options).unwrap();
            let filesystem = Filesystem {
                name: String::new(),
                on: On::Whole,
                kind: FsKind::Ext4(options),
                label: String::new(),
                uuid: uuid::Uuid::nil(),
                mount_point: None,
            };
            // lost+found has four blocks, the root directory one.
            let most = g.available - 5;
            let seal = |blocks: u64| {
                let mut builder = FsBuilder::new(settings(&g, &filesystem, &options, 0)).unwrap();
                let meta = mkext4::Meta::new(0o644, 0, 0, (0, 0));
                builder.file(mkext4::ROOT, "f", meta, blocks * BLOCK).unwrap();
                builder.seal().map(|_| ())
            };
            assert!(seal(most + 1).is_err(), "{mib}");
            let tree = geometry::extent_blocks(most * BLOCK);
            seal(most - tree).unwrap_or_else(|e| panic!("{mib} {options:?}: {e}"));
        }
    }
}

#[test]
fn a_tree_fits_its_minimal_size_exactly() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let options = Ext4Options { journal_mib: Some(4), ..Ext4Options::default() };
    let mut big = rich();
    big.insert(file("big", &noise(40 << 20)));
    for tree in [&rich(), &big] {
        let len = super::super::size::minimal_ext4_len(tree, &options).unwrap();
        image(tree, len, options, &path).unwrap();
        if have("e2fsck") {
            run("e2fsck", &["-fn", path.to_str().unwrap()]);
        }
        if len > 16 * MIB {
            let error = image(tree, len - MIB, options, &path).unwrap_err();
            let Ext4Error::Full { needed, missing, .. } = error else { panic!("{error}") };
            assert_eq!((needed, missing), (len, MIB));
        }
    }
}

#[test]
fn what_cannot_be_stored_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fs");
    let raw = with(file("x", b""), |e| e.path = b"caf\xe9".to_vec());
    let target = entry("link", Kind::Symlink(b"\xff".to_vec()));
    let attribute = with(file("f", b""), |e| e.xattrs = vec![(b"os2.x".to_vec(), Vec::new())]);
    let list = with(file("f", b""), |e| {
        e.xattrs = vec![(b"system.posix_acl_access".to_vec(), vec![9; 4])];
    });
    let short = with(file("short", b"1234"), |e| {
        if let Kind::File { size, .. } = &mut e.kind {
            *size = 5;
        }
    });
    let time = with(file("late", b""), |e| e.mtime = 1 << 40);
    let cases = [
        (vec![raw], "/caf\\xe9: \"caf\\xe9\" is not UTF-8"),
        (vec![target], "/link: \"\\xff\" is not UTF-8"),
        (vec![attribute], "/f has an extended attribute os2.x"),
        (vec![list], "/f has an extended attribute system.posix_acl_access"),
        (vec![short], "cannot read /short"),
        (vec![time], "/late has the modification time"),
        (vec![dir("lost+found"), file("lost+found/f", b"")], "/lost+found/f: lost+found"),
        (vec![file("no/parent", b"")], "/no/parent has no parent"),
    ];
    for (entries, expected) in cases {
        let tree = tree([vec![dir("")], entries].concat());
        let error = image(&tree, 32 * MIB, Ext4Options::default(), &path).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}: no {expected}");
    }
    let many = (0..5000).map(|i| file(&format!("{i}"), b"")).chain([dir("")]).collect();
    let few = Ext4Options { inode_ratio: 65_536, ..Ext4Options::default() };
    let error = image(&tree(many), 32 * MIB, few, &path).unwrap_err().to_string();
    assert!(error.contains("needs 5011 inodes where there are 512"), "{error}");
    let error = image(&tree(vec![dir("")]), 8 * MIB, few, &path).unwrap_err();
    assert!(matches!(error, Ext4Error::TooSmall { .. }));
}
