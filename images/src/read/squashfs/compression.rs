//! How blocks are compressed.

use std::io::{self, Read};

use super::{Result, VolumeError};

/// The most memory that unpacking one block of xz may take.
const XZ_MEMORY: u64 = 64 << 20;

/// The method that all blocks of a file system share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// zlib, called gzip there.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

impl Method {
    pub(super) fn new(number: u16) -> Result<Self> {
        let other = match number {
            1 => return Ok(Self::Gzip),
            4 => return Ok(Self::Xz),
            6 => return Ok(Self::Zstd),
            2 => "lzma",
            3 => "lzo",
            5 => "lz4",
            _ => "an unknown method",
        };
        Err(VolumeError::Unsupported { what: format!("squashfs compressed by {other}") })
    }

    /// Unpacks a block that holds at most `limit` bytes.
    pub(super) fn unpack(self, packed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        let stream: Box<dyn Read + '_> = match self {
            Self::Gzip => Box::new(flate2::bufread::ZlibDecoder::new(packed)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                // No window is larger than the largest block.
                decoder.window_log_max(20)?;
                Box::new(decoder)
            }
        };
        let mut block = Vec::new();
        stream.take(limit as u64 + 1).read_to_end(&mut block)?;
        if block.len() > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a block is too long"));
        }
        Ok(block)
    }
}
