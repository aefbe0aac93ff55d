//! XFS as mkfs.xfs makes it from a list of files, with the features that change the format,
//! and as the kernel writes it.

use std::path::Path;
use std::sync::Arc;

use super::{content, ext, same, system};
use crate::disk::test_support::{can_mount, dir, entry, file, have, noise, run, tree};
use crate::read::{Format, Medium, RawFile, System, SystemError};
use crate::tree::{Entry, Kind, Tree};

/// mkfs.xfs makes no file system of less than 300 MiB, but in its own tests.
const SMALL: [&str; 4] = ["TEST_DIR=x", "TEST_DEV=x", "QA_CHECK_FS=x", "mkfs.xfs"];

/// A tree with everything that is stored in its own way.
pub(super) fn source(many: usize) -> Tree {
    let mut entries = vec![
        dir(""),
        dir("boot"),
        dir("empty"),
        dir("etc"),
        dir("few"),
        dir("many"),
        file("boot/vmlinuz-1", &noise(many * 1000 + 77)),
        file("etc/hostname", b"golden\n"),
        file("etc/tiny", b"x"),
        file("block", &noise(4096)),
        file("nothing", b""),
        entry("short", Kind::Symlink(b"etc/hostname".to_vec())),
        entry("long", Kind::Symlink("x/".repeat(90).into_bytes())),
        // Longer ones than an inode holds mkfs.xfs writes without their header.
        entry("over", Kind::Symlink("y".repeat(300).into_bytes())),
        entry("pipe", Kind::Fifo),
        entry("disk", Kind::Block { major: 259, minor: 70_000 }),
        entry("terminal", Kind::Char { major: 4, minor: 64 }),
    ];
    entries.extend((0..9).map(|n| file(&format!("few/{n}"), b"few")));
    entries.extend((0..many).map(|n| file(&format!("many/a-longer-name-of-a-file-{n}"), b"")));
    for entry in &mut entries {
        if matches!(entry.kind, Kind::Symlink(_)) {
            entry.mode = 0o777;
        }
        if entry.path == b"etc/tiny" {
            (entry.uid, entry.gid, entry.mode) = (70_000, 4_000_000_000, 0o6711);
        }
    }
    tree(entries)
}

/// The tree in mkfs.xfs's words; files lie in `directory` meanwhile.
fn describe(tree: &Tree, directory: &Path) -> String {
    fn level(tree: &Tree, above: &Entry, directory: &Path, text: &mut String) {
        let inside = |entry: &&Entry| {
            let parent = entry.path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            !entry.path.is_empty() && entry.path[..parent] == above.path
        };
        for entry in tree.entries.iter().filter(inside) {
            let path = str::from_utf8(&entry.path).unwrap();
            let name = path.rsplit('/').next().unwrap();
            let (kind, rest) = match &entry.kind {
                Kind::File { .. } => {
                    let copy = directory.join(path.replace('/', "+"));
                    fs_err::write(&copy, content(tree, entry)).unwrap();
                    ('-', copy.to_str().unwrap().to_owned())
                }
                Kind::Symlink(to) => ('l', String::from_utf8(to.clone()).unwrap()),
                Kind::Block { major, minor } => ('b', format!("{major} {minor}")),
                Kind::Char { major, minor } => ('c', format!("{major} {minor}")),
                Kind::Fifo => ('p', String::new()),
                Kind::Dir => ('d', String::new()),
                other => panic!("{other:?}"),
            };
            let bit = |bit, letter| if entry.mode & bit != 0 { letter } else { '-' };
            let (user, group, mode) = (bit(0o4000, 'u'), bit(0o2000, 'g'), entry.mode & 0o777);
            let owner = format!("{} {}", entry.uid, entry.gid);
            *text += &format!("{name} {kind}{user}{group}{mode:03o} {owner} {rest}\n");
            if kind == 'd' {
                level(tree, entry, directory, text);
            }
        }
        *text += "$\n";
    }
    let mut text = "/none\n0 0\nd--755 0 0\n".to_owned();
    level(tree, &tree.entries[0], directory, &mut text);
    text
}

/// Attributes by xfs_db, so many beside those that are there in any case.
pub(super) fn attributes(tree: &mut Tree, image: &Path, many: usize) {
    let image = image.to_str().unwrap();
    let mut put = |path: &str, space: &str, name: &str, len: usize| {
        let (file, length) = (format!("path /{path}"), len.to_string());
        let set = format!("attr_set {space} -v {length} {name}");
        run("xfs_db", &["-x", "-c", &file, "-c", &set, image]);
        let prefix = match space {
            "-r" => "trusted",
            "-s" => "security",
            _ => "user",
        };
        let at = tree.entries.iter().position(|entry| entry.path == path.as_bytes()).unwrap();
        let whole = format!("{prefix}.{name}").into_bytes();
        tree.entries[at].xattrs.push((whole, vec![b'v'; len]));
        tree.entries[at].xattrs.sort();
    };
    // xfs_db has a fault where the first attribute of a file does not fit into its inode.
    for path in ["nothing", "etc", "block", "few/3"] {
        put(path, "-u", "short", 5);
    }
    put("nothing", "-s", "capability", 20);
    put("etc", "-r", "of-a-directory", 300);
    put("short", "-r", "of-a-link", 7);
    put("block", "-u", "remote", 60_000);
    put("block", "-u", "beside", 900);
    for n in 0..many {
        put("few/3", "-u", &format!("one-of-many-{n}"), 1500);
    }
}

/// Makes a file system of `tree`.
pub(super) fn make(tree: &Tree, image: &Path, size: u64, options: &[&str]) {
    let scratch = tempfile::tempdir().unwrap();
    let list = scratch.path().join("list");
    fs_err::write(&list, describe(tree, scratch.path())).unwrap();
    fs_err::File::create(image).unwrap().set_len(size).unwrap();
    let files = ["-q", "-f", "-p", list.to_str().unwrap(), image.to_str().unwrap()];
    run("env", &[&SMALL[..], options, &files].concat());
}

fn timeless(mut tree: Tree) -> Tree {
    for entry in &mut tree.entries {
        (entry.mtime, entry.mtime_nsec) = (0, 0);
    }
    tree
}

const KINDS: [(&str, &[&str]); 8] = [
    ("usual", &[]),
    ("old times", &["-m", "bigtime=0,inobtcount=0,reflink=0"]),
    ("version 4", &["-m", "crc=0,finobt=0,reflink=0", "-n", "ftype=0"]),
    ("types in version 4", &["-m", "crc=0,finobt=0,reflink=0", "-n", "ftype=1", "-i", "size=256"]),
    ("small blocks", &["-b", "size=1024", "-i", "size=512"]),
    ("large directory blocks", &["-n", "size=32768", "-i", "size=2048"]),
    ("wide counters", &["-i", "nrext64=1"]),
    ("groups", &["-d", "agcount=7", "-m", "rmapbt=1"]),
];

#[test]
fn what_mkfs_xfs_makes_is_what_it_was_given() {
    if !have("mkfs.xfs") || !have("xfs_db") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    for (number, (name, options)) in KINDS.iter().enumerate() {
        println!("{name}");
        let mut theirs = source(if number == 0 { 2500 } else { 400 });
        make(&theirs, &image, 128 << 20, options);
        // A tree of blocks with attributes takes many of them.
        attributes(&mut theirs, &image, if number < 3 { 60 } else { 0 });
        let ours = timeless(system(&image).tree(b"").unwrap());
        same(&ours, &timeless(theirs), &[]);
        let boot = system(&image).tree(b"boot").unwrap();
        let paths: Vec<_> = boot.entries.iter().map(|entry| entry.path.as_slice()).collect();
        assert_eq!(paths, [&b""[..], b"boot", b"boot/vmlinuz-1"]);
    }
}

/// What the kernel does to a file system that is mounted at `$1`, of the tree at `$2`.
const FILL: &str = r#"
set -eu
cp -a "$2"/. "$1"
cd "$1"
python3 - << 'END'
import os
for n in range(300):
    os.setxattr("etc", f"user.number-{n}", b"v" * 100)
os.setxattr("block", "user.large", bytes(range(256)) * 256)
os.setxattr("etc/hostname", "trusted.t", b"")
os.setxattr("etc/hostname", "system.posix_acl_access", bytes.fromhex(
    "0200000001000600ffffffff02000400e903000004000400ffffffff10000600ffffffff20000000ffffffff"))
with open("holes", "wb") as file:
    for n in range(400):
        file.seek(n * 12288)
        file.write(b"%d" % n * 100)
with open("aside", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, 1 << 20)
    file.write(b"begin")
os.symlink("z" * 1000, "far")
os.utime("nothing", ns=(0, 4_500_000_000_123_456_789))
os.utime("etc/tiny", ns=(0, -1_500_000_000))
END
"#;

/// Runs FILL in a mount namespace of its own; `after` runs while it is mounted.
fn fill(image: &Path, from: &Path, after: &str) {
    let point = tempfile::tempdir().unwrap();
    let script = format!(
        "set -e; mount -o loop \"$3\" \"$1\"; (\n{FILL}\n); sync -f \"$1\"; {after}\numount \"$1\""
    );
    let words: Vec<_> = [point.path(), from, image].map(|p| p.to_str().unwrap()).to_vec();
    let options = ["-m", "--propagation", "private", "sh", "-c", &script, "sh"];
    run("unshare", &[&options[..], &words].concat());
}

#[test]
fn what_the_kernel_writes_is_read() {
    if !have("mkfs.xfs") || !can_mount() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, image) = (scratch.path().join("from"), scratch.path().join("image"));
    fs_err::create_dir(&from).unwrap();
    ext::source(&from);
    let theirs = Tree::merge(std::slice::from_ref(&from)).unwrap();
    let path = image.to_str().unwrap();
    for options in [&["-m", "bigtime=1"][..], &["-b", "size=1024", "-i", "nrext64=1"]] {
        fs_err::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        run("mkfs.xfs", &[options, &["-q", "-f", path]].concat());
        let copy = scratch.path().join("copy");
        fill(&image, &from, &format!("cp \"$3\" {}", copy.display()));
        let ours = system(&image).tree(b"").unwrap();
        let changed = ["block", "holes", "aside", "nothing", "etc", "far"];
        same(&ours, &theirs, &changed);
        let get = |path: &str| ours.get(path.as_bytes()).unwrap();
        let large: Vec<u8> = (0..=255).cycle().take(65536).collect();
        assert!(get("block").xattrs.contains(&(b"user.large".to_vec(), large)));
        assert_eq!(content(&ours, get("block")), noise(4096));
        let numbers = get("etc").xattrs.iter().filter(|(name, _)| name.starts_with(b"user.n"));
        assert_eq!(numbers.filter(|(_, value)| *value == [b'v'; 100]).count(), 300);
        let list = &get("etc/hostname").xattrs;
        let names: Vec<_> = list.iter().map(|(name, _)| name.as_slice()).collect();
        assert_eq!(names, [&b"system.posix_acl_access"[..], b"trusted.t"]);
        assert!(FILL.contains(&hex::encode(&list[0].1)), "{list:?}");
        let mut holes = vec![0; 399 * 12288 + 300];
        for n in 0..400 {
            let text = n.to_string().repeat(100);
            holes[n * 12288..][..text.len()].copy_from_slice(text.as_bytes());
        }
        assert!(content(&ours, get("holes")) == holes);
        let mut aside = vec![0; 1 << 20];
        aside[..5].copy_from_slice(b"begin");
        assert!(content(&ours, get("aside")) == aside);
        assert_eq!(get("far").kind, Kind::Symlink(vec![b'z'; 1000]));
        assert_eq!(get("etc/tiny").mtime, -2);
        if options[1] == "bigtime=1" {
            assert_eq!(get("nothing").mtime, 4_500_000_000);
            assert_eq!(get("nothing").mtime_nsec, 123_456_789);
        }
        // As it was while it was mounted: the journal has what is not in its place.
        let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&copy).unwrap());
        let error = System::whole(&disk, Format::Xfs).unwrap_err();
        let SystemError::Volume { source, .. } = error else { panic!("{error}") };
        assert!(source.to_string().contains("was not unmounted"), "{source}");
        // Who looks for a root is told; there is none.
        let system = System::find(&disk).unwrap();
        let nothing = system.nothing("a root").to_string();
        assert!(!system.has_root() && nothing.contains("was not unmounted"), "{nothing}");
    }
}

#[test]
fn i27_flipped_bytes() {
    if !have("mkfs.xfs") || !have("xfs_db") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    // Version 4 has no checksums: what is read is whatever the bytes say.
    for (options, rounds) in [
        (&["-m", "crc=0,finobt=0,reflink=0"][..], 1500),
        (&["-m", "crc=0,finobt=0,reflink=0", "-n", "ftype=1", "-b", "size=512"], 1500),
        (&["-m", "crc=1"], 300),
    ] {
        let mut tree = source(60);
        // Bytes of files and of attributes are left alone: no reader would notice.
        tree.insert(file("boot/vmlinuz-1", &[b'k'; 60_000]));
        tree.insert(file("block", &[b'k'; 4096]));
        make(&tree, &image, 16 << 20, options);
        attributes(&mut tree, &image, 12);
        let good = fs_err::read(&image).unwrap();
        let found = super::damage::damaged(good, 9, rounds);
        println!("{found} of {rounds}");
        assert!(found > 50, "{found} of {rounds} were noticed");
        fs_err::OpenOptions::new().write(true).open(&image).unwrap().set_len(8 << 20).unwrap();
        let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&image).unwrap());
        assert!(System::find(&disk).is_err());
    }
}
