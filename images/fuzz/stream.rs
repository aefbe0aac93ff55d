//! Reads bytes as strangers' files: a layer, a qcow2, a partition table, a compressed stream.
//! The first byte says which.

#![no_main]

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use goldsmith_images::layer::select;
use goldsmith_images::read::container::{Compression, decompress};
use goldsmith_images::read::{Medium, Qcow2, RawFile, System};

/// The most that a stream may become, in bytes.
const LIMIT: u64 = 16 << 20;

/// A file of these bytes that has no name.
fn file(bytes: &[u8]) -> std::io::Result<RawFile> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    RawFile::new(fs_err::File::from_parts(file, "disk"))
}

fn disk(disk: Arc<dyn Medium>) {
    if let Ok(system) = System::find(&disk) {
        let _ = system.tree(b"");
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [kind, bytes @ ..] = bytes else { return };
    let unpack = |compression| {
        if let Ok(stream) = decompress(bytes, compression) {
            let _ = std::io::copy(&mut stream.take(LIMIT), &mut std::io::sink());
        }
    };
    match kind % 6 {
        0 => drop(select(bytes, b"", LIMIT)),
        1 => {
            let Ok(file) = file(bytes) else { return };
            if let Ok(qcow2) = Qcow2::new(file) {
                let mut front = vec![0; 1 << 20];
                let count = front.len().min(qcow2.size().try_into().unwrap_or(usize::MAX));
                let _ = qcow2.read_at(0, &mut front[..count]);
                disk(Arc::new(qcow2));
            }
        }
        2 => {
            if let Ok(file) = file(bytes) {
                disk(Arc::new(file));
            }
        }
        3 => unpack(Compression::Gzip),
        4 => unpack(Compression::Xz),
        _ => unpack(Compression::Zstd),
    }
});
