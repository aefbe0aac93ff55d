//! What the kernel refuses an ordinary user is in the image all the same.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use super::{Head, Site, Tar};
use crate::layer::{Limits, RootWriter, copy_layer, extract, flatten};
use crate::tree::{Entry, Kind, Tree};

const LABEL: &[u8] = b"system_u:object_r:etc_t:s0\0";
/// `u::rw-,u:3:r--,g::r--,m::r--,o::---`
const LIST: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x03\0\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

fn device(name: &str, kind: u8, major: u64, minor: u64) -> Head {
    let mut head = Head::new(name, kind);
    head.octal(329, 8, major).octal(337, 8, minor).mode(0o2660);
    head
}

/// A layer with one of everything that is refused.
fn rich() -> Tar {
    let refused: [(&str, &[u8]); 3] = [
        ("SCHILY.xattr.security.selinux", LABEL),
        ("SCHILY.xattr.trusted.mine", b"\0\xff"),
        ("SCHILY.xattr.security.ima", b"sum"),
    ];
    let list = |name: &'static str| [("SCHILY.xattr.user.mine", &b"m"[..]), (name, LIST)];
    Tar::default()
        .pax(&refused)
        .directory("etc", 0o755)
        .pax(&refused)
        .file("etc/file", b"text")
        .pax(&refused)
        .symlink("etc/link", "file")
        .pax(&refused)
        .raw(&Head::new("etc/pipe", b'6'), b"")
        .pax(&refused)
        .raw(&device("disk", b'4', 8, 1), b"")
        .raw(&device("dev/null", b'3', 1, 3), b"")
        .pax(&list("SCHILY.xattr.system.posix_acl_access"))
        .raw(Head::new("list", b'0').mode(0o640), b"")
        .pax(&list("SCHILY.xattr.system.posix_acl_default"))
        .directory("lists", 0o755)
}

fn merged(layers: &[&Path]) -> Tree {
    Tree::merge(&layers.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>()).unwrap()
}

fn names(entry: &Entry) -> Vec<String> {
    entry.xattrs.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Looks at the tree of [`rich`].
fn check(tree: &Tree) {
    let get = |path: &str| tree.get(path.as_bytes()).unwrap_or_else(|| panic!("{path}"));
    for path in ["etc", "etc/file", "etc/link", "etc/pipe", "disk"] {
        let entry = get(path);
        assert_eq!(names(entry), ["security.ima", "security.selinux", "trusted.mine"], "{path}");
        assert_eq!(entry.xattrs[1].1, LABEL, "{path}");
        assert_eq!(entry.xattrs[2].1, b"\0\xff", "{path}");
    }
    assert_eq!(get("disk").kind, Kind::Block { major: 8, minor: 1 });
    assert_eq!(get("dev/null").kind, Kind::Char { major: 1, minor: 3 });
    assert_eq!((get("disk").mode, get("disk").mtime), (0o2660, 1_000_000));
    assert_eq!(get("etc/pipe").kind, Kind::Fifo);
    for (path, name) in [("list", "system.posix_acl_access"), ("lists", "system.posix_acl_default")]
    {
        assert_eq!(names(get(path)), [name, "user.mine"]);
        assert_eq!(get(path).xattrs[0].1, LIST);
    }
}

#[test]
fn what_is_refused_is_in_the_tree_its_copies_and_its_archive() {
    let site = Site::new();
    let root = site.directory.path().join("snapshot/fs");
    fs_err::create_dir_all(&root).unwrap();
    let unpack = |bytes: &[u8], root: &Path| {
        let mut writer = RootWriter::open(root).unwrap();
        extract(bytes, &mut writer, &Limits::default()).unwrap();
        writer.finish().unwrap();
    };
    unpack(&rich().end(), &root);
    let tree = merged(&[&root]);
    check(&tree);
    for name in ["disk", "dev/null", "list"] {
        assert!(fs_err::symlink_metadata(root.join(name)).unwrap().is_file(), "{name}");
    }
    let place = |name: &str| {
        let path = site.directory.path().join(name).join("fs");
        fs_err::create_dir_all(&path).unwrap();
        path
    };
    let (copy, flat, again) = (place("copy"), place("flat"), place("again"));
    copy_layer(&root, &copy).unwrap();
    check(&merged(&[&copy]));
    flatten(&[root], &flat).unwrap();
    check(&merged(&[&flat]));
    let (mut one, mut two) = (Vec::new(), Vec::new());
    tree.write_tar(&mut one).unwrap();
    merged(&[&flat]).write_tar(&mut two).unwrap();
    assert!(one == two, "the same archive from a copy");
    unpack(&one, &again);
    check(&merged(&[&again]));
}

/// A lower layer of [`rich`] and an empty upper one.
fn layers() -> (Site, PathBuf, PathBuf) {
    let site = Site::new();
    let (low, high) = (site.path("low/fs"), site.path("high/fs"));
    fs_err::create_dir_all(&low).unwrap();
    fs_err::create_dir_all(&high).unwrap();
    let mut writer = RootWriter::open(&low).unwrap();
    extract(&rich().end()[..], &mut writer, &Limits::default()).unwrap();
    writer.finish().unwrap();
    (site, low, high)
}

#[test]
fn a_note_goes_where_its_file_goes() {
    let (_site, low, high) = layers();
    let get = |path: &str| merged(&[&low, &high]).get(path.as_bytes()).cloned();
    // As a hook leaves it: removed, then something else in its place, by a link, too.
    let hidden = high.join("disk");
    mknodat(CWD, &hidden, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    assert_eq!(get("disk"), None);
    fs_err::remove_file(&hidden).unwrap();
    fs_err::write(&hidden, "").unwrap();
    assert!(matches!(get("disk").unwrap().kind, Kind::File { size: 0, .. }));
    assert!(get("disk").unwrap().xattrs.is_empty());
    // Copied up with a new owner or mode, or under another name: still that device.
    fs_err::remove_file(&hidden).unwrap();
    let copied = high.join("moved");
    fs_err::write(&copied, "").unwrap();
    let note = "user.goldsmith.node";
    setxattr(&copied, note, b"b 8:1", XattrFlags::empty()).unwrap();
    setxattr(&copied, "user.goldsmith.x.security.selinux", LABEL, XattrFlags::empty()).unwrap();
    fs_err::set_permissions(&copied, std::fs::Permissions::from_mode(0o600)).unwrap();
    let moved = get("moved").unwrap();
    assert_eq!((moved.kind, moved.mode), (Kind::Block { major: 8, minor: 1 }, 0o600));
    assert_eq!(moved.xattrs, [(b"security.selinux".to_vec(), LABEL.to_vec())]);
    // Written to, it is a file.
    fs_err::write(&copied, "text").unwrap();
    assert!(matches!(get("moved").unwrap().kind, Kind::File { size: 4, .. }));
    for nonsense in [&b"c 0:0"[..], b"p 1:1", b"b 1", b"b 1:4294967296", b"", b"\xff"] {
        fs_err::write(&copied, "").unwrap();
        setxattr(&copied, note, nonsense, XattrFlags::empty()).unwrap();
        assert!(matches!(get("moved").unwrap().kind, Kind::File { .. }), "{nonsense:?}");
    }
    // overlayfs's own words are no image's, whoever wrote them.
    setxattr(&copied, "user.goldsmith.x.trusted.overlay.opaque", b"y", XattrFlags::empty())
        .unwrap();
    assert_eq!(names(&get("moved").unwrap()), ["security.selinux"]);
    // A link that another layer has in its place is another link.
    fs_err::create_dir(high.join("etc")).unwrap();
    std::os::unix::fs::symlink("elsewhere", high.join("etc/link")).unwrap();
    assert!(get("etc/link").unwrap().xattrs.is_empty());
    assert!(!get("etc/pipe").unwrap().xattrs.is_empty());
}

#[test]
fn an_attribute_that_a_hook_could_set_has_precedence() {
    let (_site, low, _high) = layers();
    // The class `user` stands for one that this kernel lets the test set.
    let file = low.join("etc/file");
    setxattr(&file, "user.goldsmith.x.user.label", b"old", XattrFlags::empty()).unwrap();
    setxattr(&file, "user.label", b"new", XattrFlags::empty()).unwrap();
    let tree = merged(&[&low]);
    let found = tree.get(b"etc/file").unwrap();
    assert!(found.xattrs.contains(&(b"user.label".to_vec(), b"new".to_vec())));
    assert_eq!(names(found).iter().filter(|name| *name == "user.label").count(), 1);
}

#[test]
fn an_entry_that_comes_again_has_its_own_notes_only() {
    let site = Site::new();
    let root = site.path("x/fs");
    fs_err::create_dir_all(&root).unwrap();
    let mut writer = RootWriter::open(&root).unwrap();
    let label = [("SCHILY.xattr.security.selinux", LABEL)];
    let tar = Tar::default().pax(&label).symlink("link", "one").symlink("link", "two");
    let tar = tar.raw(&device("node", b'3', 5, 1), b"").file("node", b"");
    extract(&tar.end()[..], &mut writer, &Limits::default()).unwrap();
    writer.finish().unwrap();
    let tree = merged(&[&root]);
    assert!(tree.get(b"link").unwrap().xattrs.is_empty());
    assert!(matches!(tree.get(b"node").unwrap().kind, Kind::File { .. }));
    assert!(!site.exists("x/.goldsmith-notes"));
}

#[test]
fn gnu_tars_own_records_are_attributes_too() {
    let site = Site::new();
    let list = "user::rw-,user:3:r--,group::r--,mask::r--,other::---";
    let text: [(&str, &[u8]); 3] = [
        ("RHT.security.selinux", &LABEL[..LABEL.len() - 1]),
        ("SCHILY.acl.access", list.as_bytes()),
        ("SCHILY.acl.default", b"user:lisa:r--"),
    ];
    let both: [(&str, &[u8]); 2] =
        [("RHT.security.selinux", b"other"), ("SCHILY.xattr.security.selinux", LABEL)];
    let tar = Tar::default().pax(&text).raw(Head::new("text", b'0').mode(0o640), b"");
    site.extract(tar.pax(&both).raw(&Head::new("both", b'6'), b"").link(b'1', "linked", "both"))
        .unwrap();
    let tree = merged(&[&site.path("")]);
    let get = |path: &str| tree.get(path.as_bytes()).unwrap();
    assert_eq!(names(get("text")), ["security.selinux", "system.posix_acl_access"]);
    assert_eq!((&*get("text").xattrs[0].1, &*get("text").xattrs[1].1), (LABEL, LIST));
    for name in ["both", "linked"] {
        assert_eq!(get(name).xattrs, [(b"security.selinux".to_vec(), LABEL.to_vec())], "{name}");
    }
}

#[test]
fn times_and_ids_at_their_limits_come_through() {
    let site = Site::new();
    let me = fs_err::metadata(site.path("")).unwrap();
    let root = me.uid() == 0;
    let mut tar = Tar::default();
    let ids = if root { [0_u64, 65_534, 2_097_152, 4_294_967_294] } else { [me.uid().into(); 4] };
    let times = ["1.000000001", "-1.25", "-3", "2147483648.999999999"];
    for (at, (id, time)) in ids.iter().zip(times).enumerate() {
        let (id, name) = (id.to_string(), format!("f{at}"));
        let records = [("uid", id.as_bytes()), ("gid", id.as_bytes()), ("mtime", time.as_bytes())];
        let group = me.gid().to_string();
        let records =
            if root { records } else { [records[0], ("gid", group.as_bytes()), records[2]] };
        tar = tar.pax(&records).raw(Head::new(name, b'0').mode(0o6711), b"");
    }
    site.extract(tar).unwrap();
    let tree = merged(&[&site.path("")]);
    let found: Vec<_> = tree.entries[1..].iter().map(|entry| u64::from(entry.uid)).collect();
    assert_eq!(found, ids);
    let found: Vec<_> =
        tree.entries[1..].iter().map(|entry| (entry.mtime, entry.mtime_nsec)).collect();
    let expected = [(1, 1), (-2, 750_000_000), (-3, 0), (2_147_483_648, 999_999_999)];
    assert_eq!(found, expected);
    assert!(tree.entries[1..].iter().all(|entry| entry.mode == 0o6711));
    let mut bytes = Vec::new();
    tree.write_tar(&mut bytes).unwrap();
    let again = Site::new();
    again.extract_with(&bytes[..], &Limits::default()).unwrap();
    assert_eq!(merged(&[&again.path("")]).entries, tree.entries);
}
