//! Several archives of one tree, written side by side.

use std::io::{self, BufWriter, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use fs_err::File;
use serde::{Deserialize, Serialize};

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Not at all.
    None,
    /// By gzip, as small as it can.
    Gzip,
    /// By Zstandard, on every processor there is.
    Zstd,
}

/// Level of Zstandard.
const LEVEL: i32 = 3;

/// Passes an archive on to several files, each packed in its own way. The bytes depend on the
/// archive alone: no time, no name, and no number of threads is in them.
#[derive(Default)]
pub struct Archives(Vec<Archive>);

enum Archive {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
    Zstd(Box<zstd::Encoder<'static, BufWriter<File>>>),
}

impl std::fmt::Debug for Archives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Archives").field(&self.0.len()).finish()
    }
}

impl Archives {
    /// Adds a file, empty so far. Errors of writing name it.
    ///
    /// # Errors
    ///
    /// When the compressor's threads cannot be started.
    pub fn push(&mut self, packing: Packing, file: File) -> io::Result<()> {
        let file = BufWriter::with_capacity(1 << 20, file);
        self.0.push(match packing {
            Packing::None => Archive::Plain(file),
            Packing::Gzip => {
                let level = flate2::Compression::best();
                Archive::Gzip(Box::new(GzBuilder::new().mtime(0).write(file, level)))
            }
            Packing::Zstd => {
                let mut encoder = zstd::Encoder::new(file, LEVEL)?;
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                // Even for one processor: without threads the bytes are others.
                encoder.multithread(u32::try_from(threads).unwrap_or(1).max(1))?;
                encoder.include_checksum(true)?;
                Archive::Zstd(Box::new(encoder))
            }
        });
        Ok(())
    }

    /// Whether nobody wants the archive.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Completes the files.
    ///
    /// # Errors
    ///
    /// When one cannot be written.
    pub fn finish(self) -> io::Result<()> {
        for archive in self.0 {
            match archive {
                Archive::Plain(mut file) => file.flush()?,
                Archive::Gzip(encoder) => encoder.finish()?.flush()?,
                Archive::Zstd(encoder) => encoder.finish()?.flush()?,
            }
        }
        Ok(())
    }
}

impl Write for Archives {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for archive in &mut self.0 {
            match archive {
                Archive::Plain(file) => file.write_all(bytes)?,
                Archive::Gzip(encoder) => encoder.write_all(bytes)?,
                Archive::Zstd(encoder) => encoder.write_all(bytes)?,
            }
        }
        Ok(bytes.len())
    }

    /// Does nothing: a flush in between would cost compression.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn every_packing_holds_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut archives = Archives::default();
        for (packing, name) in
            [(Packing::None, "plain"), (Packing::Gzip, "gzip"), (Packing::Zstd, "zstd")]
        {
            archives.push(packing, File::create(path(name)).unwrap()).unwrap();
        }
        let text: Vec<u8> =
            b"all work and no play ".iter().copied().cycle().take(300_000).collect();
        for part in text.chunks(7777) {
            archives.write_all(part).unwrap();
        }
        archives.flush().unwrap();
        archives.finish().unwrap();
        let file = |name: &str| fs_err::File::open(path(name)).unwrap();
        assert!(fs_err::read(path("plain")).unwrap() == text);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(file("gzip")).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == text);
        assert!(zstd::decode_all(file("zstd")).unwrap() == text);
    }
}
