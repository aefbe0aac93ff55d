//! Where partitions and volumes lie on a disk of a given size.

use goldsmith_images::disk::layout::{
    LogicalVolume, MIB, On, PHYSICAL_START, Partition, PartitionKind, PhysicalVolume, Segment,
    VolumeGroup, derived_volume_id,
};

use super::config::{Config, Disk, PartitionNode, TableNode};
use super::types;
use super::volumes::{EXTENT, Group};
use super::wrong::{Checked, Wrong};

/// The partitions of a disk of `size` bytes.
pub(super) fn partitions(disk: &Disk, size: u64, seed: &str) -> Checked<Vec<Partition>> {
    match &disk.table {
        None => Ok(Vec::new()),
        Some(table) if table.gpt => gpt(disk, table, size, seed),
        Some(table) => mbr(disk, table, size, seed),
    }
}

/// One after the other from the first MiB on, each a whole number of MiB. 2 MiB of the disk are
/// the tables', and what partitions ask for counts before it is rounded, as with diskimage-builder.
fn gpt(disk: &Disk, table: &TableNode, size: u64, seed: &str) -> Checked<Vec<Partition>> {
    let sector = u64::from(disk.sector);
    let mut next = MIB;
    let mut free = size.saturating_sub(2 * MIB);
    let mut partitions = Vec::new();
    for node in &table.partitions {
        let wanted = node.size.of(free);
        let len = wanted / MIB * MIB;
        if len == 0 || wanted > free {
            return Err(no_room(node, disk, free));
        }
        partitions.push(partition(
            node,
            next / sector,
            len / sector,
            types::kind(node, true, seed),
        ));
        next += len;
        free -= wanted;
    }
    Ok(partitions)
}

/// One after the other, aligned. A logical partition begins one alignment behind its extended
/// boot record. What percentages are of leaves one alignment at the end of the disk alone.
fn mbr(disk: &Disk, table: &TableNode, size: u64, seed: &str) -> Checked<Vec<Partition>> {
    let sector = u64::from(disk.sector);
    let align = table.align;
    let mut next = align;
    let mut partitions = Vec::new();
    for node in &table.partitions {
        let free = size.saturating_sub(next + align);
        let len = node.size.of(free) / sector * sector;
        let start = if node.logical { (next + sector).next_multiple_of(align) } else { next };
        let end = start.checked_add(len).filter(|end| len > 0 && *end <= size);
        let end = end.ok_or_else(|| no_room(node, disk, size.saturating_sub(start)))?;
        let mut kind = types::kind(node, false, seed);
        if let PartitionKind::Mbr { ebr_lba, .. } = &mut kind {
            *ebr_lba = node.logical.then_some(next / sector);
        }
        partitions.push(partition(node, start / sector, len / sector, kind));
        next = end.next_multiple_of(align);
    }
    Ok(partitions)
}

fn partition(node: &PartitionNode, start_lba: u64, sectors: u64, kind: PartitionKind) -> Partition {
    Partition { number: node.number, name: node.name.clone(), start_lba, sectors, kind }
}

fn no_room(node: &PartitionNode, disk: &Disk, free: u64) -> Wrong {
    let what = format!(
        "its {} do not fit into the {} MiB that are left of {}",
        node.wanted,
        free / MIB,
        disk.name
    );
    Wrong::new(node.line, format!("partition {}", node.name), what).hint(LARGER)
}

pub(super) const LARGER: &str =
    "--image-size or DIB_IMAGE_SIZE raises the size of the image, size: that of a local_loop";

/// What a partition or the whole disk is for a layout; nothing when it is not of this disk.
pub(super) fn on(disk: &Disk, base: &str) -> Option<On> {
    if base == disk.name {
        return Some(On::Whole);
    }
    disk.partition(base).map(|partition| On::Partition(partition.number))
}

/// The volume groups of a disk; `len` gives the bytes of a place.
pub(super) fn groups(
    config: &Config,
    disk: &Disk,
    seed: &str,
    len: &dyn Fn(On) -> u64,
) -> Checked<Vec<VolumeGroup>> {
    let groups = config.groups.iter();
    let own = groups.filter(|group| group.physical.iter().all(|pv| on(disk, &pv.base).is_some()));
    own.map(|node| group(node, disk, seed, len)).collect()
}

pub(super) fn group(
    node: &Group,
    disk: &Disk,
    seed: &str,
    len: &dyn Fn(On) -> u64,
) -> Checked<VolumeGroup> {
    let mut physical = Vec::new();
    for pv in &node.physical {
        // The caller has chosen groups of this disk.
        let on = on(disk, &pv.base).unwrap_or(On::Whole);
        let extents = len(on).saturating_sub(PHYSICAL_START) / EXTENT;
        if extents == 0 {
            let what =
                format!("{} is too small for an extent of 4 MiB behind its first MiB", pv.base);
            return Err(Wrong::new(pv.line, &pv.name, what).hint(LARGER));
        }
        let id = derived_volume_id(seed, &format!("physical volume {}", pv.name));
        physical.push(PhysicalVolume { name: pv.base.clone(), on, id, extents });
    }
    let all: u64 = physical.iter().map(|pv| pv.extents).sum();
    let mut used = vec![0; physical.len()];
    let mut logical = Vec::new();
    for volume in &node.logical {
        let free = all - used.iter().sum::<u64>();
        let extents = volume.wanted.of(all, free);
        let name = volume.name.clone();
        if extents == 0 || extents > free {
            let what = format!(
                "its {} do not fit: {free} of the {all} extents of {} are free, {} MiB",
                volume.written,
                node.name,
                free * EXTENT / MIB
            );
            return Err(Wrong::new(volume.line, name, what).hint(LARGER));
        }
        let id = derived_volume_id(seed, &format!("logical volume {}/{name}", node.name));
        logical.push(LogicalVolume { name, id, segments: allocate(&physical, &mut used, extents) });
    }
    let id = derived_volume_id(seed, &format!("volume group {}", node.name));
    Ok(VolumeGroup { name: node.name.clone(), id, extent_bytes: EXTENT, physical, logical })
}

/// Takes extents of the first physical volume that has them all, else of one after the other.
/// `used` are those that each has given away, from its beginning.
fn allocate(physical: &[PhysicalVolume], used: &mut [u64], extents: u64) -> Vec<Segment> {
    let mut left = extents;
    let whole = physical.iter().zip(used.iter()).position(|(pv, used)| pv.extents - used >= left);
    let mut segments = Vec::new();
    for (index, (pv, used)) in physical.iter().zip(used.iter_mut()).enumerate() {
        let here = left.min(pv.extents - *used);
        if here == 0 || whole.is_some_and(|whole| whole != index) {
            continue;
        }
        segments.push(Segment { physical: index, first: *used, extents: here });
        *used += here;
        left -= here;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_in_one_piece_where_they_can_be() {
        let pv = |extents| PhysicalVolume {
            name: String::new(),
            on: On::Whole,
            id: String::new(),
            extents,
        };
        let physical = [pv(10), pv(6)];
        let mut used = [0, 0];
        let mut take = |extents| {
            let runs = allocate(&physical, &mut used, extents);
            runs.iter().map(|run| (run.physical, run.first, run.extents)).collect::<Vec<_>>()
        };
        assert_eq!(take(7), [(0, 0, 7)]);
        assert_eq!(take(4), [(1, 0, 4)]);
        assert_eq!(take(3), [(0, 7, 3)]);
        assert_eq!(take(2), [(1, 4, 2)]);
        let mut used = [0, 0];
        let runs = allocate(&physical, &mut used, 16);
        assert_eq!((runs.len(), used), (2, [10, 6]));
    }
}
