//! Writes FAT12, FAT16 and FAT32 with long names.
//!
//! Everything is contiguous and in the order of the tree. Ownership, modes and
//! extended attributes have no place in a FAT and are dropped, as a mount does.

mod geometry;
mod names;
mod plan;
mod records;

use std::io::{self, Read};

use super::layout::{Extent, Filesystem, VfatOptions};
use super::sink::{DiskSink, len_of, offset_of};
use super::view::{View, display};
use super::write::{FilesystemUse, Place};
use crate::tree::{Entry, Tree};
use geometry::{Bits, FATS, Geometry};
use plan::{Plan, Planned};
use records::{Attribute, Label};

/// Bytes read from a file at a time.
const STEP: u64 = 1 << 20;

/// Why a FAT cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// No FAT has that size.
    #[error("no FAT fits {len} bytes")]
    Geometry {
        /// Length of the partition.
        len: u64,
    },
    /// The label has characters FAT does not know.
    #[error("{label} is no label for a FAT: at most 11 characters of ASCII without punctuation")]
    Label {
        /// The label.
        label: String,
    },
    /// The name has characters FAT does not know.
    #[error("{path} has a name that a FAT cannot hold")]
    Name {
        /// Its path in the file system.
        path: String,
    },
    /// Names that differ by case only.
    #[error("{path} and {other} are the same name to a FAT")]
    Clash {
        /// One of them.
        path: String,
        /// The other.
        other: String,
    },
    /// Neither file nor directory.
    #[error("{path} is neither a file nor a directory; a FAT holds nothing else")]
    Unsupported {
        /// Its path in the tree.
        path: String,
    },
    /// Beyond 4 GiB.
    #[error("{path} has {size} bytes; a file of a FAT has less than 4 GiB")]
    FileTooLarge {
        /// Its path in the tree.
        path: String,
        /// Its length.
        size: u64,
    },
    /// The root directory of FAT12 and FAT16 cannot grow.
    #[error("the root directory needs {entries} entries where there is room for {room}")]
    RootFull {
        /// Needed.
        entries: u64,
        /// Available.
        room: u64,
    },
    /// The files do not fit.
    #[error("{missing} bytes are missing: the partition's size must be raised")]
    Full {
        /// By how much at the least.
        missing: u64,
    },
    /// A file's content could not be read, or was not as long as the tree says.
    #[error("cannot read {path}")]
    Read {
        /// Its path in the tree.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk image could not be written.
    #[error("cannot write the disk image")]
    Sink(#[from] io::Error),
}

/// Refuses what no FAT of `len` bytes can be, whatever its files.
///
/// # Errors
///
/// When no geometry fits, or the label is none.
pub(super) fn check(
    len: u64,
    sector_size: u32,
    label: &str,
    options: &VfatOptions,
) -> Result<(), FatError> {
    form(Extent { offset: 0, len }, sector_size, label, options).map(drop)
}

fn form(
    extent: Extent,
    sector_size: u32,
    label: &str,
    options: &VfatOptions,
) -> Result<(Geometry, Option<Label>), FatError> {
    let bad = || FatError::Geometry { len: extent.len };
    let bits = options.fat_bits.map(|b| Bits::new(b).ok_or_else(bad)).transpose()?;
    let g = Geometry::new(extent, u64::from(sector_size), bits).ok_or_else(bad)?;
    let label = match label {
        "" => None,
        text => {
            Some(records::label(text).ok_or_else(|| FatError::Label { label: text.to_owned() })?)
        }
    };
    Ok((g, label))
}

/// Writes the view into the extent.
pub(super) fn write(
    view: &View<'_>,
    filesystem: &Filesystem,
    options: &VfatOptions,
    place: &Place,
    sink: &mut dyn DiskSink,
) -> Result<FilesystemUse, FatError> {
    let (g, label) = form(place.extent, place.sector_size, &filesystem.label, options)?;
    let plan = plan::plan(view, &g, label.is_some())?;
    let base = place.extent.offset;
    let hidden = base / g.sector;
    let free = g.clusters - plan.used_clusters;
    sink.data(base, &records::reserved(&g, options, label.as_ref(), hidden, free))?;
    let table = plan::table(&plan, &g);
    for copy in 0..FATS {
        let sector = g.reserved + copy * g.fat_sectors;
        sink.data(base + sector * g.sector, &table)?;
    }
    let mut writer = Writer { tree: view.tree, g: &g, base, sink };
    writer.contents(&plan, label.as_ref(), place.epoch)?;
    let end = g.root_offset() + g.root_sectors * g.sector + plan.used_clusters * g.cluster();
    sink.zeros(base + end, place.extent.len - end)?;
    Ok(FilesystemUse {
        used_bytes: end,
        size_bytes: place.extent.len,
        files: offset_of(plan.nodes.len()),
        file_limit: None,
    })
}

struct Writer<'w> {
    tree: &'w Tree,
    g: &'w Geometry,
    base: u64,
    sink: &'w mut dyn DiskSink,
}

impl Writer<'_> {
    fn contents(
        &mut self,
        plan: &Plan<'_>,
        label: Option<&Label>,
        epoch: i64,
    ) -> Result<(), FatError> {
        for (index, node) in plan.nodes.iter().enumerate() {
            let (at, room) = if node.cluster > 0 {
                let room = u64::from(node.clusters) * self.g.cluster();
                (self.base + self.g.cluster_offset(node.cluster), room)
            } else if index == 0 {
                (self.base + self.g.root_offset(), self.g.root_sectors * self.g.sector)
            } else {
                continue;
            };
            let written = match node.file {
                Some(size) => {
                    self.file(node.entry, u64::from(size), at)?;
                    u64::from(size)
                }
                None => {
                    let label = label.filter(|_| index == 0);
                    let bytes = directory(plan, index, node, label, epoch);
                    self.sink.data(at, &bytes)?;
                    offset_of(bytes.len())
                }
            };
            self.sink.zeros(at + written, room - written)?;
        }
        Ok(())
    }

    fn file(&mut self, entry: &Entry, size: u64, at: u64) -> Result<(), FatError> {
        let broken = |source| FatError::Read { path: display(&entry.path), source };
        let mut reader = self.tree.open(entry).map_err(broken)?;
        let mut buffer = vec![0; len_of(size.min(STEP))];
        let mut done = 0;
        while done < size {
            let step = len_of((size - done).min(STEP));
            let bytes = buffer.get_mut(..step).unwrap_or_default();
            reader.read_exact(bytes).map_err(broken)?;
            self.sink.data(at + done, bytes)?;
            done += offset_of(step);
        }
        Ok(())
    }
}

/// The entries of a directory.
fn directory(
    plan: &Plan<'_>,
    index: usize,
    node: &Planned<'_>,
    label: Option<&Label>,
    epoch: i64,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut push = |record: [u8; 32]| bytes.extend(record);
    if let Some(label) = label {
        push(records::entry(label, Attribute::VolumeLabel, epoch, 0, 0));
    }
    if index != 0 {
        // The root directory counts as cluster 0 wherever it lies.
        let parent = plan.nodes.get(node.parent).filter(|_| node.parent != 0);
        let parent = parent.map_or(0, |p| p.cluster);
        let dots = [(b".          ", node.cluster), (b"..         ", parent)];
        for (name, cluster) in dots {
            push(records::entry(name, Attribute::Directory, node.entry.mtime, cluster, 0));
        }
    }
    for child in node.children.iter().filter_map(|&c| plan.nodes.get(c)) {
        let (what, size) = match child.file {
            Some(size) => (Attribute::Archive, size),
            None => (Attribute::Directory, 0),
        };
        child.name.long_entries().into_iter().for_each(&mut push);
        push(records::entry(&child.name.short, what, child.entry.mtime, child.cluster, size));
    }
    bytes
}

#[cfg(test)]
mod tests;
