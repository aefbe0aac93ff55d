//! Images that name other files, and images that are several things at once.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use fs_err::os::unix::fs::FileExt as _;
use rustix::fs::inotify;

use super::import::tests::{ext4, run, unpacked};

/// Sees who opens, reads or changes a file.
struct Watch(OwnedFd);

impl Watch {
    fn new(path: &Path) -> Self {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let watch = inotify::init(flags).unwrap();
        inotify::add_watch(&watch, path, inotify::WatchFlags::ALL_EVENTS).unwrap();
        Self(watch)
    }

    /// What happened since somebody asked last.
    fn seen(&self) -> Vec<inotify::ReadFlags> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut all = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => all.push(event.events()),
                Err(rustix::io::Errno::AGAIN) => return all,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn qemu_img(words: &[&str]) {
    run("qemu-img", words);
}

fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn i25_a_file_that_an_image_names_is_not_opened() {
    let place = tempfile::tempdir().unwrap();
    let secret = place.path().join("secret");
    ext4(&secret);
    let middle = place.path().join("middle.qcow2");
    qemu_img(&["create", "-q", "-f", "qcow2", "-b", word(&secret), "-F", "raw", word(&middle)]);
    let data = format!("data_file={}", word(&secret));
    let raw = format!("{data},data_file_raw=on");
    let json = format!(
        "json:{{\"driver\":\"raw\",\"file\":{{\"driver\":\"file\",\"filename\":\"{}\"}}}}",
        word(&secret)
    );
    let descriptor = format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 16384 FLAT \"{}\" 0\n",
        word(&secret)
    );
    // Made by qemu-img itself, so that each is what it names; it may write to what it names.
    let make = |case: &str, to: &Path| match case {
        "backing" => {
            qemu_img(&["create", "-q", "-f", "qcow2", "-b", word(&secret), "-F", "raw", word(to)]);
        }
        "nested" => {
            qemu_img(&[
                "create",
                "-q",
                "-f",
                "qcow2",
                "-b",
                word(&middle),
                "-F",
                "qcow2",
                word(to),
            ]);
        }
        "json" => qemu_img(&[
            "create",
            "-q",
            "-u",
            "-f",
            "qcow2",
            "-b",
            &json,
            "-F",
            "raw",
            word(to),
            "8M",
        ]),
        "data" => qemu_img(&["create", "-q", "-f", "qcow2", "-o", &data, word(to), "8M"]),
        "raw data" => qemu_img(&["create", "-q", "-f", "qcow2", "-o", &raw, word(to), "8M"]),
        _ => fs_err::write(to, &descriptor).unwrap(),
    };
    for case in ["backing", "nested", "json", "data", "raw data", "descriptor"] {
        let image = place.path().join("made");
        make(case, &image);
        let bytes = fs_err::read(&image).unwrap();
        let named = bytes.windows(6).any(|part| part == b"secret" || part == b"middle");
        assert!(named, "{case}: the image names nothing");
        let watches = [Watch::new(&secret), Watch::new(&middle)];
        for form in ["qcow2", "raw", "squashfs", "tar"] {
            let (done, names) = unpacked(form, &|to| fs_err::write(to, &bytes).unwrap());
            assert!(done.is_err() && names.is_empty(), "{case} as {form}: {names:?}");
        }
        for watch in &watches {
            assert_eq!(watch.seen(), [], "{case}");
        }
        // The twin: the watch sees whoever does open it.
        fs_err::read(&secret).unwrap();
        assert!(!watches[0].seen().is_empty(), "{case}: the watch is blind");
        fs_err::remove_file(&image).unwrap();
    }
}

/// A disk with a table of partitions, its system in the first.
fn partitioned(to: &Path) {
    let plain = to.with_extension("plain");
    ext4(&plain);
    let system = fs_err::read(&plain).unwrap();
    fs_err::remove_file(&plain).unwrap();
    let mut bytes = vec![0; 1 << 20];
    bytes.extend(&system);
    let mut row = [0; 16];
    row[4] = 0x83;
    row[8..12].copy_from_slice(&2048u32.to_le_bytes());
    row[12..].copy_from_slice(&u32::try_from(system.len() / 512).unwrap().to_le_bytes());
    bytes[446..462].copy_from_slice(&row);
    bytes[510..512].copy_from_slice(b"\x55\xaa");
    fs_err::write(to, bytes).unwrap();
}

fn overwritten(to: &Path, at: u64, bytes: &[u8]) {
    let file = fs_err::OpenOptions::new().write(true).open(to).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn i26_an_image_that_is_two_things_is_what_its_form_says() {
    // What else it could be taken for, none of which it is where its form says a disk.
    for (what, at, magic) in [
        ("ISO 9660", 0x8000, &b"\x01CD001\x01\0"[..]),
        ("VMDK", 0, b"KDMV\x01\0\0\0"),
        ("VHD", 0, b"conectix\0\0\0\x02"),
        ("VHDX", 0, b"vhdxfile"),
        ("VDI", 64, b"\x7f\x10\xda\xbe\x01\0\x01\0"),
        ("qcow2", 0, b"QFI\xfb\0\0\0\x03"),
        ("gzip", 0, b"\x1f\x8b\x08\0"),
        ("xz", 0, b"\xfd7zXZ\0"),
        ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ] {
        let both = |to: &Path| {
            partitioned(to);
            overwritten(to, at, magic);
        };
        let (done, names) = unpacked("raw", &both);
        assert!(done.is_ok(), "{what}: {done:?}");
        assert_eq!(names, ["etc"], "{what}");
        for form in ["qcow2", "squashfs", "tar", "tar.gz", "raw.xz", "raw.zst"] {
            let (done, names) = unpacked(form, &both);
            assert!(done.is_err() && names.is_empty(), "{what} as {form}: {names:?}");
        }
        // Without a system it is nothing, whatever its first bytes say.
        let (done, names) = unpacked("raw", &|to| {
            fs_err::write(to, vec![0; 1 << 20]).unwrap();
            overwritten(to, at, magic);
        });
        assert!(done.is_err() && names.is_empty(), "{what} alone: {names:?}");
    }
}

/// The first sector is the head of an archive's first file, which is the rest of the disk.
#[test]
fn i26_a_disk_that_is_an_archive_is_one_or_the_other() {
    let both = |to: &Path| {
        partitioned(to);
        let mut bytes = fs_err::read(to).unwrap();
        let member = |bytes: &mut [u8], name: &str, size: usize| {
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            bytes[100..108].copy_from_slice(b"0000644\0");
            bytes[108..116].copy_from_slice(b"0000000\0");
            bytes[116..124].copy_from_slice(b"0000000\0");
            bytes[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
            bytes[136..148].copy_from_slice(b"00000000000\0");
            bytes[148..156].fill(b' ');
            bytes[156] = b'0';
            let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
            bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        };
        let size = bytes.len() - 512;
        member(&mut bytes, "disk", size);
        let mut second = [0; 512];
        member(&mut second, "etc/of-the-archive", 0);
        bytes.extend(second);
        bytes.extend([0; 1024]);
        fs_err::write(to, bytes).unwrap();
    };
    let (done, names) = unpacked("raw", &both);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(names, ["etc"]);
    let (done, names) = unpacked("tar", &both);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(names, ["disk", "etc"]);
    for form in ["qcow2", "squashfs", "raw.gz", "tar.xz"] {
        let (done, names) = unpacked(form, &both);
        assert!(done.is_err() && names.is_empty(), "{form}: {names:?}");
    }
}
