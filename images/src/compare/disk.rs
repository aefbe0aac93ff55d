//! Two disks.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use super::{Attribute, CompareError, Difference, first_difference, trees};
use crate::read::{
    LogicalVolume, Magic, Medium, Partition, Slot, System, SystemError, VolumeError, partitions,
    volumes,
};

/// What two disks do not have in common: sizes and rows of their tables, bytes outside of
/// partitions, and of partitions and logical volumes the files. A place whose files are all the
/// same while its bytes are not is told by the first such byte.
///
/// # Errors
///
/// When a disk cannot be read, or a table or a file system on it is damaged.
pub fn disks(a: &Arc<dyn Medium>, b: &Arc<dyn Medium>) -> Result<Vec<Difference>, CompareError> {
    let mut found = Vec::new();
    let whole = |attribute, values| Difference {
        place: "the disk".to_owned(),
        path: None,
        attribute,
        values,
    };
    if a.size() != b.size() {
        let values = (a.size().to_string(), b.size().to_string());
        found.push(whole(Attribute::Size, values));
    }
    let (ours, theirs) = (partitions(a)?, partitions(b)?);
    let logical = (volumes(&ours)?, volumes(&theirs)?);
    let slots = |list: &[Partition], logical: &[LogicalVolume]| {
        let logical = logical.iter().map(|volume| volume.slot.to_string());
        list.iter().map(|p| p.slot.to_string()).chain(logical).collect::<Vec<_>>().join(", ")
    };
    let names = (slots(&ours, &logical.0), slots(&theirs, &logical.1));
    if names.0 != names.1 {
        found.push(whole(Attribute::Presence, names));
    }
    let taken = |list: &[Partition]| {
        list.iter().map(|p| p.part.start()..p.part.start() + p.part.size()).collect()
    };
    if let Some(at) = outside((a, taken(&ours)), (b, taken(&theirs)))? {
        found.push(Difference {
            place: "the disk outside of its partitions".to_owned(),
            ..whole(Attribute::Bytes(at), Default::default())
        });
    }
    let points = mount_points(a);
    let place = |slot: &Slot| {
        let point = points.iter().find(|(_, at)| at == slot).map(|(point, _)| point.as_str());
        Place::new(slot, point)
    };
    for (index, one) in ours.iter().enumerate() {
        let at = theirs.iter().position(|other| other.slot == one.slot);
        let Some((at, other)) = at.and_then(|at| Some((at, theirs.get(at)?))) else { continue };
        let place = place(&one.slot);
        found.extend(place.rows(one, other));
        let taken = (runs(&logical.0, index), runs(&logical.1, at));
        let (one, other) = (Arc::clone(&one.part) as _, Arc::clone(&other.part) as _);
        if taken.0.is_empty() && taken.1.is_empty() {
            found.extend(place.contents(&one, &other)?);
        } else if let Some(at) = outside((&one, taken.0), (&other, taken.1))? {
            found.push(place.differs(Attribute::Bytes(at), Default::default()));
        }
    }
    for LogicalVolume { slot, content, .. } in &logical.0 {
        let other = logical.1.iter().find(|other| other.slot == *slot);
        if let (Ok(one), Some(Ok(other))) = (content, other.map(|other| &other.content)) {
            let place = place(slot);
            let size = (one.size().to_string(), other.size().to_string());
            if size.0 != size.1 {
                found.push(place.differs(Attribute::Size, size));
            }
            found.extend(place.contents(&(Arc::clone(one) as _), &(Arc::clone(other) as _))?);
        }
    }
    Ok(found)
}

/// What logical volumes take of the partition of that index.
fn runs(logical: &[LogicalVolume], partition: usize) -> Vec<Range<u64>> {
    let readable = logical.iter().filter_map(|volume| volume.content.as_ref().ok());
    readable.flat_map(|content| content.on(partition)).collect()
}

/// Where what is mounted; nothing where no system is found.
fn mount_points(disk: &Arc<dyn Medium>) -> Vec<(String, Slot)> {
    System::find(disk).map(|system| system.mounts()).unwrap_or_default()
}

/// A partition or a logical volume of both disks.
struct Place<'a> {
    /// What differences call it.
    name: String,
    /// Where it is mounted, relative; empty for the root.
    prefix: &'a [u8],
}

impl<'a> Place<'a> {
    fn new(slot: &Slot, point: Option<&'a str>) -> Self {
        let name = match point {
            Some(point) => format!("{slot} ({point})"),
            None => slot.to_string(),
        };
        Self { name, prefix: point.unwrap_or_default().trim_matches('/').as_bytes() }
    }

    fn differs(&self, attribute: Attribute, values: (String, String)) -> Difference {
        Difference { place: self.name.clone(), path: None, attribute, values }
    }

    /// What differs between two rows of partition tables.
    fn rows(&self, a: &Partition, b: &Partition) -> Vec<Difference> {
        let row = |p: &Partition| format!("{} bytes from {} on", p.part.size(), p.part.start());
        let role = |p: &Partition| format!("{:?}", p.role);
        let rows = [(Attribute::Size, (row(a), row(b))), (Attribute::Kind, (role(a), role(b)))];
        let differ = rows.into_iter().filter(|(_, (one, other))| one != other);
        differ.map(|(attribute, values)| self.differs(attribute, values)).collect()
    }

    /// What differs between the bytes of a place, by files where there is a file system.
    fn contents(
        &self,
        a: &Arc<dyn Medium>,
        b: &Arc<dyn Medium>,
    ) -> Result<Vec<Difference>, CompareError> {
        let mut found = Vec::new();
        let reader = |medium: &Arc<dyn Medium>| MediumReader { medium: Arc::clone(medium), at: 0 };
        let Some(at) = first_difference(reader(a), reader(b))? else { return Ok(found) };
        let bytes = self.differs(Attribute::Bytes(at), Default::default());
        let magic = (Magic::find(a.as_ref())?, Magic::find(b.as_ref())?);
        let (Some(one), Some(other)) = magic else {
            return Ok(vec![bytes]);
        };
        for (attribute, one, other) in [
            (Attribute::Kind, one.format.to_string(), other.format.to_string()),
            (Attribute::Xattr("label".to_owned()), one.label.clone(), other.label.clone()),
            (Attribute::Xattr("UUID".to_owned()), one.uuid.clone(), other.uuid.clone()),
        ] {
            if one != other {
                found.push(self.differs(attribute, (one, other)));
            }
        }
        if one.format == other.format && one.format.is_read() {
            let tree = |medium: &Arc<dyn Medium>| System::whole(medium, one.format)?.tree(b"");
            match tree(a).and_then(|a| Ok((a, tree(b)?))) {
                Ok((a, b)) => found.extend(trees(&a, &b, &self.name, self.prefix)?),
                // What is not read is compared by its bytes.
                Err(SystemError::Volume { source: VolumeError::Unsupported { .. }, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if found.is_empty() {
            found.push(bytes);
        }
        Ok(found)
    }
}

/// Reads a medium from its begin to its end.
struct MediumReader {
    medium: Arc<dyn Medium>,
    at: u64,
}

impl Read for MediumReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.medium.size().saturating_sub(self.at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.medium.read_at(self.at, &mut buffer[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Reads what lies outside of some ranges, one gap after another.
struct Gaps {
    disk: Arc<dyn Medium>,
    /// What is left: offset and end of each.
    gaps: Vec<(u64, u64)>,
}

impl Gaps {
    fn new(disk: &Arc<dyn Medium>, mut taken: Vec<Range<u64>>) -> Self {
        taken.push(disk.size()..disk.size());
        taken.sort_unstable_by_key(|range| (range.start, range.end));
        let (mut gaps, mut at) = (Vec::new(), 0);
        for Range { start, end } in taken {
            if start > at {
                gaps.push((at, start));
            }
            at = at.max(end);
        }
        // The first one is at the end: it is read first.
        gaps.reverse();
        Self { disk: Arc::clone(disk), gaps }
    }

    fn map(&self) -> Vec<(u64, u64)> {
        self.gaps.iter().rev().copied().collect()
    }
}

impl Read for Gaps {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((at, end)) = self.gaps.last_mut() else { return Ok(0) };
        let left = usize::try_from(*end - *at).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        self.disk.read_at(*at, &mut buffer[..count])?;
        *at += count as u64;
        if at == end {
            self.gaps.pop();
        }
        Ok(count)
    }
}

/// The offset of the first byte that differs outside of the ranges of each that are compared by
/// themselves.
fn outside(
    (a, ours): (&Arc<dyn Medium>, Vec<Range<u64>>),
    (b, theirs): (&Arc<dyn Medium>, Vec<Range<u64>>),
) -> io::Result<Option<u64>> {
    let (ours, theirs) = (Gaps::new(a, ours), Gaps::new(b, theirs));
    let map = ours.map();
    let at = first_difference(ours, theirs)?;
    Ok(at.map(|at| on_disk(&map, at).min(a.size().min(b.size()))))
}

/// The offset on the disk of a byte of its gaps.
fn on_disk(gaps: &[(u64, u64)], mut at: u64) -> u64 {
    for (start, end) in gaps {
        if at < end - start {
            return start + at;
        }
        at -= end - start;
    }
    gaps.last().map_or(0, |(_, end)| *end)
}
