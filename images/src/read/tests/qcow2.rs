//! qcow2 files of our own and of qemu-img, and those that are refused.

use std::path::{Path, PathBuf};

use super::super::{Medium, Qcow2, Qcow2Error};
use crate::disk::sink::{Compression, DiskSink, Qcow2Options, Qcow2Sink};
use crate::disk::test_support::{create, have, noise, run};

const SIZE: u64 = 9 << 20;

/// A disk with data at odd places.
fn bytes() -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(SIZE).unwrap()];
    for (at, len) in [(0, 100_000), (1 << 20, 70_000), (5_000_001, 300_000), (9_400_000, 37_184)] {
        bytes[at..at + len].copy_from_slice(&noise(len));
    }
    bytes[3 << 20..(3 << 20) + 65536 * 3].fill(b'a');
    bytes
}

fn ours(path: &Path, compression: Compression) {
    let options = Qcow2Options { compression, threads: 2 };
    let mut sink = Qcow2Sink::new(create(path), SIZE, &options).unwrap();
    sink.data(0, &bytes()).unwrap();
    sink.finish().unwrap();
}

fn check(path: &Path) {
    let disk = Qcow2::open(path).unwrap();
    assert_eq!(disk.size(), SIZE);
    let expected = bytes();
    let mut found = vec![1; expected.len()];
    disk.read_at(0, &mut found).unwrap();
    assert!(found == expected, "{}", path.display());
    for (at, len) in [(65_530, 20), (5_000_000, 1), (9_437_183, 1), (1 << 20, 70_001)] {
        let mut part = vec![1; len];
        disk.read_at(at, &mut part).unwrap();
        let at = usize::try_from(at).unwrap();
        assert!(part == expected[at..at + len]);
    }
    assert!(disk.read_at(SIZE - 1, &mut [0; 2]).is_err());
}

#[test]
fn files_of_our_own() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x");
    for compression in
        [Compression::None, Compression::Zlib { level: 6 }, Compression::Zstd { level: 3 }]
    {
        ours(&path, compression);
        check(&path);
    }
}

#[test]
fn files_of_qemu_img() {
    if !have("qemu-img") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let raw = scratch.path().join("raw");
    fs_err::write(&raw, bytes()).unwrap();
    let path: PathBuf = scratch.path().join("x");
    let (from, to) = (raw.to_str().unwrap(), path.to_str().unwrap());
    for options in [
        &["-o", "compat=0.10"][..],
        &["-o", "compat=1.1"],
        &["-c", "-o", "compat=0.10"],
        &["-c"],
        &["-c", "-o", "compression_type=zstd"],
        &["-o", "cluster_size=512"],
        &["-c", "-o", "cluster_size=2M"],
        &["-o", "preallocation=metadata"],
    ] {
        run("qemu-img", &[&["convert", "-O", "qcow2"], options, &[from, to]].concat());
        check(&path);
    }
}

/// What the header is changed to, and what that is answered with.
type Change = (&'static str, &'static [(usize, u8)]);

#[test]
fn what_is_refused_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x");
    ours(&path, Compression::Zlib { level: 6 });
    let good = fs_err::read(&path).unwrap();
    let cases: [Change; 12] = [
        ("no qcow2", &[(0, 0)]),
        ("version 9", &[(7, 9)]),
        ("backing file", &[(15, 8)]),
        ("encrypted", &[(35, 1)]),
        ("external data file", &[(79, 4)]),
        ("extended L2", &[(79, 16)]),
        ("marked as corrupt", &[(79, 2)]),
        ("unknown incompatible features (0x80)", &[(79, 0x80)]),
        ("cluster_bits", &[(23, 60)]),
        ("l1_size", &[(39, 0), (38, 0)]),
        ("l1_table_offset", &[(47, 1)]),
        ("compression_type", &[(79, 8)]),
    ];
    for (text, changes) in cases {
        let mut bytes = good.clone();
        for (at, byte) in changes {
            bytes[*at] = *byte;
        }
        fs_err::write(&path, &bytes).unwrap();
        let error = Qcow2::open(&path).unwrap_err();
        assert!(error.to_string().contains(text), "{text}: {error}");
    }
    // A size that would take tables of many gigabytes.
    let mut bytes = good.clone();
    bytes[23] = 9;
    bytes[24] = 0x0f;
    bytes[36..40].fill(0xff);
    fs_err::write(&path, &bytes).unwrap();
    let error = Qcow2::open(&path).unwrap_err();
    assert!(matches!(error, Qcow2Error::TooLarge { .. } | Qcow2Error::Header { .. }), "{error}");
}
