//! Reads the disk that `FUZZ_IMAGE` names, with other bytes in its blocks: a partition table or
//! none, any file system that is read. If there is no such file, it becomes a disk with a volume
//! group.
//!
//! What the engine makes up is a list of changes: two bytes choose one of the blocks that are not
//! all zero, two the place in it, one how many bytes follow (1 to 16). Checksums count for
//! nothing here (`cfg(fuzzing)`).

#![no_main]

mod group;

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use goldsmith_images::read::{Medium, System};
use goldsmith_images::tree::Kind;

/// The unit of changes, in bytes.
const BLOCK: usize = 4096;
/// The most that is read of all files, in bytes.
const CONTENT: u64 = 8 << 20;

/// A disk of which most is zero.
#[derive(Debug)]
struct Sparse {
    size: u64,
    blocks: HashMap<u64, Box<[u8]>>,
    /// The numbers of `blocks`, ascending.
    used: Vec<u64>,
}

static GOOD: LazyLock<Sparse> = LazyLock::new(|| {
    let path = std::env::var_os("FUZZ_IMAGE").expect("FUZZ_IMAGE names a disk");
    let path = Path::new(&path);
    if !path.exists() {
        group::make(path);
    }
    let mut file = std::io::BufReader::new(std::fs::File::open(path).expect("the disk"));
    let (mut size, mut blocks, mut used) = (0, HashMap::new(), Vec::new());
    loop {
        let mut block = Vec::new();
        file.by_ref().take(BLOCK as u64).read_to_end(&mut block).expect("the disk");
        if block.is_empty() {
            return Sparse { size, blocks, used };
        }
        let number = size / BLOCK as u64;
        size += block.len() as u64;
        if block.iter().any(|byte| *byte != 0) {
            block.resize(BLOCK, 0);
            blocks.insert(number, block.into_boxed_slice());
            used.push(number);
        }
    }
});

/// That disk with its changes.
#[derive(Debug)]
struct Changed(HashMap<u64, Box<[u8]>>);

impl Changed {
    fn new(mut list: &[u8]) -> Self {
        let mut blocks = HashMap::new();
        while let [a, b, c, d, count, rest @ ..] = list {
            let bytes = &rest[..rest.len().min(1 + usize::from(count % 16))];
            let number = GOOD.used[usize::from(u16::from_le_bytes([*a, *b])) % GOOD.used.len()];
            let block = blocks.entry(number).or_insert_with(|| GOOD.blocks[&number].clone());
            let place = usize::from(u16::from_le_bytes([*c, *d])) % BLOCK;
            for (to, from) in block[place..].iter_mut().zip(bytes) {
                *to = *from;
            }
            list = &rest[bytes.len()..];
        }
        Self(blocks)
    }
}

impl Medium for Changed {
    fn size(&self) -> u64 {
        GOOD.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > GOOD.size) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (number, inside) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let count = (BLOCK - inside).min(buffer.len() - done);
            let to = &mut buffer[done..done + count];
            match self.0.get(&number).or_else(|| GOOD.blocks.get(&number)) {
                Some(block) => to.copy_from_slice(&block[inside..inside + count]),
                None => to.fill(0),
            }
            done += count;
        }
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|list: &[u8]| {
    let disk: Arc<dyn Medium> = Arc::new(Changed::new(list));
    let Ok(system) = System::find(&disk) else { return };
    let Ok(tree) = system.tree(b"") else { return };
    let mut left = CONTENT;
    for entry in tree.entries.iter().filter(|entry| matches!(entry.kind, Kind::File { .. })) {
        let Ok(file) = tree.open(entry) else { continue };
        match std::io::copy(&mut file.take(left), &mut std::io::sink()) {
            Ok(read) => left -= read,
            Err(_) => continue,
        }
    }
});
