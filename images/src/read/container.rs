//! What a file is, by its first bytes.

use std::io;

use super::fields::le32;

/// The kinds of files that images come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// The bytes of the disk, or nothing that is known.
    Raw,
    /// qcow2, of version 2 or 3.
    Qcow2,
    /// A disk format of another program; the name is that of `qemu-img -f`.
    Foreign(&'static str),
    /// A tar archive.
    Tar,
    /// A file of any kind, compressed.
    Compressed(Compression),
    /// A squashfs file system.
    Squashfs,
    /// A cpio archive, an ELF file or another thing that is no disk; the text says which.
    Other(&'static str),
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// bzip2, which is recognised but not read.
    Bzip2,
}

/// How many bytes from the front [`Container::detect`] wants to see.
pub const FRONT: usize = 1024;

/// Magic numbers at the front.
const FRONTS: [(usize, &[u8], Container); 14] = [
    (0, b"QFI\xfb", Container::Qcow2),
    (0, b"KDMV", Container::Foreign("vmdk")),
    (0, b"COWD", Container::Foreign("vmdk")),
    (
        0,
        b"# Disk DescriptorFile",
        Container::Other("a VMDK descriptor, whose data is in other files"),
    ),
    (0, b"vhdxfile", Container::Foreign("vhdx")),
    (0, b"conectix", Container::Foreign("vpc")),
    (0, b"QED\0", Container::Other("a QED image")),
    (0, b"\x1f\x8b\x08", Container::Compressed(Compression::Gzip)),
    (0, b"\xfd7zXZ\0", Container::Compressed(Compression::Xz)),
    (0, b"\x28\xb5\x2f\xfd", Container::Compressed(Compression::Zstd)),
    (0, b"BZh", Container::Compressed(Compression::Bzip2)),
    (0, b"hsqs", Container::Squashfs),
    (257, b"ustar", Container::Tar),
    (0, b"070701", Container::Other("a cpio archive")),
];

impl Container {
    /// Tells by the first [`FRONT`] bytes of a file what it is. A VHD of fixed size is a raw
    /// disk with a footer.
    pub fn detect(front: &[u8]) -> Self {
        let has = |at: usize, magic: &[u8]| front.get(at..).is_some_and(|b| b.starts_with(magic));
        if let Some((_, _, found)) = FRONTS.iter().find(|(at, magic, _)| has(*at, magic)) {
            return *found;
        }
        if le32(front, 64) == 0xbeda_107f {
            return Self::Foreign("vdi");
        }
        Self::Raw
    }
}

/// Decompresses a stream.
///
/// # Errors
///
/// When the method is not read here.
pub fn decompress<'a>(
    stream: impl io::Read + 'a,
    compression: Compression,
) -> io::Result<Box<dyn io::Read + 'a>> {
    let stream = io::BufReader::with_capacity(1 << 17, stream);
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Compression::Xz => Box::new(crate::xz::unpack(stream)?),
        // Its own limit is a window of 128 MiB.
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
        Compression::Bzip2 => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "bzip2 is not read"));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// A stream of Zstandard with a window of two to the power of `exponent` bytes.
    fn zstd(exponent: u32) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(exponent).unwrap();
        encoder.write_all(b"content").unwrap();
        encoder.finish().unwrap()
    }

    // I11: how much memory unpacking takes is not the file's to say.
    #[test]
    fn windows_and_dictionaries_have_a_limit_i11() {
        let read = |bytes: &[u8], compression| {
            let mut text = String::new();
            let done = decompress(bytes, compression).unwrap().read_to_string(&mut text);
            done.map(|_| text)
        };
        let xz = crate::xz::tests::with_dictionary;
        assert_eq!(read(&xz(b"content", 26), Compression::Xz).unwrap(), "content");
        assert_eq!(read(&zstd(27), Compression::Zstd).unwrap(), "content");
        let error = read(&xz(b"content", 28), Compression::Xz).unwrap_err();
        assert!(error.to_string().contains("128 MiB"), "{error}");
        let error = read(&zstd(28), Compression::Zstd).unwrap_err();
        assert!(error.to_string().contains("too much memory"), "{error}");
    }
}
