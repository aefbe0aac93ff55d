//! What depends on what: every name that is a base exists, and the order in which things are
//! made.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Config;
use super::graph::Entry;
use super::wrong::{Checked, Wrong};

/// Something that others may lie on.
struct Item<'a> {
    name: &'a str,
    line: u64,
    /// What it needs.
    from: Vec<&'a str>,
}

/// Names of everything that is made, each after what it needs; of several that could be next the
/// first of the configuration.
pub(super) fn order(list: &[Entry], config: &Config) -> Checked<Vec<String>> {
    let items = items(list, config)?;
    let mut known = BTreeMap::new();
    for item in &items {
        if let Some(other) = known.insert(item.name, item.line) {
            let what = format!("two nodes are called {}, that of line {other} too", item.name);
            return Err(Wrong::new(item.line, item.name, what));
        }
    }
    for item in &items {
        if let Some(base) = item.from.iter().find(|base| !known.contains_key(**base)) {
            let what = format!("there is no {base} that it could lie on");
            return Err(Wrong::new(item.line, item.name, what)
                .hint("base names a disk, a partition, a volume, a file system or a mount"));
        }
    }
    let mut done = BTreeSet::new();
    let mut order = Vec::new();
    while order.len() < items.len() {
        let next = items.iter().find(|item| {
            !done.contains(item.name) && item.from.iter().all(|base| done.contains(base))
        });
        let Some(next) = next else {
            let stuck = items.iter().find(|item| !done.contains(item.name));
            let (line, name) = stuck.map_or((0, ""), |item| (item.line, item.name));
            return Err(Wrong::new(line, name, "it depends on itself"));
        };
        done.insert(next.name);
        order.push(next.name.to_owned());
    }
    check_kinds(config)?;
    check_mounts(list, config)?;
    Ok(order)
}

fn items<'a>(list: &'a [Entry], config: &'a Config) -> Checked<Vec<Item<'a>>> {
    // Mounts are made in the order of their paths.
    let mut mounts: Vec<_> =
        config.filesystems.iter().filter_map(|mkfs| mkfs.mount.as_ref()).collect();
    mounts.sort_by_key(|mount| &mount.point);
    let mut items = Vec::new();
    for entry in list {
        let (name, line) = (entry.name.as_str(), entry.line);
        match entry.plugin {
            "local_loop" => items.push(Item { name, line, from: Vec::new() }),
            "partitioning" => {
                let base = entry.base()?;
                let table = config.disks.iter().filter_map(|disk| disk.table.as_ref());
                let table = { table }.find(|table| table.name == name);
                let partitions = table.map(|table| table.partitions.as_slice());
                if table.is_none() {
                    let what = format!("there is no disk {base} to divide");
                    return Err(entry.wrong(what));
                }
                let mut before = base;
                for partition in partitions.unwrap_or_default() {
                    let from = vec![base, before];
                    items.push(Item { name: &partition.name, line: partition.line, from });
                    before = &partition.name;
                }
            }
            "lvm" => volumes(entry, config, &mut items),
            "mount" => {
                let at = mounts.iter().position(|mount| mount.name == name);
                let before = at.and_then(|at| at.checked_sub(1)).and_then(|at| mounts.get(at));
                let from = std::iter::once(entry.base()?);
                let from = from.chain(before.map(|mount| mount.name.as_str())).collect();
                items.push(Item { name, line, from });
            }
            _ => items.push(Item { name, line, from: vec![entry.base()?] }),
        }
    }
    Ok(items)
}

/// The entry itself, which all of its volumes need; then they.
fn volumes<'a>(entry: &'a Entry, config: &'a Config, items: &mut Vec<Item<'a>>) {
    let name = entry.name.as_str();
    let groups = || config.groups.iter().filter(|group| group.lvm == name);
    let bases = groups().flat_map(|group| &group.physical).map(|pv| pv.base.as_str()).collect();
    items.push(Item { name, line: entry.line, from: bases });
    for group in groups() {
        for pv in &group.physical {
            items.push(Item { name: &pv.name, line: pv.line, from: vec![name] });
        }
        let from = group.physical.iter().map(|pv| pv.name.as_str()).collect();
        items.push(Item { name: &group.name, line: group.line, from });
        for volume in &group.logical {
            items.push(Item { name: &volume.name, line: volume.line, from: vec![&group.name] });
        }
    }
}

/// What a base is has to suit what lies on it.
fn check_kinds(config: &Config) -> Checked<()> {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    let physical = config.groups.iter().flat_map(|group| &group.physical);
    let physical = physical.map(|pv| (pv.line, pv.name.as_str(), pv.base.as_str(), false));
    let made = config.filesystems.iter();
    let made = made.map(|mkfs| (mkfs.line, mkfs.name.as_str(), mkfs.base.as_str(), true));
    for (line, name, base, on_volume) in physical.chain(made) {
        let volume = config.volume(base).is_some();
        let disk = config.disks.iter().find(|disk| disk.name == base);
        let partition = config.disks.iter().any(|disk| disk.partition(base).is_some());
        let suits = partition || disk.is_some() || (volume && on_volume);
        if !suits {
            let what = format!("{base} is no disk, partition or volume to make it on");
            return Err(Wrong::new(line, name, what));
        }
        if disk.is_some_and(|disk| disk.table.is_some()) {
            let what = format!("{base} is divided into partitions: name one of them");
            return Err(Wrong::new(line, name, what));
        }
        if let Some(other) = taken.insert(base, name) {
            return Err(Wrong::new(line, name, format!("{base} holds {other} already")));
        }
    }
    for mkfs in &config.filesystems {
        let Some(mount) = &mkfs.mount else { continue };
        if config.disk_of(&mkfs.base).is_none() {
            let what = format!("{} is on no disk", mkfs.name);
            return Err(Wrong::new(mount.line, &mount.name, what));
        }
    }
    Ok(())
}

/// File systems are mounted, and mounts have lines of fstab.
fn check_mounts(list: &[Entry], config: &Config) -> Checked<()> {
    for entry in list {
        let base = entry.base().unwrap_or_default();
        let mount = |other: &&Entry| other.plugin == "mount" && other.name == base;
        match entry.plugin {
            "mount" if config.filesystems.iter().all(|mkfs| mkfs.name != base) => {
                return Err(entry.wrong(format!("{base} is no file system to mount")));
            }
            "fstab" if list.iter().find(mount).is_none() => {
                return Err(entry.wrong(format!("{base} is no mount to list")));
            }
            _ => {}
        }
    }
    Ok(())
}
