//! ext2, ext3 and ext4 as mke2fs makes them, with the features that change the format.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::{content, same, system};
use crate::disk::test_support::{have, noise, run};
use crate::tree::{Kind, Tree};

/// A directory with everything that is stored in its own way.
pub(super) fn source(directory: &Path) {
    let put = |name: &str, bytes: &[u8]| fs_err::write(directory.join(name), bytes).unwrap();
    for name in ["etc", "many", "empty", "boot"] {
        fs_err::create_dir(directory.join(name)).unwrap();
    }
    put("etc/hostname", b"golden\n");
    put("etc/tiny", b"x");
    put("etc/inline", &noise(100));
    put("boot/vmlinuz-1", &noise(3_000_000));
    put("block", &noise(4096));
    put("nothing", b"");
    for n in 0..600 {
        put(&format!("many/file with a longer name {n}"), format!("{n}").as_bytes());
    }
    symlink("etc/hostname", directory.join("short")).unwrap();
    symlink("x/".repeat(90), directory.join("long")).unwrap();
    symlink("y".repeat(59), directory.join("edge")).unwrap();
    symlink("y".repeat(60), directory.join("over")).unwrap();
    fs_err::hard_link(directory.join("block"), directory.join("etc/again")).unwrap();
    let sparse = fs_err::File::create(directory.join("sparse")).unwrap();
    sparse.set_len(40 << 20).unwrap();
    use fs_err::os::unix::fs::FileExt as _;
    sparse.write_all_at(b"middle", 10 << 20).unwrap();
    sparse.write_all_at(&noise(70_000), 20 << 20).unwrap();
    // mke2fs 1.47.0 forgets a hole at the end where it knows inline data.
    sparse.write_all_at(b"end", (40 << 20) - 3).unwrap();
    for n in 0..40 {
        sparse.write_all_at(b"!", (25 << 20) + n * 200_000).unwrap();
    }
    let mode = |name: &str, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs_err::set_permissions(directory.join(name), mode).unwrap();
    };
    mode("nothing", 0o4755);
    mode("empty", 0o1777);
    let attribute = |name: &str, key: &str, value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(directory.join(name), key, value, flags).is_ok()
    };
    if attribute("nothing", "user.short", b"value") {
        attribute("block", "user.long", &noise(700));
        attribute("etc", "user.directory", b"also");
    }
    let pipe = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(rustix::fs::CWD, directory.join("pipe"), pipe, mode, 0).unwrap();
    if rustix::process::geteuid().is_root() {
        let node = rustix::fs::FileType::BlockDevice;
        let device = rustix::fs::makedev(259, 70_000);
        rustix::fs::mknodat(rustix::fs::CWD, directory.join("disk"), node, mode, device).unwrap();
        std::os::unix::fs::chown(directory.join("etc/tiny"), Some(70_000), Some(80_000)).unwrap();
    }
}

const KINDS: [(&str, &[&str]); 9] = [
    ("ext4", &["-t", "ext4"]),
    ("ext2", &["-t", "ext2"]),
    ("ext3", &["-t", "ext3"]),
    ("plain", &["-t", "ext4", "-O", "^metadata_csum,^64bit,^flex_bg,^extent"]),
    ("seed", &["-t", "ext4", "-O", "metadata_csum,metadata_csum_seed,64bit,orphan_file"]),
    ("inline", &["-t", "ext4", "-O", "inline_data"]),
    ("small", &["-t", "ext4", "-b", "1024"]),
    ("big", &["-t", "ext4", "-O", "bigalloc", "-C", "16384"]),
    ("meta", &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode", "-g", "1024"]),
];

#[test]
fn what_mke2fs_makes_is_what_it_was_given() {
    if !have("mke2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let from = scratch.path().join("from");
    fs_err::create_dir(&from).unwrap();
    source(&from);
    let theirs = Tree::merge(std::slice::from_ref(&from)).unwrap();
    for (name, options) in KINDS {
        let image = scratch.path().join(name);
        let mut words = options.to_vec();
        words.extend(["-q", "-F", "-d", from.to_str().unwrap(), image.to_str().unwrap(), "64M"]);
        run("mke2fs", &words);
        let ours = system(&image).tree(b"").unwrap();
        println!("{name}");
        same(&ours, &theirs, &["lost+found"]);
        assert_eq!(ours.entries.iter().filter(|e| e.path == b"lost+found").count(), 1);
        let boot = system(&image).tree(b"boot").unwrap();
        let paths: Vec<_> = boot.entries.iter().map(|entry| entry.path.as_slice()).collect();
        assert_eq!(paths, [&b""[..], b"boot", b"boot/vmlinuz-1"]);
    }
}

#[test]
fn archives_keep_holes_links_and_attributes() {
    if !have("mke2fs") || !have("tar") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    fs_err::create_dir(&from).unwrap();
    fs_err::create_dir(&to).unwrap();
    source(&from);
    let image = scratch.path().join("image");
    let (path, directory) = (image.to_str().unwrap(), from.to_str().unwrap());
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-d", directory, path, "64M"]);
    let ours = system(&image).tree(b"").unwrap();
    let mut bytes = Vec::new();
    ours.write_tar(&mut bytes).unwrap();
    // Holes are left out: the file alone has 40 MiB.
    assert!(bytes.len() < 12 << 20, "{}", bytes.len());
    let mut again = Vec::new();
    system(&image).tree(b"").unwrap().write_tar(&mut again).unwrap();
    assert!(bytes == again);
    let archive = scratch.path().join("tar");
    fs_err::write(&archive, &bytes).unwrap();
    let (archive, target) = (archive.to_str().unwrap(), to.to_str().unwrap());
    let options = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-S", "-p"];
    run("tar", &[&options[..], &["-C", target, "-xf", archive]].concat());
    let theirs = Tree::merge(std::slice::from_ref(&to)).unwrap();
    same(&ours, &theirs, &[]);
    use std::os::unix::fs::MetadataExt as _;
    let sparse = fs_err::metadata(to.join("sparse")).unwrap();
    assert!(sparse.blocks() * 512 < 10 << 20, "{}", sparse.blocks());
    // And by our own reader.
    let own = scratch.path().join("own");
    fs_err::create_dir(&own).unwrap();
    let mut writer = crate::layer::RootWriter::open(&own).unwrap();
    let limits = crate::layer::Limits { whiteouts: false, ..Default::default() };
    crate::layer::extract(bytes.as_slice(), &mut writer, &limits).unwrap();
    writer.finish().unwrap();
    same(&ours, &Tree::merge(std::slice::from_ref(&own)).unwrap(), &["disk"]);
}

#[test]
fn what_only_the_journal_holds_is_seen() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (image, from) = (scratch.path().join("image"), scratch.path().join("from"));
    fs_err::create_dir_all(from.join("etc")).unwrap();
    fs_err::write(from.join("etc/name"), [b'a'; 1024]).unwrap();
    fs_err::write(from.join("etc/other"), [b'o'; 1024]).unwrap();
    let path = image.to_str().unwrap();
    for options in ["metadata_csum", "^metadata_csum", "^64bit,^metadata_csum"] {
        let directory = from.to_str().unwrap();
        let line = ["-q", "-F", "-t", "ext4", "-b", "1024", "-O", options, "-d", directory, path];
        run("mke2fs", &[&line[..], &["16M"]].concat());
        let block = run("debugfs", &["-R", "blocks /etc/name", path]);
        let block = block.split_whitespace().next().unwrap().to_owned();
        let new = scratch.path().join("new");
        // It begins with the journal's own magic number, which must be escaped there.
        let mut bytes = vec![b'n'; 1024];
        bytes[..4].copy_from_slice(&[0xc0, 0x3b, 0x39, 0x98]);
        fs_err::write(&new, &bytes).unwrap();
        let script = scratch.path().join("script");
        let new = new.to_str().unwrap();
        fs_err::write(&script, format!("jo\njw -b {block} {new}\njc\n")).unwrap();
        run("debugfs", &["-w", "-f", script.to_str().unwrap(), path]);
        let features = run("debugfs", &["-R", "features", path]);
        assert!(features.contains("needs_recovery"), "{features}");
        let tree = system(&image).tree(b"etc").unwrap();
        let name = tree.get(b"etc/name").unwrap();
        assert!(matches!(name.kind, Kind::File { size: 1024, .. }));
        assert!(content(&tree, name) == bytes, "{options}");
        assert!(content(&tree, tree.get(b"etc/other").unwrap()) == [b'o'; 1024]);
    }
}
