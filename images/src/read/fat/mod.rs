//! FAT12, FAT16 and FAT32.
//!
//! A node's number is the offset of its directory entry; the root directory, which has none,
//! is 0. The file system knows neither owners nor modes: everything is root's.

mod directory;

use std::sync::Arc;

use super::fields::{index, le16, le32};
use super::format::is_fat;
use super::medium::{Medium, bytes};
use super::volume::{Content, From, Name, Node, NodeKind, Piece, Volume, VolumeError, Xattrs};
use directory::Record;

type Result<T> = std::result::Result<T, VolumeError>;

/// How wide the entries of the table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Bits12,
    Bits16,
    Bits32,
}

/// Where the root directory lies.
#[derive(Debug, Clone, Copy)]
enum Root {
    /// At that offset, so many bytes.
    Fixed(u64, u64),
    /// In a chain from that cluster on.
    Cluster(u32),
}

/// A FAT file system.
#[derive(Debug)]
pub(super) struct Fat {
    medium: Arc<dyn Medium>,
    width: Width,
    table: u64,
    data: u64,
    cluster_size: u64,
    clusters: u32,
    root: Root,
}

impl Fat {
    pub(super) fn open(medium: Arc<dyn Medium>) -> Result<Self> {
        let damaged = |reason| VolumeError::damaged("the boot sector", reason);
        let boot = bytes(medium.as_ref(), 0, 512)?;
        if !is_fat(&boot) {
            return Err(damaged("its fields make no sense"));
        }
        let sector = u64::from(le16(&boot, 11));
        let either =
            |short: u16, long: u32| if short == 0 { u64::from(long) } else { short.into() };
        let per_cluster = u64::from(boot.get(13).copied().unwrap_or(1));
        let copies = u64::from(boot.get(16).copied().unwrap_or(1));
        let reserved = u64::from(le16(&boot, 14));
        let table_size = either(le16(&boot, 22), le32(&boot, 36));
        let total = either(le16(&boot, 19), le32(&boot, 32));
        let root_size = (u64::from(le16(&boot, 17)) * 32).div_ceil(sector);
        let root_at = reserved + copies * table_size;
        let data = root_at + root_size;
        let clusters = total.checked_sub(data).ok_or_else(|| damaged("it is too small"))?;
        let clusters = clusters / per_cluster;
        let width = match clusters {
            0..=4084 => Width::Bits12,
            4085..=65524 => Width::Bits16,
            _ => Width::Bits32,
        };
        let clusters = u32::try_from(clusters).ok().filter(|count| *count < 0x0fff_fff5);
        let clusters = clusters.ok_or_else(|| damaged("it has too many clusters"))?;
        if total * sector > medium.size() {
            return Err(damaged("the file system is larger than its disk"));
        }
        let root = if width == Width::Bits32 {
            Root::Cluster(le32(&boot, 44))
        } else {
            Root::Fixed(root_at * sector, u64::from(le16(&boot, 17)) * 32)
        };
        let needed = (u64::from(clusters) + 2) * width.bits() / 8;
        if needed > table_size * sector {
            return Err(damaged("its table is too short"));
        }
        Ok(Self {
            medium,
            width,
            table: reserved * sector,
            data: data * sector,
            cluster_size: per_cluster * sector,
            clusters,
            root,
        })
    }

    /// The cluster that follows another one; nothing at the end of a chain.
    fn next(&self, cluster: u32) -> Result<Option<u32>> {
        let at = self.table + u64::from(cluster) * self.width.bits() / 8;
        let mut entry = [0; 4];
        let len = if self.width == Width::Bits32 { 4 } else { 2 };
        self.medium.read_at(at, entry.get_mut(..len).unwrap_or_default())?;
        let word = le32(&entry, 0);
        let (next, end) = match self.width {
            Width::Bits12 if cluster % 2 == 1 => (word >> 4, 0xff8),
            Width::Bits12 => (word & 0xfff, 0xff8),
            Width::Bits16 => (word, 0xfff8),
            Width::Bits32 => (word & 0x0fff_ffff, 0x0fff_fff8),
        };
        Ok((next < end).then_some(next))
    }

    /// A chain of clusters as pieces; at most `limit` bytes, all of them when it is nothing.
    fn chain(&self, first: u32, limit: Option<u64>) -> Result<Vec<Piece>> {
        let damaged =
            |reason| VolumeError::damaged(format!("the chain of cluster {first}"), reason);
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut cluster, mut at, mut count) = (Some(first), 0u64, 0);
        while limit.is_none_or(|limit| at < limit) {
            let Some(current) = cluster else { break };
            if !(2..self.clusters.saturating_add(2)).contains(&current) {
                return Err(damaged("it leads out of the file system"));
            }
            count += 1;
            if count > self.clusters {
                return Err(damaged("it does not end"));
            }
            let offset = self.data + u64::from(current - 2) * self.cluster_size;
            let len = limit.map_or(self.cluster_size, |limit| self.cluster_size.min(limit - at));
            match pieces.last_mut() {
                Some(last) if last.from == From::Disk(offset.wrapping_sub(last.len)) => {
                    last.len += len;
                }
                _ => pieces.push(Piece { at, len, from: From::Disk(offset) }),
            }
            at += len;
            cluster = self.next(current)?;
        }
        match limit {
            Some(limit) if at < limit => Err(damaged("it is too short")),
            _ => Ok(pieces),
        }
    }

    fn record(&self, id: u64) -> Result<Record> {
        Ok(Record::parse(&bytes(self.medium.as_ref(), id, 32)?))
    }

    fn pieces(&self, id: u64) -> Result<Vec<Piece>> {
        if id == 0 {
            return match self.root {
                Root::Fixed(offset, len) => {
                    Ok(vec![Piece { at: 0, len, from: From::Disk(offset) }])
                }
                Root::Cluster(first) => self.chain(first, None),
            };
        }
        let record = self.record(id)?;
        match (record.is_directory(), record.size) {
            (true, _) => self.chain(record.cluster(self.width), None),
            (false, 0) => Ok(Vec::new()),
            (false, size) => self.chain(record.cluster(self.width), Some(size.into())),
        }
    }
}

impl Width {
    fn bits(self) -> u64 {
        match self {
            Self::Bits12 => 12,
            Self::Bits16 => 16,
            Self::Bits32 => 32,
        }
    }
}

impl Volume for Fat {
    fn root(&self) -> u64 {
        0
    }

    fn node(&self, id: u64) -> Result<Node> {
        let record = if id == 0 { None } else { Some(self.record(id)?) };
        let file = record.filter(|record| !record.is_directory());
        let (kind, size) = match file {
            Some(record) => (NodeKind::File, record.size.into()),
            None => (NodeKind::Dir, self.pieces(id)?.iter().map(|piece| piece.len).sum()),
        };
        let mtime = (record.map_or(0, |record| record.mtime()), 0);
        Ok(Node { kind, mode: 0o755, uid: 0, gid: 0, size, links: 1, mtime })
    }

    fn list(&self, id: u64) -> Result<Vec<Name>> {
        if self.node(id)?.kind != NodeKind::Dir {
            return Err(VolumeError::damaged("a file", "it is no directory"));
        }
        let mut records = Vec::new();
        for piece in self.pieces(id)? {
            let From::Disk(offset) = piece.from else { continue };
            let block = bytes(self.medium.as_ref(), offset, index(piece.len))?;
            let numbered = (0u64..).zip(block.chunks_exact(32));
            records.extend(numbered.map(|(n, record)| (offset + n * 32, record.to_vec())));
        }
        directory::names(&records)
    }

    fn content(&self, id: u64) -> Result<Content> {
        let node = self.node(id)?;
        if node.kind != NodeKind::File {
            return Err(VolumeError::damaged("a directory", "it is no file"));
        }
        let pieces = self.pieces(id)?;
        let taken = node.size.div_ceil(self.cluster_size) * self.cluster_size;
        Ok(Content { medium: Arc::clone(&self.medium), size: node.size, pieces, taken })
    }

    fn link(&self, _id: u64) -> Result<Vec<u8>> {
        Err(VolumeError::damaged("a file", "FAT knows no links"))
    }

    fn xattrs(&self, _id: u64) -> Result<Xattrs> {
        Ok(Vec::new())
    }
}
