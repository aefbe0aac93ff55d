//! The qcow2 file itself: clusters as they come, tables and header last.
//!
//! ```text
//! cluster 0          header
//! cluster 1..        L1 table
//! then               data, compressed clusters packed byte by byte
//! then               L2 tables, refcount table, refcount blocks
//! ```

use std::collections::BTreeMap;
use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;

use super::super::clusters::{CLUSTER_BITS, CLUSTER_LEN, ClusterFile, Compression, Packed};
use super::super::{len_of, offset_of};

/// Entries of an L2 table, eight bytes each.
const L2_ENTRIES: u64 = CLUSTER_LEN / 8;
/// Reference counts of two bytes in a refcount block.
const REFCOUNTS_PER_BLOCK: u64 = CLUSTER_LEN / 2;
/// The cluster has one reference, so it may be written in place.
const COPIED: u64 = 1 << 63;
/// The cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// Where the number of sectors begins in a compressed cluster's entry.
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);
/// Incompatible feature: the header names a codec other than deflate.
const FEATURE_CODEC: u64 = 1 << 3;

/// A qcow2 being written.
pub(super) struct HostFile {
    file: File,
    /// Length of the disk.
    size: u64,
    compression: Compression,
    /// Number of L2 tables.
    tables: u64,
    l2: BTreeMap<u64, Vec<u64>>,
    refcounts: Vec<u16>,
    /// Where the next compressed cluster may begin, and the end of the host clusters it may use.
    packed: (u64, u64),
    /// First free host cluster.
    end: u64,
}

impl HostFile {
    pub(super) fn new(file: File, size: u64, compression: Compression) -> io::Result<Self> {
        file.set_len(0)?;
        let tables = size.div_ceil(CLUSTER_LEN).div_ceil(L2_ENTRIES);
        let l1_clusters = (tables * 8).div_ceil(CLUSTER_LEN).max(1);
        let end = (1 + l1_clusters) * CLUSTER_LEN;
        let mut host = Self {
            file,
            size,
            compression,
            tables,
            l2: BTreeMap::new(),
            refcounts: Vec::new(),
            packed: (end, end),
            end,
        };
        host.refer(0, end);
        Ok(host)
    }

    fn append_plain(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.allocate(offset_of(bytes.len()));
        self.file.write_all_at(bytes, at)?;
        Ok(at)
    }

    fn append_compressed(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let len = offset_of(bytes.len());
        let (mut at, mut limit) = self.packed;
        if at + len > limit {
            // Only the last host cluster can be continued into the next.
            if limit != self.end {
                at = self.end;
            }
            limit = (at + len).next_multiple_of(CLUSTER_LEN);
            self.end = limit;
        }
        self.packed = (at + len, limit);
        self.file.write_all_at(bytes, at)?;
        let more_sectors = ((at % 512) + len - 1) / 512;
        let first = at - at % 512;
        self.refer(first, (more_sectors + 1) * 512);
        Ok((more_sectors << SECTORS_SHIFT) | at)
    }

    /// Takes whole clusters at the end.
    fn allocate(&mut self, len: u64) -> u64 {
        let at = self.end;
        self.end += len.next_multiple_of(CLUSTER_LEN);
        self.refer(at, len);
        at
    }

    /// Adds a reference to each host cluster of a range.
    fn refer(&mut self, at: u64, len: u64) {
        let first = len_of(at >> CLUSTER_BITS);
        let last = len_of((at + len - 1) >> CLUSTER_BITS);
        if self.refcounts.len() <= last {
            self.refcounts.resize(last + 1, 0);
        }
        for count in self.refcounts.iter_mut().take(last + 1).skip(first) {
            *count += 1;
        }
    }

    /// Appends the reference counts, those of their own clusters included.
    fn write_refcounts(&mut self) -> io::Result<(u64, u64)> {
        let used = self.end >> CLUSTER_BITS;
        let (mut blocks, mut tables) = (1, 1);
        loop {
            let needed = (used + blocks + tables).div_ceil(REFCOUNTS_PER_BLOCK);
            let needed_tables = (needed * 8).div_ceil(CLUSTER_LEN);
            if (needed, needed_tables) == (blocks, tables) {
                break;
            }
            (blocks, tables) = (needed, needed_tables);
        }
        let table_at = self.allocate(tables * CLUSTER_LEN);
        let blocks_at = self.allocate(blocks * CLUSTER_LEN);
        let table: Vec<u64> = (0..blocks).map(|i| blocks_at + i * CLUSTER_LEN).collect();
        self.file.write_all_at(&big_endian(&table), table_at)?;
        let counts: Vec<u8> = self.refcounts.iter().flat_map(|c| c.to_be_bytes()).collect();
        self.file.write_all_at(&counts, blocks_at)?;
        Ok((table_at, tables))
    }

    fn header(&self, refcounts_at: u64, refcount_clusters: u64) -> Vec<u8> {
        let zstd = matches!(self.compression, Compression::Zstd { .. });
        let length: u32 = if zstd { 112 } else { 104 };
        let mut h = Vec::with_capacity(128);
        let low = |v: u64| u32::try_from(v).unwrap_or(u32::MAX).to_be_bytes();
        h.extend(b"QFI\xfb");
        h.extend(3_u32.to_be_bytes());
        h.extend([0; 12]); // backing file: none
        h.extend(CLUSTER_BITS.to_be_bytes());
        h.extend(self.size.to_be_bytes());
        h.extend(0_u32.to_be_bytes()); // encryption: none
        h.extend(low(self.tables));
        h.extend(CLUSTER_LEN.to_be_bytes()); // L1 table
        h.extend(refcounts_at.to_be_bytes());
        h.extend(low(refcount_clusters));
        h.extend([0; 12]); // snapshots: none
        h.extend(if zstd { FEATURE_CODEC } else { 0 }.to_be_bytes());
        h.extend([0; 16]); // compatible and auto-clear features
        h.extend(4_u32.to_be_bytes()); // refcounts of 2^4 bits
        h.extend(length.to_be_bytes());
        if zstd {
            h.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        }
        h.extend([0; 8]); // end of header extensions
        h
    }
}

impl ClusterFile for HostFile {
    /// Appends guest cluster `index`.
    fn append(&mut self, index: u64, cluster: &Packed) -> io::Result<()> {
        let entry = match cluster {
            Packed::Zero => return Ok(()),
            Packed::Plain(bytes) => COPIED | self.append_plain(bytes)?,
            Packed::Compressed(bytes) => COMPRESSED | self.append_compressed(bytes)?,
        };
        let table =
            self.l2.entry(index / L2_ENTRIES).or_insert_with(|| vec![0; len_of(L2_ENTRIES)]);
        if let Some(slot) = table.get_mut(len_of(index % L2_ENTRIES)) {
            *slot = entry;
        }
        Ok(())
    }

    /// Writes the tables, then the header, without which the file is no qcow2.
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        let mut l1 = vec![0_u64; len_of(self.tables)];
        for (index, table) in std::mem::take(&mut self.l2) {
            let at = self.append_plain(&big_endian(&table))?;
            if let Some(slot) = l1.get_mut(len_of(index)) {
                *slot = COPIED | at;
            }
        }
        let (table_at, table_clusters) = self.write_refcounts()?;
        self.file.set_len(self.end)?;
        self.file.write_all_at(&big_endian(&l1), CLUSTER_LEN)?;
        let header = self.header(table_at, table_clusters);
        self.file.write_all_at(&header, 0)
    }
}

fn big_endian(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}
