//! Whiteouts, attributes, devices, owners.

use super::{Head, Limits, Site, Tar, refused};
use crate::disk::test_support::lacks;
use crate::tree::{Kind, Tree};

#[test]
fn i17_whiteouts_that_name_nothing_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh.", "a/.wh..", "a/.wh...", ".wh./"] {
        refused(Tar::default().file(name, b""), "names nothing");
    }
    for name in [".wh.../x", ".wh.a/b", "a/.wh..wh..opq/b", ".wh.a/.wh.b"] {
        refused(Tar::default().file(name, b""), "below a whiteout");
    }
    refused(Tar::default().file("../.wh.x", b""), "climbs");
    refused(Tar::default().file("a/../../.wh.x", b""), "climbs");
}

#[test]
fn i17_whiteouts_stay_inside_symlinked_parents() {
    let site = Site::new();
    let _whichever =
        site.extract(Tar::default().symlink("d", &site.outside()).file("d/.wh.x", b""));
    let site = Site::new();
    let _whichever =
        site.extract(Tar::default().symlink("d", "../outside").file("d/.wh..wh..opq", b""));
    let site = Site::new();
    let tar = Tar::default().directory("usr/lib", 0o755).symlink("lib", "usr/lib");
    site.extract(tar.file("lib/.wh.gone", b"").file("lib/.wh..wh..opq", b"")).unwrap();
    assert!(site.whiteout("usr/lib/gone"));
    assert_eq!(site.xattr("usr/lib", "user.overlay.opaque"), Some(b"y".to_vec()));
}

#[test]
fn i17_whiteouts_hide_lower_layers_only() {
    let site = Site::new();
    let tar = Tar::default()
        .file("kept", b"kept")
        .file(".wh.kept", b"")
        .directory("d", 0o711)
        .file("d/f", b"f")
        .file("d/.wh..wh..opq", b"")
        .file(".wh.e", b"")
        .directory("e", 0o755)
        .file(".wh.gone", b"")
        .file("new/.wh.gone", b"");
    site.extract(tar).unwrap();
    assert_eq!((site.read("kept"), site.read("d/f")), ("kept".into(), "f".into()));
    assert_eq!(site.mode("d"), 0o711, "the mark leaves the directory's own attributes");
    for name in ["d", "e"] {
        assert_eq!(site.xattr(name, "user.overlay.opaque"), Some(b"y".to_vec()), "{name}");
    }
    assert!(site.whiteout("gone") && site.whiteout("new/gone"));
    assert!(!site.exists(".wh.gone") && !site.exists("d/.wh..wh..opq"));
    // A link to a whiteout would be one more whiteout.
    refused(Tar::default().file(".wh.a", b"").link(b'1', "b", "a"), "link(b)");
    // A stream that is no layer has no whiteouts.
    let plain = Limits { whiteouts: false, ..Limits::default() };
    site.extract_with(&Tar::default().file(".wh.kept", b"x").end()[..], &plain).unwrap();
    assert_eq!(site.read(".wh.kept"), "x");
}

#[test]
fn i18_attributes_of_engines_and_kernel_are_left_out() {
    let site = Site::new();
    let names = [
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "user.overlay.redirect",
        "user.overlay.metacopy",
        "user.overlay.whiteout",
        "user.overlay.opaque",
        "user.fuseoverlayfs.opaque",
        "user.containers.override_stat",
        "user.rootlesscontainers",
        "user.goldsmith.node",
        "user.goldsmith.x.trusted.overlay.opaque",
        "user.goldsmith.x.security.capability",
        "user.",
        "trusted.",
        "security.",
        "system.posix_acl_access",
        "system.nfs4_acl",
        "",
    ];
    let keys: Vec<_> = names.iter().map(|name| format!("SCHILY.xattr.{name}")).collect();
    let mut records: Vec<(&str, &[u8])> = keys.iter().map(|key| (&**key, &b"y"[..])).collect();
    records.push(("SCHILY.xattr.user.mine", b"a\nb\0c"));
    let tar = Tar::default().pax(&records).directory("d", 0o755);
    site.extract(tar.pax(&records).file("f", b"")).unwrap();
    for path in ["d", "f"] {
        assert_eq!(site.xattr(path, "user.mine"), Some(b"a\nb\0c".to_vec()));
        let mut list = vec![0; 4096];
        let length = rustix::fs::llistxattr(site.path(path), &mut list[..]).unwrap();
        let list = String::from_utf8_lossy(&list[..length]).into_owned();
        let ours: Vec<_> = list.split('\0').filter(|name| name.starts_with("user")).collect();
        assert_eq!(ours, ["user.mine"], "{list}");
        assert!(!list.contains("posix_acl") && !list.contains("trusted"), "{list}");
    }
    refused(Tar::default().pax(&[records[0], records[0]]).file("f", b""), "comes twice");
}

#[test]
fn i18_capabilities_of_a_foreign_root_are_left_out() {
    let two = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut three = two.to_vec();
    three[3] = 3;
    three.extend_from_slice(&[0; 4]);
    let mut foreign = three.clone();
    foreign[20] = 100;
    let record = |value| ("SCHILY.xattr.security.capability", value);
    if !rustix::process::geteuid().is_root() {
        return lacks("only root sets capabilities");
    }
    let site = Site::new();
    let tar = Tar::default().pax(&[record(&two[..])]).file("two", b"");
    let tar = tar.pax(&[record(&three)]).file("three", b"");
    let tar = tar.pax(&[record(&foreign)]).file("foreign", b"");
    site.extract(tar.pax(&[record(b"junk")]).file("junk", b"")).unwrap();
    let read = |name| site.xattr(name, "security.capability");
    assert_eq!((read("two"), read("three")), (Some(two.to_vec()), Some(two.to_vec())));
    assert_eq!((read("foreign"), read("junk")), (None, None));
}

#[test]
fn i19_devices_are_recorded_and_never_made() {
    let site = Site::new();
    let mut disk = Head::new("disk", b'4');
    disk.octal(329, 8, 8).octal(337, 8, 1);
    let mut null = Head::new("null", b'3');
    null.octal(329, 8, 1).octal(337, 8, 3);
    let tar = Tar::default().file("disk", b"in the way").raw(&disk, b"").raw(&null, b"");
    let mut whiteout = Head::new("nothing", b'3');
    whiteout.octal(329, 8, 0).octal(337, 8, 0);
    site.extract(tar.raw(&whiteout, b"").raw(&Head::new("fifo", b'6'), b"")).unwrap();
    for name in ["disk", "null"] {
        assert!(fs_err::symlink_metadata(site.path(name)).unwrap().is_file(), "{name}");
    }
    assert!(!site.exists("nothing"), "overlayfs would take it for a whiteout");
    let tree = Tree::merge(&[site.path("")]).unwrap();
    let kind = |name: &str| tree.get(name.as_bytes()).unwrap().kind.clone();
    assert_eq!(kind("disk"), Kind::Block { major: 8, minor: 1 });
    assert_eq!(kind("null"), Kind::Char { major: 1, minor: 3 });
    let kind = fs_err::symlink_metadata(site.path("fifo")).unwrap().file_type();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&kind));
    let mut head = Head::new("x", b'3');
    refused(Tar::default().raw(head.put(329, b"\x80\0\0\x01\0\0\0\0"), b""), "devmajor");
}

#[test]
fn i19_set_id_bits_survive_the_change_of_owner() {
    let site = Site::new();
    let tar = Tar::default()
        .raw(Head::new("su", b'0').mode(0o104_755), b"")
        .directory("spool", 0o3777)
        .raw(Head::new("wall", b'0').mode(0o2755), b"");
    site.extract(tar).unwrap();
    assert_eq!((site.mode("su"), site.mode("wall")), (0o4755, 0o2755));
    assert_eq!(site.mode("spool"), 0o3777);
}

#[test]
fn i19_ids_never_wrap() {
    for (value, words) in [
        (&b"4294967295"[..], "4294967295 is out of range"),
        (b"4294967296", "4294967296 is out of range"),
        (b"18446744073709551615", "out of range"),
        (b"18446744073709551616", "no number"),
        (b"-1", "no number"),
    ] {
        for field in ["uid", "gid"] {
            refused(Tar::default().pax(&[(field, value)]).file("x", b""), words);
        }
    }
    for at in [108, 116] {
        for field in [&b"\x80\0\0\0\xff\xff\xff\xff"[..], b"\x80\0\0\x01\0\0\0\0"] {
            let mut head = Head::new("x", b'0');
            refused(Tar::default().raw(head.put(at, field), b""), "out of range");
        }
    }
}

#[test]
fn i19_names_of_owners_mean_nothing() {
    let mut head = Head::new("x", b'0');
    head.put(265, b"nobody").put(297, b"nogroup");
    let site = Site::new();
    let tar = Tar::default().pax(&[("uname", b"daemon"), ("gname", b"daemon")]);
    site.extract(tar.raw(&head, b"")).unwrap();
    let meta = fs_err::metadata(site.path("x")).unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&meta);
    assert_eq!(owner, rustix::process::geteuid().as_raw());
}
