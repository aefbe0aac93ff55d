//! erofs as mkfs.erofs makes it.

use std::path::Path;

use super::{ext, same, system};
use crate::disk::test_support::{have, lacks, noise, run};
use crate::read::{Format, Medium, RawFile, System};
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

#[test]
fn what_is_compressed_is_refused_by_name() {
    if !have("mkfs.erofs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, image) = (scratch.path().join("from"), scratch.path().join("image"));
    fs_err::create_dir_all(from.join("etc")).unwrap();
    fs_err::write(from.join("etc/text"), b"text ".repeat(50_000)).unwrap();
    let files = [image.to_str().unwrap(), from.to_str().unwrap()];
    let made = std::process::Command::new("mkfs.erofs").args(["-zlz4"]).args(files).output();
    if !made.is_ok_and(|made| made.status.success()) {
        lacks("mkfs.erofs knows no lz4");
        return;
    }
    let disk: std::sync::Arc<dyn Medium> = std::sync::Arc::new(RawFile::open(&image).unwrap());
    let system = System::whole(&disk, Format::Erofs).unwrap();
    let error = system.tree(b"").unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains("which is compressed, is not read here"), "{error}: {source}");
}

#[test]
fn i27_flipped_bytes_of_erofs() {
    if !have("mkfs.erofs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, image) = (scratch.path().join("from"), scratch.path().join("image"));
    for name in ["etc", "many", "deep/er"] {
        fs_err::create_dir_all(from.join(name)).unwrap();
    }
    for n in 0..60 {
        fs_err::write(from.join(format!("many/a longer name {n}")), format!("{n}")).unwrap();
    }
    fs_err::write(from.join("etc/large"), noise(20_000)).unwrap();
    std::os::unix::fs::symlink("etc/large", from.join("link")).unwrap();
    for (options, seed) in
        [(&["-Eforce-inode-extended"][..], 21), (&["--chunksize=4096", "-Enosbcrc"], 22)]
    {
        make(options, &image, &from);
        let good = fs_err::read(&image).unwrap();
        let found = super::damage::damaged(good, seed, 1500);
        assert!(found > 50, "{found} were noticed");
    }
}
