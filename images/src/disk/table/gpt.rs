//! GUID partition table: protective MBR, header and entries at both ends.

use std::io::{self, Read, Seek, SeekFrom, Write};

use gptman::{GPT, GPTPartitionEntry};
use uuid::Uuid;

use super::super::layout::{DiskLayout, Partition, PartitionKind};
use super::super::sink::{len_of, offset_of};
use super::{Fragment, TableError};

/// Bytes of the partition array.
const ARRAY: u64 = 16384;

pub(super) fn fragments(layout: &DiskLayout, disk: Uuid) -> Result<Vec<Fragment>, TableError> {
    let sector = u64::from(layout.sector_size);
    let mut ends = Ends::new(layout.size_bytes, 2 * sector + ARRAY, ARRAY + sector);
    let mut gpt = GPT::new_from(&mut ends, sector, disk.to_bytes_le()).map_err(TableError::Gpt)?;
    for partition in &layout.partitions {
        gpt[partition.number] = entry(partition);
    }
    GPT::write_protective_mbr_into(&mut ends, sector).map_err(TableError::Gpt)?;
    gpt.write_into(&mut ends).map_err(TableError::Gpt)?;
    Ok(vec![
        Fragment { offset: 0, bytes: ends.head },
        Fragment { offset: ends.tail_at, bytes: ends.tail },
    ])
}

fn entry(partition: &Partition) -> GPTPartitionEntry {
    let PartitionKind::Gpt { type_guid, guid, attributes } = partition.kind else {
        return GPTPartitionEntry::empty();
    };
    GPTPartitionEntry {
        partition_type_guid: type_guid.to_bytes_le(),
        unique_partition_guid: guid.to_bytes_le(),
        starting_lba: partition.start_lba,
        ending_lba: partition.end_lba() - 1,
        attribute_bits: attributes,
        partition_name: partition.name.as_str().into(),
    }
}

/// The two ends of a disk whose middle nobody touches.
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    tail_at: u64,
    size: u64,
    position: u64,
}

impl Ends {
    fn new(size: u64, head: u64, tail: u64) -> Self {
        Self {
            head: vec![0; len_of(head)],
            tail: vec![0; len_of(tail)],
            tail_at: size.saturating_sub(tail),
            size,
            position: 0,
        }
    }

    /// The rest of the end that the position is in; empty in the middle.
    fn here(&mut self) -> &mut [u8] {
        let (end, from) = if self.position >= self.tail_at {
            (&mut self.tail, self.position - self.tail_at)
        } else {
            (&mut self.head, self.position)
        };
        end.get_mut(len_of(from)..).unwrap_or_default()
    }
}

impl Read for Ends {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let here = self.here();
        let n = here.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..n), here.get(..n)) {
            to.copy_from_slice(from);
        }
        self.position += offset_of(n);
        Ok(n)
    }
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let here = self.here();
        let n = here.len().min(bytes.len());
        if let (Some(to), Some(from)) = (here.get_mut(..n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.position += offset_of(n);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
