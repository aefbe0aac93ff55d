//! Streams that would fill the disk or the memory.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;

use super::{ExtractError, Head, Limits, Site, Tar, refused, told};

/// Counts what is read.
struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1 += count as u64;
        Ok(count)
    }
}

/// Extracts `tar` and then an endless stream of `filler`; returns the message and how much
/// was read.
fn endless(tar: Tar, filler: u8, limits: &Limits) -> (String, u64) {
    let bytes = tar.open();
    let mut stream = Counted(bytes.chain(io::repeat(filler)), 0);
    let error = Site::new().extract_with(&mut stream, limits).unwrap_err();
    (told(&error), stream.1)
}

trait Chained {
    fn chain(self, after: io::Repeat) -> io::Chain<io::Cursor<Vec<u8>>, io::Repeat>;
}

impl Chained for Vec<u8> {
    fn chain(self, after: io::Repeat) -> io::Chain<io::Cursor<Vec<u8>>, io::Repeat> {
        io::Cursor::new(self).chain(after)
    }
}

fn sparse(name: &str, real: &[u8; 12], stored: u64) -> Head {
    let mut head = Head::new(name, b'S');
    head.gnu().size(stored).put(345, &[0; 41]).put(483, real);
    head
}

#[test]
fn i10_sparse_files_of_gnu_tar_are_read() {
    let source = tempfile::tempdir().unwrap();
    let file = fs_err::File::create(source.path().join("holes")).unwrap();
    for at in [0, 1 << 20, 3 << 20, 5 << 20, 7 << 20, (40 << 20) + 100] {
        std::os::unix::fs::FileExt::write_all_at(file.file(), b"data", at).unwrap();
    }
    file.set_len(64 << 20).unwrap();
    let output = std::process::Command::new("tar")
        .args(["--create", "--sparse", "--format=gnu", "--directory"])
        .arg(source.path())
        .arg("holes")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let site = Site::new();
    let done = site.extract_with(&output.stdout[..], &Limits::default()).unwrap();
    assert_eq!(done.bytes, 64 << 20);
    let (one, two) = (source.path().join("holes"), site.path("holes"));
    assert!(fs_err::read(one).unwrap() == fs_err::read(&two).unwrap());
    assert!(fs_err::metadata(two).unwrap().blocks() < 4096, "holes stay holes");
}

#[test]
fn i10_endless_sparse_maps_end_early() {
    let mut head = sparse("s", b"00000001000\0", 0);
    head.put(482, &[1]);
    // Each block of 0x31 is 21 segments at one place and says that more follow.
    let (text, read) = endless(Tar::default().raw(&head, b""), b'1', &Limits::default());
    assert!(text.contains("sparse"), "{text}");
    assert!(read < 4 << 20, "{read}");
}

#[test]
fn i10_maps_that_make_no_sense_are_refused() {
    let segment = |offset: u64, length: u64| format!("{offset:011o}\0{length:011o}\0");
    for (map, stored) in [
        (vec![(512, 512), (0, 512)], 1024),
        (vec![(0, 1024), (512, 512)], 1536),
        (vec![(0, 100), (512, 512)], 612),
        (vec![(0, 512)], 1024),
        (vec![(0, 1024)], 512),
        (vec![(1 << 30, 512)], 512),
    ] {
        let mut head = sparse("s", b"00000004000\0", stored);
        for (at, (offset, length)) in map.into_iter().enumerate() {
            head.put(386 + at * 24, segment(offset, length).as_bytes());
        }
        let content = vec![b'x'; usize::try_from(stored).unwrap()];
        refused(Tar::default().raw(&head, &content), "sparse");
    }
    let mut head = Head::new("s", b'S');
    refused(Tar::default().raw(head.put(483, b"00000004000\0"), b""), "sparse");
}

#[test]
fn i10_maps_in_pax_headers_that_make_no_sense_are_refused() {
    let one: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"4096")];
    // Map and content, as version 1.0 has them.
    let body = |map: &str, content: usize| {
        let mut bytes = map.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.resize(bytes.len() + content, b'x');
        bytes
    };
    let with = |bytes: &[u8]| Tar::default().pax(&one).file("s", bytes);
    let site = Site::new();
    site.extract(with(&body("2\n0\n512\n1024\n3\n", 515))).unwrap();
    assert_eq!(fs_err::metadata(site.path("s")).unwrap().len(), 4096);
    for (map, content) in [
        ("1\n0\n512\n", 511),
        ("1\n0\n512\n", 513),
        ("2\n512\n512\n0\n512\n", 1024),
        ("2\n0\n100\n512\n512\n", 612),
        ("1\n4000\n512\n", 512),
        ("1\n18446744073709551615\n512\n", 512),
        ("99999999999999999999\n", 0),
        ("4294967296\n0\n0\n", 0),
        ("-1\n", 0),
        ("1 0 512\n", 512),
    ] {
        refused(with(&body(map, content)), "sparse");
    }
    // More lines than there are bytes.
    refused(with(&body("9\n", 0)), "sparse");
    let records = |list: &[(&str, &[u8])]| Tar::default().pax(list).file("s", &[b'x'; 512]);
    let map = |map: &'static [u8]| {
        [("GNU.sparse.size", &b"4096"[..]), ("GNU.sparse.numblocks", b"1"), ("GNU.sparse.map", map)]
    };
    Site::new().extract(records(&map(b"0,512"))).unwrap();
    for bad in [&b"0,511"[..], b"0", b"0,512,", b"a,b", b"", b"0,512,512,0", b"3600,512"] {
        refused(records(&map(bad)), "sparse");
    }
    let number = ("GNU.sparse.numbytes", &b"512"[..]);
    let (offset, size) = (("GNU.sparse.offset", &b"0"[..]), ("GNU.sparse.size", &b"512"[..]));
    let count = ("GNU.sparse.numblocks", &b"1"[..]);
    Site::new().extract(records(&[size, count, offset, number])).unwrap();
    for bad in [
        &[size, count, number][..],
        &[size, count, offset],
        &[size, offset, number],
        &[count, offset, number],
        &[size, size, count, offset, number],
        &[size, count, offset, offset, number],
        &[size, count, offset, number, ("GNU.sparse.other", b"1")],
        &[size, count, offset, number, ("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")],
        &[size, count, offset, number, ("GNU.sparse.major", b"2")],
    ] {
        refused(records(bad), "sparse");
    }
    // Only a file has holes.
    let list = map(b"0,0");
    refused(Tar::default().pax(&list).directory("s", 0o755), "sparse");
    // The name is the description's, and no freer than any other.
    let named = [list[0], list[1], list[2], ("GNU.sparse.name", &b"../x"[..])];
    refused(Tar::default().pax(&named).file("s", b""), "climbs");
}

#[test]
fn i10_huge_sizes_are_refused_at_once() {
    // 8 EiB less one byte, in base 256.
    let huge = b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff";
    let mut head = Head::new("x", b'0');
    head.put(124, huge);
    let (text, read) = endless(Tar::default().raw(&head, b""), b'x', &Limits::default());
    assert!(text.contains("more than 1099511627776 bytes"), "{text}");
    assert!(read < 4096);
    let (text, _) = endless(Tar::default().raw(&sparse("s", huge, 0), b""), 0, &Limits::default());
    assert!(text.contains("more than 1099511627776 bytes"), "{text}");
    for huge in
        [&b"\x80\0\0\0\x80\0\0\0\0\0\0\0"[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        let mut head = Head::new("x", b'0');
        refused(Tar::default().raw(head.put(124, huge), b""), "size");
    }
    for kind in *b"LKxg" {
        let mut head = Head::new("x", kind);
        head.put(124, huge);
        let (text, read) = endless(Tar::default().raw(&head, b""), b'x', &Limits::default());
        assert!(text.contains("larger than 1048576 bytes"), "{text}");
        assert!(read < 4096);
    }
}

#[test]
fn i11_a_bomb_stops_at_the_limit() {
    let limits = Limits { bytes: 1 << 20, entries: 50, ..Limits::default() };
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let content = vec![0; 256 << 10];
    let bomb = (0..64).fold(Tar::default(), |tar, at| tar.file(format!("f{at}"), &content)).end();
    io::Write::write_all(&mut packed, &bomb).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() * 500 < bomb.len());
    let site = Site::new();
    let mut stream = Counted(flate2::read::MultiGzDecoder::new(&packed[..]), 0);
    let error = site.extract_with(&mut stream, &limits).unwrap_err();
    assert!(matches!(error, ExtractError::TooLarge { what: "bytes", .. }), "{error}");
    assert!(stream.1 < 2 << 20, "{}", stream.1);
    assert!(site.exists("f3") && !site.exists("f4"));
}

/// What is stored costs something, and zeros that are stored do, too; holes do not.
#[test]
fn i11_holes_count_for_nothing_and_zeros_that_are_stored_do() {
    let source = tempfile::tempdir().unwrap();
    let file = fs_err::File::create(source.path().join("holes")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(file.file(), b"data", 4 << 20).unwrap();
    file.set_len(16 << 20).unwrap();
    let archive = |more: &[&str]| {
        let mut tar = std::process::Command::new("tar");
        tar.arg("--create").args(more).arg("--directory").arg(source.path()).arg("holes");
        tar.output().unwrap().stdout
    };
    let limits = Limits { stored: 1 << 20, ..Limits::default() };
    let honest = Site::new().extract_with(&archive(&["--sparse"])[..], &limits).unwrap();
    assert_eq!(honest.bytes, 16 << 20);
    assert!((4..=64 << 10).contains(&honest.stored), "{}", honest.stored);
    let error = Site::new().extract_with(&archive(&[])[..], &limits).unwrap_err();
    let what = "bytes that are no holes";
    assert!(matches!(error, ExtractError::TooLarge { what: told, .. } if told == what), "{error}");
}

#[test]
fn i11_entries_are_counted_whiteouts_too() {
    let limits = Limits { entries: 50, ..Limits::default() };
    for name in ["f", ".wh.f", "d/"] {
        let many = |count| (0..count).fold(Tar::default(), |tar, _| tar.file(name, b"")).end();
        let error = Site::new().extract_with(&many(51)[..], &limits).unwrap_err();
        assert!(matches!(error, ExtractError::TooLarge { what: "entries", .. }), "{error}");
        Site::new().extract_with(&many(50)[..], &limits).unwrap();
    }
}

#[test]
fn i11_what_follows_the_end_is_not_read() {
    let bytes = Tar::default().file("x", b"x").end();
    let after = Tar::default().file("../bad", b"x").end();
    let mut stream = Counted(io::Cursor::new(bytes).chain(io::Cursor::new(after)), 0);
    let site = Site::new();
    let done = site.extract_with(&mut stream, &Limits::default()).unwrap();
    assert_eq!(done.paths.len(), 1);
    assert_eq!(done.paths[0].path, b"x");
    assert_eq!(stream.1, 3 * 512);
}
