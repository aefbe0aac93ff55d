//! A logical volume as a disk of its own.

use std::io;

use super::super::layout::Extent;
use super::super::sink::{DiskSink, SinkError, len_of, offset_of};

/// Takes the bytes of a logical volume to where they lie on the disk.
pub(in crate::disk) struct Runs<'a> {
    sink: &'a mut dyn DiskSink,
    extents: &'a [Extent],
}

impl<'a> Runs<'a> {
    /// The volume consists of `extents` of the disk behind `sink`, in this order.
    pub(in crate::disk) fn new(sink: &'a mut dyn DiskSink, extents: &'a [Extent]) -> Self {
        Self { sink, extents }
    }

    /// Bytes of the volume.
    pub(in crate::disk) fn len(&self) -> u64 {
        self.extents.iter().map(|extent| extent.len).sum()
    }

    /// The runs of the disk that a run of the volume lies in.
    fn runs(&self, offset: u64, len: u64) -> Result<Vec<Extent>, SinkError> {
        let (mut skip, mut left) = (offset, len);
        let mut runs = Vec::new();
        for extent in self.extents {
            if skip >= extent.len {
                skip -= extent.len;
                continue;
            }
            let here = left.min(extent.len - skip);
            runs.push(Extent { offset: extent.offset + skip, len: here });
            (skip, left) = (0, left - here);
            if left == 0 {
                return Ok(runs);
            }
        }
        if left == 0 { Ok(runs) } else { Err(SinkError::Outside { offset, len, size: self.len() }) }
    }
}

impl DiskSink for Runs<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        for run in self.runs(offset, offset_of(bytes.len()))? {
            let (here, after) = rest.split_at(len_of(run.len).min(rest.len()));
            self.sink.data(run.offset, here)?;
            rest = after;
        }
        Ok(())
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        for run in self.runs(offset, len)? {
            self.sink.zeros(run.offset, run.len)?;
        }
        Ok(())
    }

    /// The disk is not complete when a volume is.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
