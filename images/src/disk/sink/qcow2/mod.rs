//! A qcow2 (version 3) written in one pass, compressed by several threads.
//!
//! Clusters become complete in whatever order the disk is written; each
//! complete one gets the next number, is packed by the thread whose turn it is
//! and is appended in order of numbers. So the file depends on the disk and the
//! codec, never on the number of threads or their speed.

mod codec;
mod host;
mod pipeline;

use std::collections::HashMap;
use std::io;

use fs_err::File;

pub use codec::Compression;

use super::{Coverage, DiskSink, SinkError, len_of, offset_of};
use pipeline::Pipeline;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: usize = 1 << CLUSTER_BITS;
const CLUSTER_LEN: u64 = 1 << CLUSTER_BITS;

/// How to write a qcow2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qcow2Options {
    /// The codec.
    pub compression: Compression,
    /// Threads that compress, at least one is used.
    pub threads: usize,
}

/// Writes a disk as a qcow2.
///
/// Held in memory: clusters not yet complete (those on the border of two files),
/// a bounded queue for each thread, and eight bytes for each stored cluster.
#[derive(Debug)]
pub struct Qcow2Sink {
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

impl Qcow2Sink {
    /// A disk of `size` bytes as a qcow2 in `file`, whose former content is dropped.
    ///
    /// # Errors
    ///
    /// The file cannot be cut, or the codec's level does not exist.
    pub fn new(file: File, size: u64, options: &Qcow2Options) -> io::Result<Self> {
        Ok(Self {
            size,
            coverage: Coverage::new(size),
            partial: HashMap::new(),
            pipeline: Some(Pipeline::start(file, size, options)?),
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

impl DiskSink for Qcow2Sink {
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
