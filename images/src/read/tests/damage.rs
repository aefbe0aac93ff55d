//! Damaged images end in an error or in a smaller tree: never in a panic, nor without end.

use std::path::Path;
use std::sync::Arc;

use super::super::{Medium, Qcow2, System};
use crate::disk::test_support::{have, noise, run};

/// A disk in memory.
#[derive(Debug)]
pub(in crate::read) struct Memory(pub(in crate::read) Vec<u8>);

impl Medium for Memory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = at.checked_add(buffer.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let found = self.0.get(at..end).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }
}

/// A disk in memory with other bytes in some places.
#[derive(Debug)]
struct Patched {
    good: Arc<Vec<u8>>,
    bytes: Vec<(usize, u8)>,
}

impl Medium for Patched {
    fn size(&self) -> u64 {
        self.good.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = at.checked_add(buffer.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let found = self.good.get(at..end).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        for (place, byte) in self.bytes.iter().filter(|(place, _)| (at..end).contains(place)) {
            buffer[place - at] = *byte;
        }
        Ok(())
    }
}

/// What is wrong with a disk: places, and bytes.
type Flips = [(usize, u8)];
/// What follows from them.
type Mended<'a> = dyn Fn(&[u8], &Flips) -> Vec<(usize, u8)> + 'a;

/// Files of several kinds, few of them, so that a wrong byte is likely to hit something.
pub(super) fn source(from: &Path) {
    for name in ["etc", "many", "deep/er"] {
        fs_err::create_dir_all(from.join(name)).unwrap();
    }
    for n in 0..60 {
        fs_err::write(from.join(format!("many/a longer name {n}")), format!("{n}")).unwrap();
    }
    fs_err::write(from.join("etc/large"), noise(20_000)).unwrap();
    std::os::unix::fs::symlink("etc/large", from.join("link")).unwrap();
}

/// How many of `rounds` disks with a few wrong bytes cannot be read.
pub(super) fn damaged(good: Vec<u8>, seed: u64, rounds: usize) -> u32 {
    damaged_and(good, seed, rounds, &|_, _| Vec::new())
}

/// The same, with more bytes that follow from the wrong ones.
pub(super) fn damaged_and(good: Vec<u8>, seed: u64, rounds: usize, more: &Mended<'_>) -> u32 {
    assert!(read(good.clone()));
    let used: Vec<_> = (0..good.len()).filter(|&at| !matches!(good[at], 0 | b'k' | b'v')).collect();
    let good = Arc::new(good);
    let mut dice = Dice(seed);
    let mut damaged = 0;
    for _ in 0..rounds {
        let flips = 0..=dice.below(4);
        let mut bytes: Vec<_> = flips
            .map(|_| (used[dice.below(used.len())], u8::try_from(dice.below(256)).unwrap()))
            .collect();
        bytes.extend(more(&good, &bytes));
        let disk = Patched { good: Arc::clone(&good), bytes };
        damaged += u32::from(!read_medium(Arc::new(disk)));
    }
    damaged
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Reads all that can be read; tells whether that was everything.
fn read(bytes: Vec<u8>) -> bool {
    read_medium(Arc::new(Memory(bytes)))
}

fn read_medium(disk: Arc<dyn Medium>) -> bool {
    let Ok(system) = System::find(&disk) else { return false };
    let Ok(tree) = system.tree(b"") else { return false };
    let mut sink = Counting(0);
    tree.write_tar(&mut sink).is_ok() && !tree.entries.is_empty()
}

/// Takes a stream and refuses one that cannot be honest.
#[derive(Default)]
pub(super) struct Counting(u64);

impl std::io::Write for Counting {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0 += buffer.len() as u64;
        assert!(self.0 < 1 << 30, "a small disk became a large archive");
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn image(directory: &Path, options: &[&str], size: &str) -> Vec<u8> {
    let from = directory.join("from");
    for name in ["etc", "boot", "many"] {
        fs_err::create_dir_all(from.join(name)).unwrap();
    }
    fs_err::write(from.join("etc/fstab"), "LABEL=x /boot/efi vfat defaults 0 0\n").unwrap();
    fs_err::write(from.join("boot/vmlinuz-1"), vec![b'k'; 90_000]).unwrap();
    for n in 0..60 {
        fs_err::write(from.join(format!("many/a longer name {n}")), format!("{n}")).unwrap();
    }
    let path = directory.join("image");
    let mut words = options.to_vec();
    words.extend(["-q", "-F", "-d", from.to_str().unwrap(), path.to_str().unwrap(), size]);
    run("mke2fs", &words);
    fs_err::read(&path).unwrap()
}

#[test]
fn i27_flipped_bytes_of_ext() {
    if !have("mke2fs") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    for (options, seed) in [
        (&["-t", "ext4", "-b", "1024", "-I", "256"][..], 1),
        (&["-t", "ext2", "-b", "1024"], 2),
        (&["-t", "ext4", "-b", "1024", "-O", "inline_data"], 3),
    ] {
        let good = image(scratch.path(), options, "2M");
        assert!(read(good.clone()));
        // Where there is something: metadata above all.
        let used: Vec<_> =
            (0..good.len()).filter(|&at| good[at] != 0 && good[at] != b'k').collect();
        let mut dice = Dice(seed);
        let mut damaged = 0;
        for _ in 0..600 {
            let mut bytes = good.clone();
            for _ in 0..=dice.below(4) {
                let at = used[dice.below(used.len())];
                bytes[at] = u8::try_from(dice.below(256)).unwrap();
            }
            damaged += u32::from(!read(bytes));
        }
        assert!(damaged > 30, "{damaged} of 600 were noticed");
        for _ in 0..60 {
            let mut bytes = good.clone();
            bytes.truncate(dice.below(good.len()));
            assert!(!read(bytes), "a disk that is cut off");
        }
    }
}

#[test]
fn i27_flipped_bytes_of_fat_and_of_tables() {
    if !have("mkfs.vfat") || !have("mcopy") || !have("sfdisk") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fat");
    let image = path.to_str().unwrap();
    for (bits, seed) in [("12", 4), ("16", 5)] {
        fs_err::File::create(&path)
            .unwrap()
            .set_len(if bits == "12" { 1 } else { 5 } << 20)
            .unwrap();
        run("mkfs.vfat", &["-F", bits, "-s", "1", image]);
        run("mmd", &["-i", image, "::etc", "::etc/below", "::etc/below/far"]);
        let file = scratch.path().join("A rather long name.txt");
        fs_err::write(&file, vec![7; 20_000]).unwrap();
        run("mcopy", &["-i", image, file.to_str().unwrap(), "::etc/below"]);
        let good = fs_err::read(&path).unwrap();
        assert!(read(good.clone()));
        let used: Vec<_> = (0..good.len()).filter(|&at| good[at] != 0 && good[at] != 7).collect();
        let mut dice = Dice(seed);
        let mut damaged = 0;
        for _ in 0..800 {
            let mut bytes = good.clone();
            for _ in 0..=dice.below(3) {
                let at = used[dice.below(used.len())];
                bytes[at] = u8::try_from(dice.below(256)).unwrap();
            }
            damaged += u32::from(!read(bytes));
        }
        assert!(damaged > 10, "{damaged}");
    }
    let path = scratch.path().join("disk");
    for label in ["dos", "gpt"] {
        fs_err::File::create(&path).unwrap().set_len(8 << 20).unwrap();
        let line = if label == "dos" { "type=5\\nsize=1M\\nsize=1M" } else { "size=2M\\nsize=1M" };
        let line = format!("printf 'label: {label}\\n{line}\\n' | sfdisk -q {}", path.display());
        run("sh", &["-c", &line]);
        let good = fs_err::read(&path).unwrap();
        let used: Vec<_> = (0..good.len()).filter(|&at| good[at] != 0).collect();
        let mut dice = Dice(6);
        for _ in 0..500 {
            let mut bytes = good.clone();
            for _ in 0..=dice.below(3) {
                let at = used[dice.below(used.len())];
                bytes[at] = u8::try_from(dice.below(256)).unwrap();
            }
            // There is no file system at all: nothing can be read whatever the table says.
            assert!(!read(bytes));
        }
    }
}

#[test]
fn i25_flipped_bytes_of_qcow2() {
    if !have("mke2fs") || !have("qemu-img") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let good = image(scratch.path(), &["-t", "ext4", "-b", "1024"], "2M");
    let (raw, path) = (scratch.path().join("raw"), scratch.path().join("qcow2"));
    fs_err::write(&raw, good).unwrap();
    let names = (raw.to_str().unwrap(), path.to_str().unwrap());
    for (options, seed) in [(&["-c"][..], 7), (&["-o", "cluster_size=4k"], 8)] {
        run("qemu-img", &[&["convert", "-O", "qcow2"], options, &[names.0, names.1]].concat());
        let good = fs_err::read(&path).unwrap();
        let used: Vec<_> =
            (0..good.len()).filter(|&at| good[at] != 0 && good[at] != b'k').collect();
        let mut dice = Dice(seed);
        let mut damaged = 0;
        for _ in 0..400 {
            let mut bytes = good.clone();
            for _ in 0..=dice.below(4) {
                let at = used[dice.below(used.len())];
                bytes[at] = u8::try_from(dice.below(256)).unwrap();
            }
            fs_err::write(&path, bytes).unwrap();
            let read = Qcow2::open(&path).is_ok_and(|disk| read_medium(Arc::new(disk)));
            damaged += u32::from(!read);
        }
        assert!(damaged > 20, "{damaged}");
    }
}
