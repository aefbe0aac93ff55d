//! What the text of a volume group says.

use std::collections::{BTreeMap, BTreeSet};

use super::super::volume::VolumeError;
use super::SECTOR;
use super::text::{Section, Word, parse};

/// A volume group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) id: String,
    /// The number of its changes: of two texts the higher one counts.
    pub(super) seqno: u64,
    /// Bytes of an extent.
    pub(super) extent: u64,
    /// By the names that segments call them.
    pub(super) physical: BTreeMap<String, PhysicalVolume>,
    /// Those that a user sees.
    pub(super) logical: Vec<Logical>,
}

/// What a group says of one of its physical volumes.
#[derive(Debug)]
pub(super) struct PhysicalVolume {
    /// Its identifier, without hyphens.
    pub(super) id: String,
    /// Where extents begin, in bytes.
    pub(super) start: u64,
    pub(super) extents: u64,
}

/// A logical volume.
#[derive(Debug)]
pub(super) struct Logical {
    pub(super) name: String,
    /// Its identifier, without hyphens; empty when it has none.
    pub(super) id: String,
    /// Its runs of extents in order; what it is, where it is not made of such runs.
    pub(super) segments: Result<Vec<Segment>, String>,
}

/// A run of extents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// A name of the group's physical volumes.
    pub(super) physical: String,
    pub(super) first: u64,
    pub(super) count: u64,
}

impl Group {
    /// Reads the text of a group.
    pub(super) fn parse(text: &[u8]) -> Result<Self, VolumeError> {
        let all = parse(text)?;
        let damaged = |reason| VolumeError::damaged("the text of the volume group", reason);
        if all.text("contents") != Some("Text Format Volume Group")
            || all.number("version") != Some(1)
        {
            return Err(damaged("it is not one of LVM2"));
        }
        let mut named = all.sections.into_iter();
        let (Some((name, section)), None) = (named.next(), named.next()) else {
            return Err(damaged("it is not of one group"));
        };
        Self::read(name, &section).map_err(damaged)
    }

    fn read(name: String, section: &Section) -> Result<Self, &'static str> {
        let extent = section.number("extent_size").and_then(|sectors| sectors.checked_mul(SECTOR));
        let mut group = Self {
            name,
            id: identifier(section).ok_or("it has no identifier")?,
            seqno: section.number("seqno").ok_or("it has no number")?,
            extent: extent.filter(|bytes| *bytes > 0).ok_or("its extents have no size")?,
            physical: BTreeMap::new(),
            logical: Vec::new(),
        };
        let none = Section::default();
        let below = |name: &str| section.sections.get(name).unwrap_or(&none);
        for (name, section) in &below("physical_volumes").sections {
            let start = section.number("pe_start").and_then(|sectors| sectors.checked_mul(SECTOR));
            let physical = PhysicalVolume {
                id: identifier(section).ok_or("a physical volume has no identifier")?,
                start: start.ok_or("a physical volume has no begin")?,
                extents: section.number("pe_count").ok_or("a physical volume has no length")?,
            };
            group.physical.insert(name.clone(), physical);
        }
        let logical = &below("logical_volumes").sections;
        let all = || logical.values().flat_map(|volume| volume.sections.values());
        let named = |key: &'static str| all().filter_map(move |segment| segment.text(key));
        // Where changes of another volume are kept; and one that takes them back in.
        let changes: BTreeSet<_> = named("cow_store").chain(named("merging_store")).collect();
        let merging = all().filter(|segment| segment.text("merging_store").is_some());
        let merging: BTreeSet<_> = merging.filter_map(|segment| segment.text("origin")).collect();
        for (name, volume) in logical {
            if !volume.has("status", "VISIBLE") || is_bookkeeping(volume) {
                continue;
            }
            let segments = if changes.contains(name.as_str()) {
                Err("a snapshot".to_owned())
            } else if merging.contains(name.as_str()) {
                Err("a volume that a snapshot is merged into".to_owned())
            } else {
                segments(volume, logical)?
            };
            let id = identifier(volume).unwrap_or_default();
            group.logical.push(Logical { name: name.clone(), id, segments });
        }
        Ok(group)
    }

    /// What messages call it.
    pub(super) fn title(&self) -> String {
        format!("the volume group {}", self.name)
    }
}

/// An identifier without its hyphens.
fn identifier(section: &Section) -> Option<String> {
    let id: String = section.text("id")?.chars().filter(|letter| *letter != '-').collect();
    (id.len() == 32).then_some(id)
}

/// Whether a volume only says which other one is a snapshot of which.
fn is_bookkeeping(volume: &Section) -> bool {
    volume.sections.values().any(|segment| segment.text("type") == Some("snapshot"))
}

/// The segments of one of the volumes `all`; the inner error is what a volume is that is not read.
fn segments(
    volume: &Section,
    all: &BTreeMap<String, Section>,
) -> Result<Result<Vec<Segment>, String>, &'static str> {
    let count = volume.number("segment_count").filter(|count| *count > 0);
    let count = count.ok_or("a logical volume has no segments")?;
    let mut list = Vec::new();
    let mut at = 0_u64;
    for number in 1..=count {
        let segment = volume.sections.get(&format!("segment{number}"));
        let segment = segment.ok_or("a logical volume lacks a segment")?;
        let extents = segment.number("extent_count").filter(|extents| *extents > 0);
        let extents = extents.ok_or("a segment has no length")?;
        if segment.number("start_extent") != Some(at) {
            return Err("the segments of a logical volume do not follow each other");
        }
        at = at.checked_add(extents).ok_or("a logical volume has too many extents")?;
        let kind = segment.text("type").ok_or("a segment has no type")?;
        if kind != "striped" {
            let known = kind.bytes().all(|byte| byte.is_ascii_graphic());
            return Ok(Err(format!("a volume of the type {}", if known { kind } else { "?" })));
        }
        if segment.number("stripe_count") != Some(1) {
            return Ok(Err("a striped volume".to_owned()));
        }
        let [Word::Text(physical), Word::Number(first)] = segment.list("stripes") else {
            return Err("a segment does not say where it lies");
        };
        // pvmove has them lie on a volume of its own meanwhile.
        if all.contains_key(physical) {
            return Ok(Err("a volume that lies on another one".to_owned()));
        }
        list.push(Segment { physical: physical.clone(), first: *first, count: extents });
    }
    Ok(Ok(list))
}
