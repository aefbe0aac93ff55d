//! squashfs as mksquashfs makes it.

use std::path::Path;

use super::{ext, same, system};
use crate::disk::test_support::{have, noise, run};
use crate::tree::Tree;

const KINDS: [(&str, &[&str]); 6] = [
    ("gzip", &["-comp", "gzip"]),
    ("xz", &["-comp", "xz", "-b", "256K"]),
    ("zstd", &["-comp", "zstd", "-b", "4K"]),
    ("plain", &["-noI", "-noD", "-noF", "-noX"]),
    ("no fragments", &["-no-fragments"]),
    ("all in fragments", &["-always-use-fragments", "-no-duplicates"]),
];

/// What mksquashfs is given; attributes of both kinds where the file system has them.
fn source(directory: &Path) -> Tree {
    ext::source(directory);
    let put = |name: &str, bytes: &[u8]| fs_err::write(directory.join(name), bytes).unwrap();
    put("same", &noise(700_000));
    put("same again", &noise(700_000));
    put("text", &b"text ".repeat(50_000));
    if rustix::process::geteuid().is_root() {
        for (name, key) in
            [("same", "security.x"), ("same again", "security.x"), ("short", "trusted.y")]
        {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::lsetxattr(directory.join(name), key, &noise(900), flags).unwrap();
        }
    }
    Tree::merge(&[directory.to_path_buf()]).unwrap()
}

/// Times have no fractions there.
fn whole_seconds(mut tree: Tree) -> Tree {
    for entry in &mut tree.entries {
        entry.mtime_nsec = 0;
    }
    tree
}

#[test]
fn what_mksquashfs_makes_is_what_it_was_given() {
    if !have("mksquashfs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, image) = (scratch.path().join("from"), scratch.path().join("image"));
    fs_err::create_dir(&from).unwrap();
    let theirs = whole_seconds(source(&from));
    for (name, options) in KINDS {
        println!("{name}");
        let files = [from.to_str().unwrap(), image.to_str().unwrap()];
        run(
            "mksquashfs",
            &[&files[..], options, &["-noappend", "-no-progress", "-quiet"]].concat(),
        );
        let ours = system(&image).tree(b"").unwrap();
        same(&ours, &theirs, &[]);
        // Holes are holes again.
        let mut bytes = Vec::new();
        ours.write_tar(&mut bytes).unwrap();
        assert!(bytes.len() < 16 << 20, "{}", bytes.len());
    }
    let lz4 = ["-comp", "lz4", "-noappend", "-no-progress", "-quiet"];
    let files = [from.to_str().unwrap(), image.to_str().unwrap()];
    run("mksquashfs", &[&files[..], &lz4].concat());
    let disk: std::sync::Arc<dyn crate::read::Medium> =
        std::sync::Arc::new(crate::read::RawFile::open(&image).unwrap());
    let error = crate::read::System::whole(&disk, crate::read::Format::Squashfs).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("lz4"), "{source}");
    // Where nobody asks for it, it is in nobody's way; who looks for a root is told.
    let system = crate::read::System::find(&disk).unwrap();
    let nothing = system.nothing("a root").to_string();
    assert!(!system.has_root() && nothing.contains("lz4"), "{nothing}");
}

#[test]
fn i27_flipped_bytes() {
    if !have("mksquashfs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, image) = (scratch.path().join("from"), scratch.path().join("image"));
    super::damage::source(&from);
    for (options, seed) in [
        // Without compression a wrong byte reaches what reads it.
        (&["-noI", "-noD", "-noF", "-noX", "-b", "4K"][..], 11),
        (&["-comp", "zstd", "-b", "4K"], 12),
    ] {
        let files = [from.to_str().unwrap(), image.to_str().unwrap()];
        run(
            "mksquashfs",
            &[&files[..], options, &["-noappend", "-no-progress", "-quiet"]].concat(),
        );
        let good = fs_err::read(&image).unwrap();
        let found = super::damage::damaged(good, seed, 1500);
        assert!(found > 50, "{found} were noticed");
    }
}
