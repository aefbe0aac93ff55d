//! Btrfs as mkfs.btrfs makes it of a directory, and as the kernel writes it.

use std::path::Path;
use std::sync::Arc;

use super::{content, ext, same, system};
use crate::disk::test_support::{can_mount, have, noise, run};
use crate::read::crc32c::crc32c;
use crate::read::{Medium, RawFile, System};
use crate::tree::{Kind, Tree};

fn sized(image: &Path, size: u64) -> &str {
    fs_err::File::create(image).unwrap().set_len(size).unwrap();
    image.to_str().unwrap()
}

/// What the kernel is to do in the file system at `$1`, of the tree at `$2`.
const FILL: &str = r#"
btrfs -q subvolume create "$1/home"
btrfs -q subvolume create "$1/root"
mkdir "$1/root/home"
btrfs -q subvolume create "$1/root/nested"
cp -a "$2"/. "$1/root"
cd "$1/root"
echo 'UUID=11111111-2222-3333-4444-555555555555 /home btrfs subvol=home,compress=zstd:1 0 0' > etc/fstab
echo below > nested/file
echo mine > "$1/home/file"
btrfs -q subvolume snapshot -r "$1/root" "$1/before" > /dev/null
python3 - << 'END'
import os
for n in range(300):
    os.setxattr("etc", f"user.number-{n}", b"v" * 50)
text = b"".join(b"line %d\n" % n for n in range(60000))
open("text", "wb").write(text)
with open("partly", "wb") as file:
    file.write(text)
os.sync()
with open("partly", "r+b") as file:
    file.seek(200000)
    file.write(b"!" * 5000)
with open("aside", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, 1 << 20)
    file.write(b"begin")
os.mknod("terminal", 0o20600, os.makedev(4, 64))
END
"#;

#[test]
fn what_the_kernel_writes_is_read() {
    if !have("mkfs.btrfs") || !have("btrfs") || !can_mount() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, image) = (scratch.path().join("from"), scratch.path().join("image"));
    fs_err::create_dir(&from).unwrap();
    ext::source(&from);
    let theirs = Tree::merge(std::slice::from_ref(&from)).unwrap();
    let mut text = Vec::new();
    for n in 0..60_000 {
        text.extend(format!("line {n}\n").into_bytes());
    }
    for (compress, options) in
        [("zstd:1", &["-n", "16384"][..]), ("zlib", &["-n", "4096"]), ("no", &["-M"])]
    {
        let path = sized(&image, 512 << 20);
        let id = ["-q", "-U", "11111111-2222-3333-4444-555555555555"];
        run("mkfs.btrfs", &[&id[..], options, &[path]].concat());
        let point = tempfile::tempdir().unwrap();
        let script = format!(
            "set -e; mount -o loop,compress-force={compress} \"$3\" \"$1\"; (\nset -eu\n{FILL}\n); umount \"$1\""
        );
        let words: Vec<_> =
            [point.path(), from.as_path(), image.as_path()].map(|p| p.to_str().unwrap()).to_vec();
        let line = ["-m", "--propagation", "private", "sh", "-c", &script, "sh"];
        run("unshare", &[&line[..], &words].concat());
        let system = system(&image);
        let points: Vec<_> = system.mounts().into_iter().map(|(point, _)| point).collect();
        assert_eq!(points, ["/", "/home"]);
        let ours = system.tree(b"").unwrap();
        let added = ["etc", "home", "nested", "text", "partly", "aside", "terminal"];
        same(&ours, &theirs, &added);
        let get = |path: &str| ours.get(path.as_bytes()).unwrap();
        assert_eq!(content(&ours, get("home/file")), b"mine\n");
        assert_eq!(content(&ours, get("nested/file")), b"below\n");
        let numbers = get("etc").xattrs.iter().filter(|(name, _)| name.starts_with(b"user.n"));
        assert_eq!(numbers.filter(|(_, value)| *value == [b'v'; 50]).count(), 300);
        assert!(content(&ours, get("text")) == text);
        let mut partly = text.clone();
        partly[200_000..205_000].fill(b'!');
        assert!(content(&ours, get("partly")) == partly);
        let mut aside = vec![0; 1 << 20];
        aside[..5].copy_from_slice(b"begin");
        assert!(content(&ours, get("aside")) == aside);
        assert_eq!(get("terminal").kind, Kind::Char { major: 4, minor: 64 });
        assert!(
            matches!(&get("etc/again").kind, Kind::Hardlink(to) if to == b"block")
                || matches!(&get("etc/again").kind, Kind::File { .. })
        );
    }
}

/// A small file system without the kernel's help.
fn made(directory: &Path) -> Vec<u8> {
    let (from, image) = (directory.join("from"), directory.join("image"));
    for name in ["etc", "many"] {
        fs_err::create_dir_all(from.join(name)).unwrap();
    }
    for n in 0..60 {
        fs_err::write(from.join(format!("many/a longer name {n}")), format!("{n}")).unwrap();
    }
    fs_err::write(from.join("etc/large"), noise(20_000)).unwrap();
    std::os::unix::fs::symlink("etc/large", from.join("link")).unwrap();
    let path = sized(&image, 128 << 20);
    let words = ["-q", "-n", "4096", "--rootdir", from.to_str().unwrap(), "--shrink", path];
    run("mkfs.btrfs", &words);
    let ours = system(&image).tree(b"").unwrap();
    let theirs = Tree::merge(&[from]).unwrap();
    let rounded = |mut tree: Tree| {
        for entry in &mut tree.entries {
            entry.mtime_nsec = 0;
        }
        tree
    };
    same(&rounded(ours), &rounded(theirs), &[]);
    fs_err::read(&image).unwrap()
}

#[test]
fn i27_flipped_bytes() {
    if !have("mkfs.btrfs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let good = made(scratch.path());
    let found = super::damage::damaged(good.clone(), 21, 300);
    assert!(found > 20, "{found}");
    // Wrong bytes under a right checksum.
    let uuid = good[0x10020..0x10030].to_vec();
    let seal = |disk: &[u8], flips: &[(usize, u8)]| -> Vec<(usize, u8)> {
        let mut sums = Vec::new();
        for (at, _) in flips {
            let from = at / 4096 * 4096;
            let mut node = disk[from..from + 4096].to_vec();
            if node[32..48] != uuid[..] {
                continue;
            }
            for (at, byte) in flips.iter().filter(|(at, _)| (from..from + 4096).contains(at)) {
                node[at - from] = *byte;
            }
            let sum = crc32c(&[&node[32..]]).to_le_bytes();
            sums.extend((from..).zip(sum));
        }
        sums
    };
    let found = super::damage::damaged_and(good, 22, 1500, &seal);
    assert!(found > 100, "{found}");
    let image = scratch.path().join("image");
    fs_err::OpenOptions::new().write(true).open(&image).unwrap().set_len(1 << 20).unwrap();
    let disk: Arc<dyn Medium> = Arc::new(RawFile::open(&image).unwrap());
    assert!(System::find(&disk).is_err());
}
