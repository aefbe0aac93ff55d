//! VHD, VHDX, VMDK and VDI, read by `qemu-img`.

use std::path::{Path, PathBuf};

use super::{SIZES, fill, raw};
use crate::disk::sink::*;
use crate::disk::test_support::{create, have, run};

const FORMATS: [(&str, &str); 6] = [
    ("vhd", "vpc"),
    ("fixed", "vpc"),
    ("vhdx", "vhdx"),
    ("vdi", "vdi"),
    ("vmdk", "vmdk"),
    ("stream", "vmdk"),
];

/// Large enough for a second chunk of a VHDX and for many tables of a VMDK.
const LARGE: u64 = (9 << 30) + 512 * 3;

fn identity() -> ImageIdentity {
    ImageIdentity { name: "disk \"1\".vmdk".into(), epoch: 1_700_000_000, seed: "test".into() }
}

fn sink(format: &str, path: &Path, size: u64) -> io::Result<Box<dyn DiskSink>> {
    let (file, identity, options) = (create(path), identity(), VmdkOptions::default());
    Ok(match format {
        "vhd" => Box::new(VhdSink::new(file, size, &identity)?),
        "fixed" => Box::new(FixedVhdSink::new(file, size, &identity)?),
        "vhdx" => Box::new(VhdxSink::new(file, size, &identity)?),
        "vdi" => Box::new(VdiSink::new(file, size, &identity)?),
        "vmdk" => Box::new(VmdkSink::new(file, size, &identity, &options)?),
        _ => Box::new(VmdkStreamSink::new(file, size, &identity, &options, 3)?),
    })
}

/// Writes the disk of these tests in `format`.
fn write(dir: &Path, format: &str, size: u64) -> PathBuf {
    let path = dir.join(format);
    let mut sink = sink(format, &path, size).unwrap();
    if format == "stream" {
        let raw = fs_err::File::open(raw(dir, size)).unwrap();
        copy_raw(&raw, size, sink.as_mut()).unwrap();
    } else {
        fill(sink.as_mut(), size).unwrap();
    }
    path
}

#[test]
fn qemu_reads_what_other_sinks_wrote() {
    if !have("qemu-img") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for size in SIZES.into_iter().chain([LARGE]) {
        let raw = raw(dir.path(), size).display().to_string();
        // A fixed one has no tables that size could matter to, and is read byte by byte.
        let formats = FORMATS.iter().filter(|(format, _)| size != LARGE || *format != "fixed");
        for &(format, driver) in formats {
            let path = write(dir.path(), format, size).display().to_string();
            if driver != "vpc" {
                let checked = run("qemu-img", &["check", "-f", driver, &path]);
                assert!(checked.contains("No errors"), "{format} {size}: {checked}");
            }
            let same = run("qemu-img", &["compare", "-f", "raw", "-F", driver, &raw, &path]);
            assert!(same.contains("identical"), "{format} {size}: {same}");
            let told = run("qemu-img", &["info", "-f", driver, &path]);
            assert!(told.contains(&format!("({size} bytes)")), "{format}: {told}");
        }
    }
}

#[test]
fn the_same_disk_is_the_same_bytes_and_growing_ones_are_small() {
    use std::os::unix::fs::MetadataExt;
    let size = SIZES[1];
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (format, _) in FORMATS {
        let (a, b) = (write(one.path(), format, size), write(two.path(), format, size));
        assert!(fs_err::read(a).unwrap() == fs_err::read(&b).unwrap(), "{format}");
        let blocks = fs_err::metadata(&b).unwrap().blocks();
        assert!(blocks * 512 < 2 << 20, "{format} has {blocks} blocks");
    }
}

#[test]
fn incomplete_and_repeated_writes_are_errors_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    for (format, _) in FORMATS {
        let mut sink = sink(format, &dir.path().join(format), 1 << 20).unwrap();
        sink.data(10, &[1; 100]).unwrap();
        assert!(sink.zeros(0, 11).unwrap_err().to_string().contains("before"), "{format}");
        assert!(sink.data((1 << 20) - 1, &[1, 2]).is_err(), "{format}");
        assert!(sink.finish().unwrap_err().to_string().contains("byte 0"), "{format}");
    }
}

#[test]
fn a_stream_takes_no_step_back() {
    let dir = tempfile::tempdir().unwrap();
    let size = 1 << 20;
    let mut sink = sink("stream", &dir.path().join("stream"), size).unwrap();
    let half = size / 2;
    let bytes = vec![1; len_of(half)];
    sink.data(half, &bytes).unwrap();
    // The thread that appends finds it out, so the error may come late.
    let done = sink.data(0, &bytes).and_then(|()| sink.finish());
    assert!(done.unwrap_err().to_string().contains("too late"));
}

#[test]
fn a_tee_writes_the_same_files_as_its_sinks() {
    let size = SIZES[1];
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let growing: Vec<_> = FORMATS.iter().filter(|(format, _)| *format != "stream").collect();
    let mut tee = Tee::default();
    assert!(tee.is_empty());
    for (format, _) in &growing {
        tee.push(sink(format, &one.path().join(format), size).unwrap());
    }
    fill(&mut tee, size).unwrap();
    for (format, _) in &growing {
        let alone = write(two.path(), format, size);
        let bytes = fs_err::read(one.path().join(format)).unwrap();
        assert!(bytes == fs_err::read(alone).unwrap(), "{format}");
    }
}
