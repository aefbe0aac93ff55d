//! Writes a swap area, as `mkswap` does (version 1).

use std::io;

use super::layout::{Extent, Filesystem};
use super::sink::DiskSink;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// The first page holds the header; the kernel takes no area below this.
const MIN_PAGES: u64 = 10;
/// Where the header begins, behind room for a boot sector.
const HEADER: usize = 1024;
/// At the end of the first page.
const SIGNATURE: &[u8; 10] = b"SWAPSPACE2";

/// Why a swap area cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// Too small, or more pages than the header can count.
    #[error("a swap area cannot have {len} bytes")]
    Size {
        /// Length of the partition.
        len: u64,
    },
    /// The disk image could not be written.
    #[error("cannot write the disk image")]
    Sink(#[from] io::Error),
}

/// The number of the last page of an area of `len` bytes.
///
/// # Errors
///
/// When it is too small, or the header cannot count its pages.
pub(super) fn last_page(len: u64) -> Result<u32, SwapError> {
    let pages = len / PAGE;
    let last = u32::try_from(pages.saturating_sub(1)).ok();
    last.filter(|_| pages >= MIN_PAGES).ok_or(SwapError::Size { len })
}

/// Writes an empty swap area into the extent.
pub(super) fn write(
    filesystem: &Filesystem,
    extent: Extent,
    sink: &mut dyn DiskSink,
) -> Result<(), SwapError> {
    let last = last_page(extent.len)?;
    let mut page = vec![0; HEADER];
    page.extend(1_u32.to_le_bytes());
    page.extend(last.to_le_bytes());
    page.extend(0_u32.to_le_bytes()); // bad pages
    page.extend(filesystem.uuid.as_bytes());
    let mut label = filesystem.label.as_bytes().to_vec();
    label.resize(16, 0);
    page.extend(label);
    page.resize(4096 - SIGNATURE.len(), 0);
    page.extend(SIGNATURE);
    sink.data(extent.offset, &page)?;
    sink.zeros(extent.offset + PAGE, extent.len - PAGE)?;
    Ok(())
}
