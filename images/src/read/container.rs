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
        Compression::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(stream)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
        Compression::Bzip2 => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "bzip2 is not read"));
        }
    })
}
