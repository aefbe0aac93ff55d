//! A disk cut into clusters of 64 KiB, compressed by several threads.
//!
//! Clusters become complete in whatever order the disk is written; each
//! complete one gets the next number, is packed by the thread whose turn it is
//! and is appended in order of numbers. So the file depends on the disk and the
//! codec, never on the number of threads or their speed.

mod codec;
mod deflate;
mod pipeline;

use std::collections::HashMap;
use std::io;

pub use codec::Compression;
pub(super) use codec::{Codec, Packed};

use super::{Coverage, DiskSink, SinkError, len_of, offset_of};
use pipeline::Pipeline;

/// Bytes of a cluster are two to the power of this.
pub(super) const CLUSTER_BITS: u32 = 16;
const CLUSTER: usize = 1 << CLUSTER_BITS;
/// Bytes of a cluster, as an offset.
pub(super) const CLUSTER_LEN: u64 = 1 << CLUSTER_BITS;

/// The file that packed clusters go to.
pub(super) trait ClusterFile: Send {
    /// Appends cluster `index` of the disk.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    fn append(&mut self, index: u64, cluster: &Packed) -> io::Result<()>;

    /// Completes the file.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Writes a disk as clusters.
///
/// Held in memory: clusters not yet complete (those on the border of two files),
/// a bounded queue for each thread, and what the file keeps of each stored cluster.
#[derive(Debug)]
pub(super) struct ClusterSink {
    size: u64,
    coverage: Coverage,
    partial: HashMap<u64, Partial>,
    /// Absent once the sink failed or finished.
    pipeline: Option<Pipeline>,
}

/// A cluster of which something is known.
#[derive(Debug, Default)]
struct Partial {
    /// Allocated with the first byte that is not declared zero.
    bytes: Option<Box<[u8]>>,
    covered: u64,
}

impl ClusterSink {
    /// A disk of `size` bytes whose clusters `codecs`, each on a thread of its own, pack for
    /// `file`.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub(super) fn new(
        size: u64,
        file: Box<dyn ClusterFile>,
        codecs: Vec<Codec>,
    ) -> io::Result<Self> {
        Ok(Self {
            size,
            coverage: Coverage::new(size),
            partial: HashMap::new(),
            pipeline: Some(Pipeline::start(file, codecs)?),
        })
    }

    /// Length of the disk in a cluster, less than a cluster's in the last.
    fn cluster_len(&self, index: u64) -> u64 {
        CLUSTER_LEN.min(self.size - index * CLUSTER_LEN)
    }

    /// Notes that `len` bytes at `offset` of cluster `index` are known.
    fn cover(&mut self, index: u64, offset: u64, len: u64, bytes: Option<&[u8]>) -> io::Result<()> {
        let whole = self.cluster_len(index);
        if bytes.is_none() && len == whole {
            return Ok(());
        }
        let partial = self.partial.entry(index).or_default();
        if let Some(bytes) = bytes {
            let cluster = partial.bytes.get_or_insert_with(|| vec![0; CLUSTER].into_boxed_slice());
            let from = len_of(offset);
            if let Some(target) = cluster.get_mut(from..from + bytes.len()) {
                target.copy_from_slice(bytes);
            }
        }
        partial.covered += len;
        if partial.covered < whole {
            return Ok(());
        }
        let Some(bytes) = self.partial.remove(&index).and_then(|p| p.bytes) else {
            return Ok(());
        };
        let pipeline = self.pipeline.as_mut().ok_or(SinkError::Closed)?;
        if pipeline.send(index, bytes) {
            return Ok(());
        }
        match self.pipeline.take() {
            Some(pipeline) => Err(pipeline.failure()),
            None => Err(SinkError::Closed.into()),
        }
    }
}

impl DiskSink for ClusterSink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.coverage.add(offset, offset_of(bytes.len()))?;
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = at % CLUSTER_LEN;
            let (now, later) = rest.split_at(rest.len().min(len_of(CLUSTER_LEN - within)));
            self.cover(at / CLUSTER_LEN, within, offset_of(now.len()), Some(now))?;
            at += offset_of(now.len());
            rest = later;
        }
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.coverage.add(offset, len)?;
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let within = at % CLUSTER_LEN;
            let now = (CLUSTER_LEN - within).min(end - at);
            self.cover(at / CLUSTER_LEN, within, now, None)?;
            at += now;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.coverage.complete()?;
        self.pipeline.take().ok_or(SinkError::Closed)?.finish()
    }
}
