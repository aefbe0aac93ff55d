//! A qcow2 (version 3) written in one pass.

mod host;

use std::io;

use fs_err::File;

use super::DiskSink;
use super::clusters::{ClusterSink, Codec, Compression};
use host::HostFile;

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
/// Held in memory: clusters not yet complete, a bounded queue for each thread, and eight
/// bytes for each stored cluster.
#[derive(Debug)]
pub struct Qcow2Sink(ClusterSink);

impl Qcow2Sink {
    /// A disk of `size` bytes as a qcow2 in `file`, whose former content is dropped.
    ///
    /// # Errors
    ///
    /// The file cannot be cut, or the codec's level does not exist.
    pub fn new(file: File, size: u64, options: &Qcow2Options) -> io::Result<Self> {
        let host = HostFile::new(file, size, options.compression)?;
        let codecs: io::Result<_> =
            (0..options.threads.max(1)).map(|_| Codec::new(options.compression)).collect();
        Ok(Self(ClusterSink::new(size, Box::new(host), codecs?)?))
    }
}

impl DiskSink for Qcow2Sink {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.data(offset, bytes)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.0.zeros(offset, len)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}
