//! erofs as nobody's program makes it.

use std::sync::Arc;

use crate::read::{Format, Medium, System};
use crate::tree::Tree;

/// A disk of that size which is zero behind its first bytes.
#[derive(Debug)]
struct Holes(Vec<u8>, u64);

impl Medium for Holes {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        crate::read::medium::within(self.1, offset, buffer.len())?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = self.0.get(at..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        buffer[count..].fill(0);
        Ok(())
    }
}

/// Where the root's and the file's inodes are.
const ROOT: usize = 1152;
const FILE: usize = 1536;
/// Forms of inodes, all of them long: the end behind them, and in chunks.
const INLINE: u16 = 5;
const CHUNKS: u16 = 9;

/// A file system with one file `f`, by the fields of both inodes.
struct Image(Vec<u8>);

impl Image {
    fn new(form: u16, size: u64, word: u32) -> Self {
        let mut image = Self(vec![0; 16_384]);
        image.put(1024, &0xe0f5_e1e2u32.to_le_bytes());
        image.put(1024 + 12, &[12]);
        image.put(1024 + 14, &u16::try_from(ROOT / 32).unwrap().to_le_bytes());
        image.put(1024 + 80, &4u32.to_le_bytes());
        image.inode(ROOT, INLINE, 0o40_755, 40, 0);
        image.inode(FILE, form, 0o100_644, size, word);
        let names = [(ROOT, 36u16, 2), (ROOT, 37, 2), (FILE, 39, 1)];
        for (at, (inode, name, kind)) in (ROOT + 64..).step_by(12).zip(names) {
            image.put(at, &u64::try_from(inode / 32).unwrap().to_le_bytes());
            image.put(at + 8, &name.to_le_bytes());
            image.put(at + 10, &[kind]);
        }
        image.put(ROOT + 64 + 36, b"...f");
        image
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn inode(&mut self, at: usize, form: u16, mode: u16, size: u64, word: u32) {
        self.put(at, &form.to_le_bytes());
        self.put(at + 4, &mode.to_le_bytes());
        self.put(at + 8, &size.to_le_bytes());
        self.put(at + 16, &word.to_le_bytes());
        self.put(at + 44, &1u32.to_le_bytes());
    }

    /// The tree on a disk of that size, or what is wrong with it.
    fn read(self, size: u64) -> Result<Tree, String> {
        let disk: Arc<dyn Medium> = Arc::new(Holes(self.0, size));
        let system = System::whole(&disk, Format::Erofs).map_err(|error| error.to_string())?;
        system.tree(b"").map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        })
    }
}

fn content(tree: &Tree) -> Vec<u8> {
    super::content(tree, tree.get(b"f").unwrap())
}

#[test]
fn i27_chunks_of_erofs_have_their_limits() {
    // Chunks of 4 KiB: one that lies in the third block, a hole, and the end of a fourth.
    let mut good = Image::new(CHUNKS, 12_000, 0);
    for (n, place) in [2u32, u32::MAX, 3].into_iter().enumerate() {
        good.put(FILE + 64 + 4 * n, &place.to_le_bytes());
    }
    good.put(8192, b"third");
    good.put(12_288, b"fourth");
    let bytes = content(&good.read(16_384).unwrap());
    assert_eq!(
        (bytes.len(), &bytes[..5], &bytes[8192..8198]),
        (12_000, &b"third"[..], &b"fourth"[..])
    );
    assert!(bytes[4096..8192].iter().all(|byte| *byte == 0));
    for (size, disk, words) in [
        // A table that is as large as the disk, all of it a hole.
        (1 << 46, 1 << 40, "it has too many chunks"),
        // One that fits, whose entries are all the first block.
        (1 << 36, 1 << 30, "its chunks lie in too many places"),
        // More than all files may hold.
        (1 << 24, 16_384, "it has too many chunks"),
        (u64::MAX, 1 << 40, "its size is out of range"),
    ] {
        let error = Image::new(CHUNKS, size, 0).read(disk).unwrap_err();
        assert!(error.contains(words), "{size}: {error}");
    }
    // Only files have chunks: a directory would name one block as often as it likes.
    let mut directory = Image::new(INLINE, 0, 0);
    directory.inode(ROOT, CHUNKS, 0o40_755, 1 << 20, 8);
    assert!(directory.read(1 << 21).unwrap_err().contains("its form is unknown"));
    let mut directory = Image::new(INLINE, 0, 0);
    directory.inode(ROOT, 1, 0o40_755, 1 << 30, 0);
    assert!(directory.read(1 << 31).unwrap_err().contains("its directory is too large"));
}

#[test]
fn i27_inodes_of_erofs_that_cannot_be() {
    // Between two seconds there are no more nanoseconds, before 1970 neither.
    let mut odd = Image::new(INLINE, 3, 0);
    odd.put(FILE + 64, b"abc");
    odd.put(FILE + 32, &(-1i64).to_le_bytes());
    odd.put(FILE + 40, &u32::MAX.to_le_bytes());
    let tree = odd.read(16_384).unwrap();
    assert_eq!(tree.get(b"f").unwrap().mtime_nsec, 999_999_999);
    assert_eq!(content(&tree), b"abc");
    tree.write_tar(std::io::sink()).unwrap();
    // What lies behind an inode ends with its block.
    let fits = 4096 - (FILE as u64 + 64) % 4096;
    assert_eq!(content(&Image::new(INLINE, fits, 0).read(16_384).unwrap()).len() as u64, fits);
    let error = Image::new(INLINE, fits + 1, 0).read(16_384).unwrap_err();
    assert!(error.contains("its end does not fit"), "{error}");
}

#[test]
fn i27_attributes_of_erofs_that_share_their_bytes() {
    // So many attributes of 64 KiB, each a few bytes behind the one before.
    let shared = |count: u32| {
        let mut image = Image::new(INLINE, 0, 0);
        image.put(FILE + 2, &u16::try_from(1 + count).unwrap().to_le_bytes());
        image.put(FILE + 64 + 4, &[u8::try_from(count).unwrap()]);
        for n in 0..count {
            let place = 4096 + 8 * n;
            image.put(FILE + 76 + 4 * n as usize, &(place / 4).to_le_bytes());
            image.put(place as usize, &[1, 1, 0xff, 0xff, b'a' + u8::try_from(n).unwrap()]);
        }
        image.read(1 << 20)
    };
    let three = shared(3).unwrap();
    assert_eq!(three.get(b"f").unwrap().xattrs.len(), 3);
    let error = shared(5).unwrap_err();
    assert!(error.contains("its extended attributes are broken"), "{error}");
}
