//! One disk, several files.

use std::io;

use super::DiskSink;

/// Passes everything on to each of several sinks, so that a tree is read once.
#[derive(Default)]
pub struct Tee(Vec<Box<dyn DiskSink>>);

impl std::fmt::Debug for Tee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tee").field(&self.0.len()).finish()
    }
}

impl Tee {
    /// Adds a sink.
    pub fn push(&mut self, sink: Box<dyn DiskSink>) {
        self.0.push(sink);
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl DiskSink for Tee {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.data(offset, bytes))
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.zeros(offset, len))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|sink| sink.finish())
    }
}
