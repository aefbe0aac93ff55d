//! Refuses volume groups that cannot be written.

use std::collections::BTreeSet;

use super::{DiskLayout, LayoutError, On, PHYSICAL_START, VolumeGroup};

/// The longest device-mapper name.
const LONGEST: usize = 127;

/// Returns the places that physical volumes take.
pub(super) fn check(layout: &DiskLayout) -> Result<BTreeSet<On>, LayoutError> {
    let mut taken = BTreeSet::new();
    let mut names = BTreeSet::new();
    for group in &layout.groups {
        let wrong = |reason: String| LayoutError::Volumes { group: group.name.clone(), reason };
        if !names.insert(&group.name) {
            return Err(wrong("another one has the same name".to_owned()));
        }
        check_group(layout, group, &mut taken).map_err(wrong)?;
    }
    Ok(taken)
}

fn check_group(
    layout: &DiskLayout,
    group: &VolumeGroup,
    taken: &mut BTreeSet<On>,
) -> Result<(), String> {
    if !is_name(&group.name) {
        return Err("LVM does not take this name".to_owned());
    }
    if group.extent_bytes < 4096 || !group.extent_bytes.is_power_of_two() {
        return Err(format!("extents of {} bytes", group.extent_bytes));
    }
    for physical in &group.physical {
        let place = layout.place(physical.on).filter(|_| layout.has_place(physical.on));
        let place = place.filter(|_| taken.insert(physical.on));
        let place = place.ok_or(format!("{} has no place of its own", physical.name))?;
        let room = place.len.saturating_sub(PHYSICAL_START) / group.extent_bytes;
        if physical.extents == 0 || physical.extents > room {
            return Err(format!("{} has room for {room} extents", physical.name));
        }
    }
    let mut runs = Vec::new();
    let mut names = BTreeSet::new();
    for volume in &group.logical {
        let name = &volume.name;
        if !is_name(name) || !names.insert(name) {
            return Err(format!("LVM does not take the name {name}, or it is taken"));
        }
        if group.mapped_name(volume).len() > LONGEST {
            return Err(format!("the name {name} is too long"));
        }
        if volume.extents() == 0 {
            return Err(format!("{name} has no extents"));
        }
        for run in &volume.segments {
            let end = run.first.checked_add(run.extents);
            let known = group.physical.get(run.physical);
            if !known.zip(end).is_some_and(|(p, end)| run.extents > 0 && end <= p.extents) {
                return Err(format!("{name} has extents that do not exist"));
            }
            runs.push((run.physical, run.first, run.extents, name));
        }
    }
    runs.sort_unstable();
    for pair in runs.windows(2) {
        if let [(p, first, extents, a), (q, next, _, b)] = pair
            && p == q
            && first + extents > *next
        {
            return Err(format!("{a} and {b} share extents"));
        }
    }
    Ok(())
}

/// What LVM takes as a name.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+_.-".contains(c))
}
