//! erofs as mkfs.erofs makes it.

use std::path::Path;
use std::sync::Arc;

use super::damage::Memory;
use super::{ext, same, system};
use crate::disk::test_support::{have, lacks, noise, run};
use crate::read::{Format, Medium, System};
use crate::tree::Tree;

/// What mkfs.erofs is given; attributes that many files have among it.
fn source(directory: &Path) -> Tree {
    ext::source(directory);
    fs_err::write(directory.join("large"), noise(700_000)).unwrap();
    fs_err::write(directory.join("large again"), noise(700_000)).unwrap();
    if rustix::process::geteuid().is_root() {
        for (name, key) in [
            ("large", "security.x"),
            ("large again", "security.x"),
            ("short", "security.x"),
            ("short", "trusted.y"),
        ] {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::lsetxattr(directory.join(name), key, &noise(300), flags).unwrap();
        }
    }
    Tree::merge(&[directory.to_path_buf()]).unwrap()
}

fn make(options: &[&str], image: &Path, from: &Path) {
    let _missing = fs_err::remove_file(image);
    let files = [image.to_str().unwrap(), from.to_str().unwrap()];
    run("mkfs.erofs", &[options, &["--quiet"], &files].concat());
}

#[test]
fn what_mkfs_erofs_makes_is_what_it_was_given() {
    if !have("mkfs.erofs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, image) = (scratch.path().join("from"), scratch.path().join("image"));
    fs_err::create_dir(&from).unwrap();
    let theirs = source(&from);
    for options in [
        &["-Eforce-inode-extended"][..],
        &["-Eforce-inode-extended", "-x0"],
        &["-Eforce-inode-extended", "-x1"],
        &["-Eforce-inode-extended,noinline_data"],
        &["-Eforce-inode-extended", "--chunksize=4096"],
        &["-Eforce-inode-extended,force-chunk-indexes", "--chunksize=65536"],
    ] {
        println!("{options:?}");
        make(options, &image, &from);
        same(&system(&image).tree(b"").unwrap(), &theirs, &[]);
    }
    // Short inodes have one time, and it is the file system's.
    make(&["-Eforce-inode-compact", "--all-root", "-T1700000000"], &image, &from);
    let mut theirs = theirs;
    for entry in &mut theirs.entries {
        (entry.mtime, entry.mtime_nsec) = (1_700_000_000, 0);
        (entry.uid, entry.gid) = (0, 0);
    }
    same(&system(&image).tree(b"").unwrap(), &theirs, &[]);
}

/// An erofs that lz4 has packed; nothing where mkfs.erofs knows no lz4.
fn compressed(from: &Path, image: &Path) -> Option<()> {
    let files = [image.to_str().unwrap(), from.to_str().unwrap()];
    let made = std::process::Command::new("mkfs.erofs").args(["-zlz4"]).args(files).output();
    if !made.is_ok_and(|made| made.status.success()) {
        lacks("mkfs.erofs knows no lz4");
        return None;
    }
    Some(())
}

#[test]
fn what_is_compressed_is_refused_by_name_and_in_nobodys_way() {
    if !have("mkfs.erofs") || !have("mke2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    fs_err::create_dir_all(path("from/etc")).unwrap();
    for name in ["one", "other"] {
        fs_err::write(path("from/etc/text"), format!("{name} ").repeat(50_000)).unwrap();
        if compressed(&path("from"), &path(name)).is_none() {
            return;
        }
    }
    let disk = |bytes: Vec<u8>| -> Arc<dyn Medium> { Arc::new(Memory(bytes)) };
    let (one, other) = (fs_err::read(path("one")).unwrap(), fs_err::read(path("other")).unwrap());
    let error = System::whole(&disk(one.clone()), Format::Erofs).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains("an erofs that is compressed is not read here"), "{error}: {source}");
    // Two of them are compared by their bytes.
    let found = crate::compare::disks(&disk(one.clone()), &disk(other)).unwrap();
    assert!(!found.is_empty());
    // Behind an ext4 with a system it hides nothing, though it has an /etc as well.
    let (words, from) = (["-q", "-F", "-t", "ext4", "-d"], path("from"));
    let (from, ext4) = (from.to_str().unwrap(), path("ext4"));
    run("mke2fs", &[&words[..], &[from, ext4.to_str().unwrap(), "8M"]].concat());
    let mut both = vec![0; 1 << 20];
    both.extend(fs_err::read(&ext4).unwrap());
    for (row, (at, len)) in [(2048, 16_384), (18_432, one.len() / 512)].into_iter().enumerate() {
        let entry = &mut both[446 + 16 * row..462 + 16 * row];
        entry[4] = 0x83;
        entry[8..12].copy_from_slice(&u32::to_le_bytes(at));
        entry[12..].copy_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
    }
    both[510..512].copy_from_slice(b"\x55\xaa");
    both.extend(one);
    let system = System::find(&disk(both)).unwrap();
    let text = system.tree(b"").unwrap();
    assert!(text.get(b"etc/text").is_some(), "{:?}", system.mounts());
}

#[test]
fn i27_flipped_bytes_of_erofs() {
    if !have("mkfs.erofs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, image) = (scratch.path().join("from"), scratch.path().join("image"));
    super::damage::source(&from);
    for (options, seed) in
        [(&["-Eforce-inode-extended"][..], 21), (&["--chunksize=4096", "-Enosbcrc"], 22)]
    {
        make(options, &image, &from);
        let good = fs_err::read(&image).unwrap();
        let found = super::damage::damaged(good, seed, 1500);
        assert!(found > 50, "{found} were noticed");
    }
}
