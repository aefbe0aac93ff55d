//! Two disks.

use std::io::{self, Read};
use std::sync::Arc;

use super::{Attribute, CompareError, Difference, first_difference, trees};
use crate::read::{Magic, Medium, Partition, Slot, System, partitions};

/// What two disks do not have in common: sizes and rows of their tables, bytes outside of
/// partitions, and of partitions the files. A partition whose files are all the same while its
/// bytes are not is told by the first such byte.
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
    let slots = |list: &[Partition]| list.iter().map(|p| p.slot).collect::<Vec<_>>();
    if slots(&ours) != slots(&theirs) {
        let text = |list: &[Partition]| {
            slots(list).iter().map(Slot::to_string).collect::<Vec<_>>().join(", ")
        };
        found.push(whole(Attribute::Presence, (text(&ours), text(&theirs))));
    }
    let outside = (Gaps::new(a, &ours), Gaps::new(b, &theirs));
    let (map, length) = (outside.0.map(), a.size().min(b.size()));
    if let Some(at) = first_difference(outside.0, outside.1)? {
        let at = on_disk(&map, at).min(length);
        found.push(Difference {
            place: "the disk outside of its partitions".to_owned(),
            ..whole(Attribute::Bytes(at), Default::default())
        });
    }
    let points = mount_points(a);
    for one in &ours {
        let Some(other) = theirs.iter().find(|other| other.slot == one.slot) else { continue };
        let point = points.iter().find(|(_, slot)| *slot == one.slot).map(|(at, _)| at.as_str());
        found.extend(partition(one, other, point)?);
    }
    Ok(found)
}

/// Where what is mounted; nothing where no system is found.
fn mount_points(disk: &Arc<dyn Medium>) -> Vec<(String, Slot)> {
    System::find(disk).map(|system| system.mounts()).unwrap_or_default()
}

fn partition(
    a: &Partition,
    b: &Partition,
    point: Option<&str>,
) -> Result<Vec<Difference>, CompareError> {
    let place = match point {
        Some(point) => format!("{} ({point})", a.slot),
        None => a.slot.to_string(),
    };
    let mut found = Vec::new();
    let of_place =
        |attribute, values| Difference { place: place.clone(), path: None, attribute, values };
    let row = |p: &Partition| format!("{} bytes from {} on", p.part.size(), p.part.start());
    if row(a) != row(b) {
        found.push(of_place(Attribute::Size, (row(a), row(b))));
    }
    if a.role != b.role {
        found.push(of_place(Attribute::Kind, (format!("{:?}", a.role), format!("{:?}", b.role))));
    }
    let reader = |p: &Partition| MediumReader { medium: Arc::clone(&p.part) as _, at: 0 };
    let Some(at) = first_difference(reader(a), reader(b))? else { return Ok(found) };
    let magic = |p: &Partition| Magic::find(p.part.as_ref());
    let bytes = of_place(Attribute::Bytes(at), Default::default());
    let (Some(one), Some(other)) = (magic(a)?, magic(b)?) else {
        found.push(bytes);
        return Ok(found);
    };
    let before = found.len();
    for (attribute, one, other) in [
        (Attribute::Kind, one.format.to_string(), other.format.to_string()),
        (Attribute::Xattr("label".to_owned()), one.label.clone(), other.label.clone()),
        (Attribute::Xattr("UUID".to_owned()), one.uuid.clone(), other.uuid.clone()),
    ] {
        if one != other {
            found.push(of_place(attribute, (one, other)));
        }
    }
    if one.format == other.format && one.format.is_read() {
        let tree = |p: &Partition| {
            let part: Arc<dyn Medium> = Arc::clone(&p.part) as _;
            System::whole(&part, one.format)?.tree(b"")
        };
        let prefix = point.unwrap_or_default().trim_matches('/').as_bytes();
        found.extend(trees(&tree(a)?, &tree(b)?, &place, prefix)?);
    }
    if found.len() == before {
        found.push(bytes);
    }
    Ok(found)
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

/// Reads what lies outside of all partitions, one gap after another.
struct Gaps {
    disk: Arc<dyn Medium>,
    /// What is left: offset and end of each.
    gaps: Vec<(u64, u64)>,
}

impl Gaps {
    fn new(disk: &Arc<dyn Medium>, partitions: &[Partition]) -> Self {
        let mut taken: Vec<_> =
            partitions.iter().map(|p| (p.part.start(), p.part.start() + p.part.size())).collect();
        taken.sort_unstable();
        let (mut gaps, mut at) = (Vec::new(), 0);
        for (start, end) in taken.into_iter().chain([(disk.size(), disk.size())]) {
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
