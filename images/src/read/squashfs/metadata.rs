//! Metadata: blocks of 8 KiB, each compressed, that are read as one stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::fields::{index, le16, le64};
use super::super::medium::{Medium, bytes};
use super::compression::Method;
use super::{Result, VolumeError};

/// How long an unpacked block is; the last one of a table may be shorter.
const BLOCK: usize = 8192;
/// A block that is stored as it is.
const PLAIN: u16 = 0x8000;
/// How many unpacked blocks are kept.
const KEPT: usize = 1024;

/// An unpacked block, and where the next one begins.
type Unpacked = (Arc<[u8]>, u64);

/// Reads metadata; unpacked blocks are kept for a while.
#[derive(Debug)]
pub(super) struct Metadata {
    medium: Arc<dyn Medium>,
    method: Method,
    kept: Mutex<HashMap<u64, Unpacked>>,
}

/// A place in the stream.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    metadata: &'a Metadata,
    block: u64,
    offset: usize,
}

impl Metadata {
    pub(super) fn new(medium: Arc<dyn Medium>, method: Method) -> Self {
        Self { medium, method, kept: Mutex::default() }
    }

    /// The place that a reference means: 48 bits of the block's place in its table, and the
    /// offset in the unpacked block.
    pub(super) fn at(&self, table: u64, reference: u64) -> Cursor<'_> {
        let block = table.saturating_add(reference >> 16);
        Cursor { metadata: self, block, offset: index(reference & 0xffff) }
    }

    /// An entry of a table whose blocks are listed at `list`.
    pub(super) fn entry(&self, list: u64, number: u64, size: usize) -> Result<Vec<u8>> {
        let each = (BLOCK / size) as u64;
        let place = list.saturating_add(number / each * 8);
        let block = le64(&bytes(self.medium.as_ref(), place, 8)?, 0);
        let offset = index(number % each) * size;
        Cursor { metadata: self, block, offset }.take(size)
    }

    fn block(&self, at: u64) -> Result<Unpacked> {
        let damaged = |reason| VolumeError::damaged(format!("the block at {at}"), reason);
        if let Ok(kept) = self.kept.lock()
            && let Some(found) = kept.get(&at)
        {
            return Ok(found.clone());
        }
        let header = le16(&bytes(self.medium.as_ref(), at, 2)?, 0);
        let len = index(header & !PLAIN);
        if len == 0 || len > BLOCK {
            return Err(damaged("its length is out of range"));
        }
        let stored = bytes(self.medium.as_ref(), at.saturating_add(2), len)?;
        let block =
            if header & PLAIN != 0 { stored } else { self.method.unpack(&stored, BLOCK)? };
        let unpacked = (Arc::from(block), at.saturating_add(2 + len as u64));
        if let Ok(mut kept) = self.kept.lock() {
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(at, unpacked.clone());
        }
        Ok(unpacked)
    }
}

impl Cursor<'_> {
    /// The next `len` bytes. The caller has bounded `len`.
    pub(super) fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        while found.len() < len {
            let (block, next) = self.metadata.block(self.block)?;
            let rest = block.get(self.offset..).unwrap_or_default();
            if rest.is_empty() && (self.offset > block.len() || block.len() < BLOCK) {
                return Err(VolumeError::damaged("the metadata", "it ends too early"));
            }
            let count = rest.len().min(len - found.len());
            found.extend(rest.iter().take(count));
            self.offset += count;
            if self.offset >= BLOCK {
                (self.block, self.offset) = (next, 0);
            }
        }
        Ok(found)
    }
}
