//! Images that are made to do harm, each beside its legal twin: what is right by every checksum
//! and still cannot be.

use std::path::Path;
use std::sync::Arc;

use super::super::{Medium, Qcow2, System};
use super::damage::Memory;
use crate::disk::sink::{Compression, DiskSink, Qcow2Options, Qcow2Sink};
use crate::disk::test_support::{create, have, noise, run};

/// Linux's type of partitions.
const LINUX: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];

/// A disk of 4 MiB with a GPT of these partitions (first and last sector), every checksum right,
/// and `system` at the first mebibyte.
fn gpt(system: &[u8], rows: &[(u64, u64)], count: u32, size: u32) -> Vec<u8> {
    let mut disk = vec![0; 4 << 20];
    disk[1 << 20..(1 << 20) + system.len()].copy_from_slice(system);
    let mut entries = vec![0; 128 * 128];
    for (at, (first, last)) in rows.iter().enumerate() {
        let entry = &mut entries[at * 128..][..128];
        entry[..16].copy_from_slice(&LINUX);
        entry[16] = u8::try_from(at + 1).unwrap();
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    }
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let mut header = [0; 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[8..12].copy_from_slice(&[0, 0, 1, 0]);
    header[12..16].copy_from_slice(&92_u32.to_le_bytes());
    header[24..32].copy_from_slice(&1_u64.to_le_bytes());
    header[72..80].copy_from_slice(&2_u64.to_le_bytes());
    header[80..84].copy_from_slice(&count.to_le_bytes());
    header[84..88].copy_from_slice(&size.to_le_bytes());
    let summed = entries.len().min(count as usize * size as usize);
    header[88..92].copy_from_slice(&crc(&entries[..summed]));
    let sum = crc(&header);
    header[16..20].copy_from_slice(&sum);
    disk[512..512 + 92].copy_from_slice(&header);
    disk[1024..1024 + entries.len()].copy_from_slice(&entries);
    disk
}

/// The bytes of a small system on ext4.
fn ext4(directory: &Path, after: &[&str]) -> Vec<u8> {
    let from = directory.join("from");
    fs_err::create_dir_all(from.join("etc/deep")).unwrap();
    fs_err::write(from.join("etc/os-release"), "ID=x\n").unwrap();
    let path = directory.join("ext4");
    let image = path.to_str().unwrap();
    drop(fs_err::remove_file(&path));
    run(
        "mke2fs",
        &[
            "-q",
            "-F",
            "-t",
            "ext4",
            "-O",
            "^metadata_csum",
            "-b",
            "1024",
            "-d",
            from.to_str().unwrap(),
            image,
            "2M",
        ],
    );
    for command in after {
        run("debugfs", &["-w", "-R", command, image]);
    }
    fs_err::read(&path).unwrap()
}

/// How many entries the system on a disk has, or why there are none.
fn entries(disk: Vec<u8>) -> Result<usize, String> {
    let disk: Arc<dyn Medium> = Arc::new(Memory(disk));
    let system = System::find(&disk).map_err(|error| error.to_string())?;
    if !system.has_root() {
        return Err(system.nothing("a root").to_string());
    }
    let tree = system.tree(b"").map_err(|error| error.to_string())?;
    Ok(tree.entries.len())
}

#[test]
fn i27_tables_that_lie_with_right_checksums() {
    if !have("mke2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let system = ext4(scratch.path(), &[]);
    let own = (2048, 2048 + 4095);
    let whole = entries(gpt(&system, &[own], 128, 128)).unwrap();
    assert!(whole >= 4, "{whole}");
    let far = u64::MAX;
    for rows in [
        // The same thrice: what is read is read once.
        vec![own, own, own],
        // Sectors that no disk has, and partitions that end before they begin.
        vec![own, (far - 1, far)],
        vec![own, (0, far)],
        vec![own, (far, 0)],
        vec![own, (1 << 55, 1 << 56)],
        vec![own, (8000, 9_000_000)],
    ] {
        let found = entries(gpt(&system, &rows, 128, 128));
        assert!(found.as_ref().is_ok_and(|count| *count == whole), "{rows:?}: {found:?}");
    }
    // Partitions that overlap, one of which cuts the file system off: that is named.
    let cut = entries(gpt(&system, &[own, (2048, 5000), (0, 8000)], 128, 128));
    assert!(cut.as_ref().is_err_and(|error| error.contains("partition 2")), "{cut:?}");
    // Alone they hold nothing, and that is said.
    for rows in [vec![(far - 1, far)], vec![(0, far)], vec![(far, 0)], vec![]] {
        assert!(entries(gpt(&system, &rows, 128, 128)).is_err(), "{rows:?}");
    }
    for (count, size) in [(u32::MAX, 128), (128, u32::MAX), (128, 0), (128, 129), (4096, 4096)] {
        assert!(entries(gpt(&system, &[own], count, size)).is_err(), "{count} of {size}");
    }
}

#[test]
fn i27_directories_that_contain_themselves() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let whole = entries(ext4(scratch.path(), &[])).unwrap();
    for commands in [
        // A directory in itself, its parent in it, and the root far below.
        &["link /etc /etc/again"][..],
        &["link /etc /etc/deep/up"],
        &["link / /etc/deep/root"],
        &["link /etc /etc/a", "link /etc /etc/b", "link /etc/deep /etc/c"],
    ] {
        match entries(ext4(scratch.path(), commands)) {
            Ok(found) => assert!(found <= whole + commands.len(), "{commands:?}: {found}"),
            Err(error) => assert!(!error.is_empty()),
        }
    }
    // A name for a file more is nothing bad.
    let more = entries(ext4(scratch.path(), &["link /etc/os-release /etc/again"])).unwrap();
    assert_eq!(more, whole + 1);
}

/// Reads a system and all of its files.
fn read(disk: Vec<u8>) -> Result<(), String> {
    let disk: Arc<dyn Medium> = Arc::new(Memory(disk));
    let system = System::find(&disk).map_err(|error| error.to_string())?;
    let tree = system.tree(b"").map_err(|error| error.to_string())?;
    let mut sink = super::damage::Counting::default();
    tree.write_tar(&mut sink).map_err(|error| error.to_string())
}

#[test]
fn i27_inodes_that_claim_too_much() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    for (command, fails) in [
        ("sif /etc/os-release size 5", false),
        ("sif /etc/os-release size 0x7fffffffffffffff", true),
        ("sif /etc/os-release block[0] 0xff00f30a", true),
        ("sif /etc/os-release block[5] 0xffffffff", true),
        ("sif /etc/os-release file_acl 0xfffffff", true),
        ("sif /etc size 0xffffffff", true),
        ("sif /etc mode 0120777", true),
    ] {
        let done = read(ext4(scratch.path(), &[command]));
        assert!(fails || done.is_ok(), "{command}: {done:?}");
    }
    // Fields of the superblock, where no checksum covers them.
    let good = ext4(scratch.path(), &[]);
    assert!(read(good.clone()).is_ok());
    for (at, bytes) in
        [(24, &[60, 0, 0, 0][..]), (32, &[0; 4]), (40, &[0xff; 4]), (88, &[0xff; 2]), (88, &[0; 2])]
    {
        let mut disk = good.clone();
        disk[1024 + at..1024 + at + bytes.len()].copy_from_slice(bytes);
        let done = read(disk);
        assert!(done.is_err(), "{at}");
    }
}

/// A qcow2 of 9 MiB of which every cluster is the first one, compressed to a few bytes.
#[test]
fn i25_one_compressed_cluster_for_all() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("bomb");
    let size = 9 << 20;
    let mut plain = noise(65_536);
    plain.resize(usize::try_from(size).unwrap(), 0);
    plain[1 << 20..][..65_536].fill(b'x');
    let options = Qcow2Options { compression: Compression::Zlib { level: 6 }, threads: 1 };
    let mut sink = Qcow2Sink::new(create(&path), size, &options).unwrap();
    sink.data(0, &plain).unwrap();
    sink.finish().unwrap();
    let mut bytes = fs_err::read(&path).unwrap();
    let word = |bytes: &[u8], at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    let l1 = usize::try_from(word(&bytes, 40)).unwrap();
    let l2 = usize::try_from(word(&bytes, l1) & 0x00ff_ffff_ffff_fe00).unwrap();
    let honest = Qcow2::open(&path).unwrap();
    let mut there = vec![0; 65_536];
    honest.read_at(1 << 20, &mut there).unwrap();
    assert!(there.iter().all(|&byte| byte == b'x'));
    let small = bytes[l2 + 16 * 8..l2 + 17 * 8].to_vec();
    for entry in bytes[l2..l2 + 65_536].chunks_exact_mut(8) {
        entry.copy_from_slice(&small);
    }
    fs_err::write(&path, &bytes).unwrap();
    let bomb = Qcow2::open(&path).unwrap();
    // It unpacks to its own size and no more, and only what is asked for.
    assert_eq!(bomb.size(), size);
    let mut all = vec![0; usize::try_from(size).unwrap()];
    bomb.read_at(0, &mut all).unwrap();
    assert!(all.iter().all(|&byte| byte == b'x'));
    // A table that is its own table's table: no loop, for there are two levels only.
    let itself = (1_u64 << 63 | l1 as u64).to_be_bytes();
    bytes[l1..l1 + 8].copy_from_slice(&itself);
    fs_err::write(&path, &bytes).unwrap();
    let bomb = Qcow2::open(&path).unwrap();
    let mut some = vec![0; 65_536];
    // What its own bytes say as entries leads nowhere, or to some cluster of the file.
    drop(bomb.read_at(0, &mut some));
    // Compressed bytes that lie outside of the file.
    let outside = (1_u64 << 62 | 0x00ff_ffff_ffff).to_be_bytes();
    bytes[l1..l1 + 8].copy_from_slice(&(1_u64 << 63 | l2 as u64).to_be_bytes());
    bytes[l2..l2 + 8].copy_from_slice(&outside);
    fs_err::write(&path, &bytes).unwrap();
    assert!(Qcow2::open(&path).unwrap().read_at(0, &mut some).is_err());
}
