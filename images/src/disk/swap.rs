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

/// Writes an empty swap area into the extent.
pub(super) fn write(
    filesystem: &Filesystem,
    extent: Extent,
    sink: &mut dyn DiskSink,
) -> Result<(), SwapError> {
    let bad = || SwapError::Size { len: extent.len };
    let pages = extent.len / PAGE;
    if pages < MIN_PAGES {
        return Err(bad());
    }
    let last = u32::try_from(pages - 1).map_err(|_ignored| bad())?;
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
