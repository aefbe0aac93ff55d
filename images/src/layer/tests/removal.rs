//! Removal of trees that resist.

use std::os::unix::fs::PermissionsExt as _;

use super::Site;
use crate::layer::remove_tree;

#[test]
fn what_is_not_there_is_removed() {
    let site = Site::new();
    remove_tree(&site.path("nothing")).unwrap();
    remove_tree(&site.path("no/such/parent")).unwrap();
}

#[test]
fn links_are_removed_not_followed() {
    let site = Site::new();
    fs_err::create_dir(site.path("d")).unwrap();
    std::os::unix::fs::symlink(site.outside(), site.path("d/out")).unwrap();
    std::os::unix::fs::symlink(site.outside(), site.path("top")).unwrap();
    remove_tree(&site.path("d")).unwrap();
    remove_tree(&site.path("top")).unwrap();
    assert!(!site.exists("d") && !site.exists("top"));
    assert_eq!(site.before, site.outside_state());
}

#[test]
fn directories_without_permissions_are_removed() {
    let site = Site::new();
    fs_err::create_dir_all(site.path("d/e/f")).unwrap();
    for name in ["d/e/f", "d/e", "d"] {
        let none = std::fs::Permissions::from_mode(0o000);
        fs_err::set_permissions(site.path(name), none).unwrap();
    }
    remove_tree(&site.path("d")).unwrap();
    assert!(!site.exists("d"));
}

/// Deeper than a process usually may open, with files and directories all along.
#[test]
fn trees_deeper_than_descriptors_reach_are_removed() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let site = Site::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at = openat(CWD, site.path(""), flags, Mode::empty()).unwrap();
    for _ in 0..1200 {
        for name in ["d", "e"] {
            mkdirat(&at, name, Mode::RWXU).unwrap();
        }
        let file = OFlags::CREATE | OFlags::WRONLY;
        drop(openat(&at, "f", file, Mode::empty()).unwrap());
        at = openat(&at, "d", flags, Mode::empty()).unwrap();
    }
    remove_tree(&site.path("d")).unwrap();
    assert!(!site.exists("d") && site.exists("e"));
}
