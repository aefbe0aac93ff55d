//! Sinks against each other and against `qemu-img`.

mod formats;

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::disk::test_support::{create, have, noise};

/// A disk with data, text, noise and holes, cut into pieces in a bad order.
fn pieces(size: u64) -> Vec<(u64, Vec<u8>)> {
    let text: Vec<u8> = b"all work and no play ".iter().copied().cycle().take(700_001).collect();
    vec![
        (size - 777, noise(777)),
        (0, noise(300_000)),
        (5 << 20, text),
        (300_000, vec![7; 5000]),
        ((5 << 20) + 700_001, vec![0; 200_000]),
        (900 << 10, noise(64)),
    ]
}

/// Writes the pieces, then zeros wherever nothing was.
fn fill(sink: &mut dyn DiskSink, size: u64) -> io::Result<()> {
    let pieces = pieces(size);
    for (offset, bytes) in &pieces {
        sink.data(*offset, bytes)?;
    }
    let mut ranges: Vec<(u64, u64)> =
        pieces.iter().map(|(o, b)| (*o, *o + offset_of(b.len()))).collect();
    ranges.sort_unstable();
    let mut at = 0;
    for (start, end) in ranges {
        sink.zeros(at, start - at)?;
        at = end;
    }
    sink.zeros(at, size - at)?;
    sink.finish()
}

fn raw(dir: &Path, size: u64) -> PathBuf {
    let path = dir.join("disk.raw");
    fill(&mut RawSink::new(create(&path), size).unwrap(), size).unwrap();
    path
}

fn qcow2(path: &Path, size: u64, compression: Compression, threads: usize) -> Vec<u8> {
    let options = Qcow2Options { compression, threads };
    fill(&mut Qcow2Sink::new(create(path), size, &options).unwrap(), size).unwrap();
    fs_err::read(path).unwrap()
}

const CODECS: [Compression; 3] =
    [Compression::None, Compression::Zlib { level: 6 }, Compression::Zstd { level: 3 }];
const SIZES: [u64; 3] = [8 << 20, (8 << 20) + 512 * 3, 600 << 20];

#[test]
fn raw_holds_the_bytes_and_is_sparse() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let size = 64 << 20;
    let path = raw(dir.path(), size);
    let bytes = fs_err::read(&path).unwrap();
    for (offset, piece) in pieces(size) {
        let from = len_of(offset);
        assert!(bytes[from..from + piece.len()] == piece[..]);
    }
    let meta = fs_err::metadata(&path).unwrap();
    assert_eq!(meta.len(), size);
    assert!(meta.blocks() * 512 < 2 << 20, "{} blocks", meta.blocks());
}

#[test]
fn qcow2_does_not_depend_on_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    for codec in CODECS {
        let a = qcow2(&dir.path().join("a"), SIZES[1], codec, 1);
        let b = qcow2(&dir.path().join("b"), SIZES[1], codec, 5);
        assert!(a == b, "{codec:?}");
    }
}

#[test]
fn qemu_reads_what_the_raw_sink_wrote() {
    if !have("qemu-img") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for size in SIZES {
        let raw = raw(dir.path(), size);
        for codec in CODECS {
            let path = dir.path().join("disk.qcow2");
            qcow2(&path, size, codec, 2);
            let run = |args: &[&str]| {
                let out = Command::new("qemu-img").args(args).arg(&path).output().unwrap();
                let text = String::from_utf8_lossy(&out.stdout).into_owned()
                    + &String::from_utf8_lossy(&out.stderr);
                assert!(out.status.success(), "{codec:?} {size}: {text}");
                text
            };
            assert!(run(&["check"]).contains("No errors"));
            let same = run(&["compare", "-f", "raw", "-F", "qcow2", raw.to_str().unwrap()]);
            assert!(same.contains("identical"), "{same}");
        }
    }
}

#[test]
fn incomplete_and_repeated_writes_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let options = Qcow2Options { compression: CODECS[2], threads: 2 };
    let sinks: [Box<dyn DiskSink>; 2] = [
        Box::new(RawSink::new(create(&dir.path().join("raw")), 1 << 20).unwrap()),
        Box::new(Qcow2Sink::new(create(&dir.path().join("q")), 1 << 20, &options).unwrap()),
    ];
    for mut sink in sinks {
        sink.data(10, &[1; 100]).unwrap();
        assert!(sink.zeros(0, 11).unwrap_err().to_string().contains("before"));
        assert!(sink.data((1 << 20) - 1, &[1, 2]).unwrap_err().to_string().contains("outside"));
        assert!(sink.finish().unwrap_err().to_string().contains("byte 0"));
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_not_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    drop(create(&path));
    let options = Qcow2Options { compression: Compression::None, threads: 2 };
    assert!(Qcow2Sink::new(fs_err::File::open(&path).unwrap(), 1 << 20, &options).is_err());
    // A file that must not grow fails in the appender, behind the queues.
    let sealed = rustix::fs::memfd_create("sealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::fcntl_add_seals(&sealed, rustix::fs::SealFlags::GROW).unwrap();
    let sealed = fs_err::File::from_parts(sealed.into(), "sealed");
    let mut sink = Qcow2Sink::new(sealed, 64 << 20, &options).unwrap();
    let error = fill(&mut sink, 64 << 20).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    assert!(sink.finish().is_err());
}

#[test]
fn checksums_are_those_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs_err::write(&path, b"abc").unwrap();
    let sums = checksums(&path, true).unwrap();
    assert_eq!(sums.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(sums.md5.as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
    assert_eq!(checksums(&path, false).unwrap().md5, None);
}

#[test]
fn holes_count_in_checksums() {
    let dir = tempfile::tempdir().unwrap();
    for size in SIZES {
        let path = raw(dir.path(), size);
        let full = dir.path().join("full");
        fs_err::write(&full, fs_err::read(&path).unwrap()).unwrap();
        assert_eq!(checksums(&path, true).unwrap(), checksums(&full, true).unwrap(), "{size}");
    }
}

#[test]
fn a_raw_disk_copied_has_the_same_bytes_and_holes() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    for size in SIZES {
        let path = raw(dir.path(), size);
        let copy = dir.path().join("copy");
        let mut sink = RawSink::new(create(&copy), size).unwrap();
        copy_raw(&fs_err::File::open(&path).unwrap(), size, &mut sink).unwrap();
        let blocks = |path: &Path| fs_err::metadata(path).unwrap().blocks();
        assert!(fs_err::read(&copy).unwrap() == fs_err::read(&path).unwrap(), "{size}");
        assert!(blocks(&copy) <= blocks(&path), "{size}");
    }
}
