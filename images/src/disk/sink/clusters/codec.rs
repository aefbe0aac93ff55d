//! Compresses one cluster.

use std::io;

use flate2::{Compress, FlushCompress, Status};
use serde::{Deserialize, Serialize};
use zstd::bulk::Compressor;

use super::super::{SinkError, is_zero};
use super::CLUSTER;
use super::deflate::Deflate;

/// A compressed cluster must be at least a sector smaller than a plain one.
const WORTH_IT: usize = CLUSTER - 512;
/// Room for the worst that deflate makes of a cluster. zlib-rs 0.6 panics at level 1 when
/// the output runs full, so it never does.
const DEFLATE_ROOM: usize = CLUSTER + CLUSTER / 4;

/// How the clusters of a qcow2 are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "codec", rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Deflate, which every reader of qcow2 knows.
    Zlib {
        /// 1 (fast) to 9 (small).
        level: u32,
    },
    /// Zstandard, which QEMU reads since 5.1.
    Zstd {
        /// 1 (fast) to 19 (small).
        level: i32,
    },
}

/// What becomes of a cluster.
pub(in super::super) enum Packed {
    /// It is all zero and is not stored.
    Zero,
    /// It is stored as it is.
    Plain(Box<[u8]>),
    /// It is stored compressed.
    Compressed(Vec<u8>),
}

/// A compressor with its state, one for each thread.
pub(in super::super) enum Codec {
    None,
    Zlib(Deflate),
    Zstd(Compressor<'static>),
    /// Deflate in a zlib stream, whether that gets smaller or not.
    Stream(Box<Compress>),
}

impl Codec {
    /// A codec of a qcow2.
    ///
    /// # Errors
    ///
    /// The level does not exist.
    pub(in super::super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None,
            Compression::Zlib { level } => Self::Zlib(Deflate::new(level)),
            Compression::Zstd { level } => Self::Zstd(Compressor::new(level)?),
        })
    }

    /// A codec for formats that know compressed clusters only: zlib with its header.
    pub(in super::super) fn stream(level: u32) -> Self {
        Self::Stream(Box::new(Compress::new(flate2::Compression::new(level), true)))
    }

    pub(super) fn pack(&mut self, cluster: Box<[u8]>) -> io::Result<Packed> {
        if is_zero(&cluster) {
            return Ok(Packed::Zero);
        }
        let compressed = match self {
            Self::None => None,
            Self::Zlib(deflate) => deflate.pack(&cluster, WORTH_IT),
            Self::Stream(deflate) => Some(pack_stream(deflate, &cluster)?),
            Self::Zstd(zstd) => {
                let bytes = zstd.compress(&cluster)?;
                (bytes.len() <= WORTH_IT).then_some(bytes)
            }
        };
        Ok(match compressed {
            Some(bytes) => Packed::Compressed(bytes),
            None => Packed::Plain(cluster),
        })
    }
}

/// The cluster as a zlib stream.
fn pack_stream(deflate: &mut Compress, cluster: &[u8]) -> io::Result<Vec<u8>> {
    deflate.reset();
    let mut out = vec![0; DEFLATE_ROOM];
    let refused = |reason: String| SinkError::Compressor { reason };
    let status = deflate
        .compress(cluster, &mut out, FlushCompress::Finish)
        .map_err(|e| refused(e.to_string()))?;
    if status != Status::StreamEnd {
        return Err(refused("the stream has no end".to_owned()).into());
    }
    out.truncate(super::super::len_of(deflate.total_out()));
    out.shrink_to_fit();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::super::super::test_support::noise;
    use super::*;

    #[test]
    fn zstd_takes_its_levels() {
        for level in [1, 3, 19] {
            let mut codec = Codec::new(Compression::Zstd { level }).unwrap();
            let plain = codec.pack(noise(CLUSTER).into_boxed_slice()).unwrap();
            assert!(matches!(plain, Packed::Plain(_)));
            let small = codec.pack(vec![1; CLUSTER].into_boxed_slice()).unwrap();
            assert!(matches!(small, Packed::Compressed(bytes) if bytes.len() < 100));
            let zero = codec.pack(vec![0; CLUSTER].into_boxed_slice()).unwrap();
            assert!(matches!(zero, Packed::Zero));
        }
    }
}
