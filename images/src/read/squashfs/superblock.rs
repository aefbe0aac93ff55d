//! The superblock, checked.

use super::super::fields::{index, le16, le32, le64};
use super::super::medium::{Medium, bytes};
use super::compression::Method;
use super::{Result, VolumeError};

/// A table that is not there.
const NONE: u64 = u64::MAX;

/// What reading needs of it.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) method: Method,
    pub(super) block_size: usize,
    pub(super) root: u64,
    pub(super) fragments: u32,
    pub(super) ids: u16,
    pub(super) id_table: u64,
    pub(super) xattr_table: Option<u64>,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: Option<u64>,
}

impl Superblock {
    pub(super) fn read(medium: &dyn Medium) -> Result<Self> {
        let front = bytes(medium, 0, 96)?;
        let damaged = |reason| VolumeError::damaged("the superblock", reason);
        if front.get(..4) != Some(b"hsqs") {
            return Err(damaged("its magic number is wrong"));
        }
        if (le16(&front, 28), le16(&front, 30)) != (4, 0) {
            let what = format!("squashfs {}.{}", le16(&front, 28), le16(&front, 30));
            return Err(VolumeError::Unsupported { what });
        }
        let size = index(le32(&front, 12));
        let range = 4096..=1 << 20;
        if !range.contains(&size)
            || u32::from(le16(&front, 22)) != size.ilog2()
            || !size.is_power_of_two()
        {
            return Err(damaged("the size of blocks is out of range"));
        }
        if le64(&front, 40) > medium.size() {
            return Err(damaged("the file system is larger than its disk"));
        }
        let optional = |at: usize| Some(le64(&front, at)).filter(|place| *place != NONE);
        Ok(Self {
            method: Method::new(le16(&front, 20))?,
            block_size: size,
            root: le64(&front, 32),
            fragments: le32(&front, 16),
            ids: le16(&front, 26),
            id_table: le64(&front, 48),
            xattr_table: optional(56),
            inode_table: le64(&front, 64),
            directory_table: le64(&front, 72),
            fragment_table: optional(80),
        })
    }
}
