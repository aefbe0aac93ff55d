//! The label of a physical volume and the header behind it.

use std::ops::Range;

use super::super::fields::{agrees, index, le32, le64};
use super::super::medium::{Medium, bytes};
use super::super::volume::VolumeError;
use super::{SECTOR, checksum, slice};

/// The label is in one of so many sectors at the begin.
const SECTORS: u64 = 4;
/// What the label's checksum covers of its sector begins here.
const SUMMED: usize = 20;
/// Bytes of an identifier.
const ID: usize = 32;
/// The most areas of metadata: LVM makes two.
const AREAS: usize = 8;

/// What a label says.
#[derive(Debug)]
pub(super) struct Label {
    /// The physical volume's identifier, without hyphens.
    pub(super) id: String,
    /// The areas of metadata, within the device.
    pub(super) areas: Vec<Range<u64>>,
}

impl Label {
    /// Finds the label of a device that has one.
    pub(super) fn find(part: &dyn Medium) -> Result<Self, VolumeError> {
        let damaged = |reason| VolumeError::damaged("the label of the physical volume", reason);
        let front = bytes(part, 0, index(part.size().min(SECTORS * SECTOR)))?;
        let sector = |at: u64| slice(&front, at * SECTOR, index(SECTOR));
        let at = (0..SECTORS).find(|at| sector(*at).starts_with(b"LABELONE"));
        let (at, sector) = at.map(|at| (at, sector(at))).ok_or_else(|| damaged("there is none"))?;
        if le64(sector, 8) != at {
            return Err(damaged("it is that of another sector"));
        }
        if !agrees(checksum(slice(sector, 20, sector.len() - SUMMED)), le32(sector, 16)) {
            return Err(damaged("its checksum is wrong"));
        }
        if slice(sector, 24, 8) != b"LVM2 001" {
            return Err(damaged("it is of an unknown kind"));
        }
        let header = sector.get(index(le32(sector, 20))..).unwrap_or_default();
        let id = header.get(..ID).and_then(|id| std::str::from_utf8(id).ok());
        let id = id.filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()));
        let id = id.ok_or_else(|| damaged("it has no identifier"))?.to_owned();
        // Two lists of offsets and lengths, each ended by zeros: of data and of metadata.
        let mut rows = header.get(ID + 8..).unwrap_or_default().chunks_exact(16);
        let mut list = || rows.by_ref().take_while(|row| le64(row, 0) != 0).collect::<Vec<_>>();
        let (_, areas) = (list(), list());
        if areas.len() > AREAS {
            return Err(damaged("it has too many areas of metadata"));
        }
        let area = |row: &&[u8]| {
            let (start, len) = (le64(row, 0), le64(row, 8));
            let end = start.checked_add(len).filter(|end| *end <= part.size());
            end.map(|end| start..end).ok_or_else(|| damaged("its metadata lie outside"))
        };
        Ok(Self { id, areas: areas.iter().map(area).collect::<Result<_, _>>()? })
    }
}
