//! A layer that is copied is the same layer.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use crate::layer::copy_layer;

/// Everything about a tree that a snapshot keeps.
fn state(root: &Path) -> String {
    let mut text = String::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path();
        let data = fs_err::symlink_metadata(path).unwrap();
        let inside = path.strip_prefix(root).unwrap().display();
        let links = if data.is_dir() { 0 } else { data.nlink() };
        text += &format!(
            "/{inside} {:o} {}:{} {}.{:09} links {links} dev {}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.mtime(),
            data.mtime_nsec(),
            data.rdev()
        );
        if data.is_file() {
            text += &format!(
                " {:?}",
                fs_err::read(path).unwrap().iter().map(|&b| u64::from(b)).sum::<u64>()
            );
        }
        if data.is_symlink() {
            text += &format!(" -> {:?}", fs_err::read_link(path).unwrap());
        } else if data.is_file() || data.is_dir() {
            let mut value = [0; 16];
            for name in ["user.overlay.opaque", "user.overlay.origin", "user.mine"] {
                let found = rustix::fs::lgetxattr(path, name, &mut value[..]);
                text += &format!(" {name}={:?}", found.map(|count| value[..count].to_vec()).ok());
            }
        }
        text.push('\n');
    }
    text
}

#[test]
fn nothing_of_a_layer_is_lost() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    fs_err::create_dir_all(from.join("opaque/deep")).unwrap();
    fs_err::create_dir(&to).unwrap();
    setxattr(from.join("opaque"), "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    let hole = fs_err::File::create(from.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(hole.file(), b"middle", 8 << 20).unwrap();
    hole.set_len(32 << 20).unwrap();
    fs_err::File::create(from.join("hole")).unwrap().set_len(4 << 20).unwrap();
    fs_err::write(from.join("opaque/deep/file"), "text").unwrap();
    fs_err::hard_link(from.join("opaque/deep/file"), from.join("a-link")).unwrap();
    setxattr(from.join("a-link"), "user.mine", b"kept", XattrFlags::empty()).unwrap();
    symlink("/etc/passwd", from.join("link")).unwrap();
    mknodat(CWD, from.join("gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    for (name, mode) in [("a-link", 0o4711), ("opaque/deep", 0o1777), ("opaque", 0o2750)] {
        fs_err::set_permissions(from.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let whiteout = |root: &Path| fs_err::symlink_metadata(root.join("gone")).unwrap().mode();
    copy_layer(&from, &to).unwrap();
    assert_eq!(whiteout(&to) & 0o170_000, whiteout(&from) & 0o170_000);
    // A whiteout has no time that matters.
    let state = |root: &Path| -> String {
        state(root)
            .lines()
            .filter(|line| !line.starts_with("/gone"))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    assert_eq!(state(&to), state(&from));
    let blocks = |name: &str| fs_err::metadata(to.join(name)).unwrap().blocks();
    assert!(blocks("sparse") < 1 << 10 && blocks("hole") == 0, "holes are filled");
}

#[test]
fn what_an_overlay_remembers_of_its_mount_is_left_out() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    fs_err::create_dir_all(from.join("copied-up")).unwrap();
    fs_err::create_dir(&to).unwrap();
    setxattr(from.join("copied-up"), "user.overlay.origin", b"x", XattrFlags::empty()).unwrap();
    copy_layer(&from, &to).unwrap();
    assert!(!state(&to).contains("Some("));
}
