//! Logical volumes of LVM2 that lie on the partitions of one disk, as media of their own.
//!
//! ```text
//! label    a physical volume's first sectors: its identifier, where its metadata are
//! area     the newest text in a ring of them, by its checksum
//! text     LVM's syntax: sections, keys, lists
//! group    what a text says: physical volumes, and the extents of logical ones
//! joined   runs of several partitions as one medium
//! ```
//!
//! Linear volumes are read; others, and those of which a part is on another disk, are named with
//! the reason. Nothing looks for physical volumes within logical ones.

mod area;
mod group;
mod joined;
mod label;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::fields::index;
use super::format::{Format, Magic};
use super::medium::Medium;
use super::partition::{Partition, Slot};
use super::system::{SystemError, volume_error};
use super::volume::VolumeError;
use crate::digest::Digest;
use group::{Group, Logical};
use joined::Joined;
use label::Label;

/// Bytes of LVM's own sectors, whatever the disk's are.
const SECTOR: u64 = 512;
/// The most logical volumes of a disk.
const VOLUMES: usize = 1024;
/// The most physical volumes of a disk.
const PHYSICAL: usize = 256;
/// The most bytes of texts that are read of a disk; one of a hundred volumes has some 50 KiB.
const TEXTS: u64 = 64 << 20;

/// A logical volume that a user sees.
#[derive(Debug)]
pub struct LogicalVolume {
    /// Its name.
    pub slot: Slot,
    /// The name that device-mapper knows it by: `LVM-` and the identifiers of group and volume.
    pub uuid: String,
    /// Its bytes, or why they cannot be read.
    pub content: Result<Arc<Joined>, VolumeError>,
}

/// Finds the logical volumes of all groups on `partitions`, sorted by group and name. Physical
/// volumes that belong to no group have none.
///
/// # Errors
///
/// When a label or all metadata of a physical volume are damaged, or what they say cannot be:
/// extents outside of their partition, or those that two volumes have.
pub fn volumes(partitions: &[Partition]) -> Result<Vec<LogicalVolume>, SystemError> {
    let physical = labels(partitions)?;
    let mut found = Vec::new();
    let mut runs: BTreeMap<usize, Vec<Range<u64>>> = BTreeMap::new();
    for (slot, group) in groups(&physical)? {
        let failed = |source| volume_error(slot, b"", source);
        let damaged = |reason| failed(VolumeError::damaged(group.title(), reason));
        for logical in &group.logical {
            let content = join(&group, logical, &physical).map_err(failed)?;
            if found.len() >= VOLUMES {
                return Err(damaged("there are more logical volumes than are read here"));
            }
            for piece in content.iter().flat_map(|joined| &joined.pieces) {
                runs.entry(piece.partition).or_default().push(piece.range());
            }
            let slot = Slot::Volume {
                group: Arc::from(group.name.as_str()),
                volume: Arc::from(logical.name.as_str()),
            };
            let uuid = format!("LVM-{}{}", group.id, logical.id);
            found.push(LogicalVolume { slot, uuid, content: content.map(Arc::new) });
        }
        // Files of volumes that share extents would hold more than the disk.
        for runs in runs.values_mut() {
            runs.sort_by_key(|run| run.start);
            if runs.windows(2).any(|pair| matches!(pair, [a, b] if a.end > b.start)) {
                return Err(damaged("two runs share extents"));
            }
        }
    }
    Ok(found)
}

/// A partition with a label.
struct Physical<'a> {
    /// Index among the partitions.
    partition: usize,
    slot: &'a Slot,
    part: Arc<dyn Medium>,
    label: Label,
}

/// The physical volumes by identifier. No two of them share bytes of the disk: what a volume holds
/// is bounded by that.
fn labels(partitions: &[Partition]) -> Result<BTreeMap<String, Physical<'_>>, SystemError> {
    let mut physical = BTreeMap::new();
    let mut taken: Vec<Range<u64>> = Vec::new();
    for (partition, Partition { slot, part, .. }) in partitions.iter().enumerate() {
        let failed = |source| volume_error(slot, b"", source);
        let damaged = |reason| failed(VolumeError::damaged("the label", reason));
        let place = part.start()..part.start().saturating_add(part.size());
        let part: Arc<dyn Medium> = Arc::clone(part) as _;
        let magic = Magic::find(part.as_ref()).map_err(|error| failed(error.into()))?;
        if magic.is_none_or(|magic| magic.format != Format::Lvm) {
            continue;
        }
        let label = Label::find(part.as_ref()).map_err(failed)?;
        if taken.iter().any(|other| other.start < place.end && place.start < other.end) {
            return Err(damaged("it is that of a partition that overlaps another one"));
        }
        if taken.len() >= PHYSICAL {
            return Err(damaged("there are more physical volumes than are read here"));
        }
        taken.push(place);
        let id = label.id.clone();
        let found = Physical { partition, slot, part, label };
        if physical.insert(id, found).is_some() {
            return Err(damaged("another physical volume has the same identifier"));
        }
    }
    Ok(physical)
}

/// The newest text of a group.
struct Copy<'a> {
    slot: &'a Slot,
    group: Group,
    /// Whether another text is as new.
    disputed: bool,
}

/// The groups by name, each with a partition that it lies on.
fn groups<'a>(
    physical: &BTreeMap<String, Physical<'a>>,
) -> Result<Vec<(&'a Slot, Group)>, SystemError> {
    let mut groups: BTreeMap<String, Copy<'_>> = BTreeMap::new();
    let mut failures = BTreeMap::new();
    let (mut known, mut left) = (BTreeSet::new(), TEXTS);
    for (id, Physical { slot, part, label, .. }) in physical {
        for area in &label.areas {
            let text = match area::text(part.as_ref(), area) {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                Err(error) => {
                    failures.insert(id, (*slot, error));
                    continue;
                }
            };
            let failed = |source| volume_error(slot, b"", source);
            left = left.checked_sub(text.len() as u64).ok_or_else(|| {
                let reason = "all of them are longer than is read here";
                failed(VolumeError::damaged("the metadata of the physical volumes", reason))
            })?;
            // Every physical volume has the same text.
            if !known.insert(Digest::of(&text)) {
                continue;
            }
            let group = Group::parse(&text).map_err(failed)?;
            match groups.get_mut(&group.id) {
                Some(copy) if copy.group.seqno > group.seqno => {}
                Some(copy) if copy.group.seqno == group.seqno => copy.disputed = true,
                _ => {
                    groups.insert(group.id.clone(), Copy { slot, group, disputed: false });
                }
            }
        }
    }
    if let Some(Copy { slot, group, .. }) = groups.values().find(|copy| copy.disputed) {
        let reason = "its copies are of one age and not the same";
        return Err(volume_error(slot, b"", VolumeError::damaged(group.title(), reason)));
    }
    let mut groups: Vec<_> = groups.into_values().map(|copy| (copy.slot, copy.group)).collect();
    groups.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    // A damaged copy does no harm where another one speaks for the volume.
    for (id, (slot, error)) in failures {
        if !groups.iter().any(|(_, group)| group.physical.values().any(|known| known.id == *id)) {
            return Err(volume_error(slot, b"", error));
        }
    }
    let same = groups.windows(2).find(|pair| pair[0].1.name == pair[1].1.name);
    if let Some([(slot, group), _]) = same {
        let source = VolumeError::damaged(group.title(), "there are two of this name");
        return Err(volume_error(slot, b"", source));
    }
    Ok(groups)
}

/// The bytes of a logical volume; the inner error says why there are none, the outer one that
/// what its extents say cannot be.
fn join(
    group: &Group,
    logical: &Logical,
    physical: &BTreeMap<String, Physical<'_>>,
) -> Result<Result<Joined, VolumeError>, VolumeError> {
    let segments = match &logical.segments {
        Ok(segments) => segments,
        Err(what) => return Ok(Err(VolumeError::Unsupported { what: what.clone() })),
    };
    let mut joined = Joined::default();
    for segment in segments {
        let damaged = |reason| VolumeError::damaged(group.title(), reason);
        let of = group.physical.get(&segment.physical);
        let of = of.ok_or_else(|| damaged("a segment lies on no physical volume"))?;
        let end = segment.first.checked_add(segment.count);
        if end.is_none_or(|end| end > of.extents) {
            return Err(damaged("a segment has extents that do not exist"));
        }
        let Some(on) = physical.get(&of.id) else {
            let what = format!("what lies on {}, which this disk does not have,", segment.physical);
            return Ok(Err(VolumeError::Unsupported { what }));
        };
        let place = || {
            let start = group.extent.checked_mul(segment.first)?.checked_add(of.start)?;
            let len = group.extent.checked_mul(segment.count)?;
            (start.checked_add(len)? <= on.part.size()).then_some((start, len))
        };
        let (start, len) =
            place().ok_or_else(|| damaged("a segment lies outside of its physical volume"))?;
        joined
            .push(on.partition, &on.part, start, len)
            .ok_or_else(|| damaged("a logical volume is longer than any disk"))?;
    }
    Ok(Ok(joined))
}

/// The checksum of a stored structure, as LVM computes it.
fn checksum(bytes: &[u8]) -> u32 {
    crate::disk::lvm_checksum(bytes)
}

/// A structure that is to have a length; the caller has bounded it.
fn slice(bytes: &[u8], at: u64, len: usize) -> &[u8] {
    let at = index(at);
    at.checked_add(len).and_then(|end| bytes.get(at..end)).unwrap_or_default()
}
