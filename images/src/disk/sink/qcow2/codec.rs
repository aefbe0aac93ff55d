//! Compresses one cluster.

use std::io;

use flate2::{Compress, FlushCompress, Status};
use serde::{Deserialize, Serialize};
use zstd::bulk::Compressor;

use super::super::{SinkError, is_zero};
use super::CLUSTER;

/// Readers of qcow2 inflate with a window of 4 KiB.
const WINDOW_BITS: u8 = 12;
/// A compressed cluster must be at least a sector smaller than a plain one.
const WORTH_IT: usize = CLUSTER - 512;

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
pub(super) enum Packed {
    /// It is all zero and is not stored.
    Zero,
    /// It is stored as it is.
    Plain(Box<[u8]>),
    /// It is stored compressed.
    Compressed(Vec<u8>),
}

/// A compressor with its state, one for each thread.
pub(super) enum Codec {
    None,
    Zlib(Box<Compress>),
    Zstd(Compressor<'static>),
}

impl Codec {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None,
            Compression::Zlib { level } => {
                let level = flate2::Compression::new(level.clamp(1, 9));
                Self::Zlib(Box::new(Compress::new_with_window_bits(level, false, WINDOW_BITS)))
            }
            Compression::Zstd { level } => Self::Zstd(Compressor::new(level)?),
        })
    }

    pub(super) fn pack(&mut self, cluster: Box<[u8]>) -> io::Result<Packed> {
        if is_zero(&cluster) {
            return Ok(Packed::Zero);
        }
        let compressed = match self {
            Self::None => None,
            Self::Zlib(deflate) => pack_zlib(deflate, &cluster)?,
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

/// The deflated cluster, or nothing when it does not get smaller.
fn pack_zlib(deflate: &mut Compress, cluster: &[u8]) -> io::Result<Option<Vec<u8>>> {
    deflate.reset();
    let mut out = vec![0; WORTH_IT];
    let status = deflate
        .compress(cluster, &mut out, FlushCompress::Finish)
        .map_err(|e| SinkError::Compressor { reason: e.to_string() })?;
    if status != Status::StreamEnd {
        return Ok(None);
    }
    out.truncate(super::super::len_of(deflate.total_out()));
    Ok(Some(out))
}
