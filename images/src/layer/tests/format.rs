//! Headers that readers of tar read differently.

use super::{Head, Site, Tar, agrees_with_gnu_tar, refused};

#[test]
fn i7_the_size_of_pax_wins() {
    let inner = Tar::default().file("smuggled", b"bad").open();
    let size = inner.len().to_string();
    let tar = Tar::default().pax(&[("size", size.as_bytes())]);
    let site = agrees_with_gnu_tar(tar.raw(&Head::new("outer", b'0'), &inner).file("after", b"x"));
    assert_eq!(fs_err::read(site.path("outer")).unwrap(), inner);
    assert!(!site.exists("smuggled"));
    // The other way round: the header hides what pax shows.
    let mut head = Head::new("outer", b'0');
    head.size(inner.len() as u64);
    let site =
        agrees_with_gnu_tar(Tar::default().pax(&[("size", b"0")]).raw(&head, b"").file("z", b""));
    assert_eq!(site.read("outer"), "");
}

#[test]
fn i7_what_has_no_content_has_no_size() {
    for kind in *b"123456" {
        let mut head = Head::new("a", kind);
        head.put(157, b"b").size(512);
        let inner = Tar::default().file("smuggled", b"").open();
        refused(Tar::default().file("b", b"").raw(&head, &inner), "only files have content");
        let mut head = Head::new("a", kind);
        let tar = Tar::default().file("b", b"").pax(&[("size", b"512")]);
        refused(tar.raw(head.put(157, b"b"), &inner), "only files have content");
    }
}

#[test]
fn i8_extensions_belong_to_the_entry_and_to_no_other_extension() {
    let long = "n".repeat(120);
    let site = agrees_with_gnu_tar(
        Tar::default()
            .pax(&[("size", b"3"), ("mtime", b"5.25")])
            .long(b'L', long.as_bytes())
            .raw(&Head::new("short", b'0'), b"abc")
            .file("after", b"x"),
    );
    assert_eq!(site.read(&long), "abc");
    let meta = fs_err::metadata(site.path(&long)).unwrap();
    let time = std::time::Duration::from_millis(5250);
    assert_eq!(meta.modified().unwrap(), std::time::UNIX_EPOCH + time);
    let meta = fs_err::metadata(site.path("after")).unwrap();
    let time = std::time::Duration::from_secs(1_000_000);
    assert_eq!(meta.modified().unwrap(), std::time::UNIX_EPOCH + time);
}

#[test]
fn i8_extensions_that_disagree_are_refused() {
    let long = || Tar::default().long(b'L', b"long");
    refused(long().pax(&[("path", b"p")]).file("x", b""), "GNU and pax extensions");
    refused(long().long(b'L', b"again").file("x", b""), "comes twice");
    let pax = || Tar::default().pax(&[("path", b"p")]);
    refused(pax().pax(&[("mtime", b"1")]).file("x", b""), "comes twice");
    refused(pax(), "never comes");
    let target = Tar::default().long(b'K', b"k").pax(&[("linkpath", b"p")]);
    refused(target.symlink("x", "y"), "GNU and pax extensions");
}

#[test]
fn i9_malformed_records_are_errors() {
    for bad in [
        &b"13 path=../x\n\n"[..],
        b"12 path=../x\n",
        b"path=../x\n",
        b"11 size=-1\n",
        b"11 path=a/b",
        b"\n13 path=../x\n",
        b"30 comment=a\n13 path=../x\n",
    ] {
        let tar = Tar::default().sized(&mut Head::new("pax", b'x'), bad);
        refused(tar.file("x", b""), "pax record");
    }
    let tar = Tar::default().sized(&mut Head::new("pax", b'g'), b"10 path=a\n");
    refused(tar.file("x", b""), "global header");
    let tar = Tar::default().sized(&mut Head::new("pax", b'g'), b"13 comment=a\n");
    agrees_with_gnu_tar(tar.file("x", b"x"));
}

#[test]
fn damaged_headers_are_errors() {
    let mut wrong = Tar::default().file("x", b"x").open();
    wrong[0] = b'y';
    let error = Site::new().extract_with(&wrong[..], &super::Limits::default()).unwrap_err();
    assert!(super::told(&error).contains("checksum"), "{error}");
    for kind in *b"DMNVXAZ9\xff" {
        refused(Tar::default().raw(&Head::new("x", kind), b""), "not supported");
    }
    for (at, words) in [(100, "mode"), (108, "uid"), (116, "gid"), (124, "size"), (136, "mtime")] {
        let mut head = Head::new("x", b'0');
        refused(Tar::default().raw(head.put(at, b"-1"), b""), words);
    }
}

#[test]
fn a_stream_may_not_end_inside_an_entry() {
    let whole = Tar::default().file("a", &[b'x'; 600]).file("b", b"y").open();
    for end in [1, 511, 513, 1000, 1535, 1536 + 511, 1536 + 512] {
        let site = Site::new();
        let error = site.extract_with(&whole[..end], &super::Limits::default()).unwrap_err();
        assert!(super::told(&error).contains("ends inside"), "{end}: {}", super::told(&error));
    }
}

#[test]
fn every_writer_of_tar_is_read() {
    let source = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    fs_err::create_dir(source.path().join("d".repeat(120))).unwrap();
    fs_err::write(source.path().join(&long), "long").unwrap();
    fs_err::write(source.path().join("ü"), "text").unwrap();
    std::os::unix::fs::symlink("s".repeat(150), source.path().join("sym")).unwrap();
    fs_err::hard_link(source.path().join(&long), source.path().join("zz")).unwrap();
    for format in ["gnu", "oldgnu", "pax"] {
        let output = std::process::Command::new("tar")
            .args(["--create", "--format", format, "--directory"])
            .arg(source.path())
            .arg(".")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let site = Site::new();
        site.extract_with(&output.stdout[..], &super::Limits::default()).unwrap();
        assert_eq!((site.read(&long), site.read("ü")), ("long".into(), "text".into()), "{format}");
        let target = fs_err::read_link(site.path("sym")).unwrap();
        assert_eq!(target.to_str(), Some(&*"s".repeat(150)));
        assert_eq!(site.read("zz"), "long");
    }
}
