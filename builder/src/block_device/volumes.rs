//! Volume groups of a configuration.

use super::graph::{self, Entry};
use super::size::Size;
use super::wrong::{Checked, Wrong};
use super::yaml::{Key, Node, Value};

/// Bytes of an extent.
pub(super) const EXTENT: u64 = 4 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) line: u64,
    /// The `lvm` entry that it belongs to.
    pub(super) lvm: String,
    pub(super) physical: Vec<Physical>,
    pub(super) logical: Vec<Logical>,
    pub(super) options: Vec<(String, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Physical {
    pub(super) name: String,
    pub(super) line: u64,
    /// A partition or a disk.
    pub(super) base: String,
    pub(super) options: Vec<(String, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logical {
    pub(super) name: String,
    pub(super) line: u64,
    pub(super) wanted: Wanted,
    /// The size or the extents as they are written.
    pub(super) written: String,
    pub(super) options: Vec<(String, u64)>,
    /// `thin` or `thin-pool`.
    pub(super) kind: Option<(String, u64)>,
    pub(super) pool: Option<String>,
}

/// How large a logical volume is to be, in extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Extents(u64),
    /// So many percent of the group, at most what is free.
    OfGroup(u64),
    /// Of what is free.
    OfFree(u64),
    /// Of the physical volumes, which are the group's.
    OfPhysical(u64),
}

impl Wanted {
    /// Extents, of `all` and `free` ones; percentages are rounded down and are upper limits.
    pub(super) fn of(self, all: u64, free: u64) -> u64 {
        match self {
            Self::Extents(extents) => extents,
            Self::OfGroup(percent) | Self::OfPhysical(percent) => (all * percent / 100).min(free),
            Self::OfFree(percent) => free * percent / 100,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let Some((number, of)) = text.split_once('%') else {
            return Some(Self::Extents(text.parse().ok().filter(|count| *count > 0)?));
        };
        let percent: u64 = number.parse().ok().filter(|percent| (1..=100).contains(percent))?;
        match of {
            "VG" => Some(Self::OfGroup(percent)),
            "FREE" => Some(Self::OfFree(percent)),
            "PVS" => Some(Self::OfPhysical(percent)),
            _ => None,
        }
    }
}

/// All groups, in the configuration's order.
pub(super) fn groups(list: &[Entry]) -> Checked<Vec<Group>> {
    let mut groups = Vec::new();
    for entry in list.iter().filter(|entry| entry.plugin == "lvm") {
        groups.extend(lvm(entry)?);
    }
    Ok(groups)
}

type Values = [(Key, Node)];

fn lvm(entry: &Entry) -> Checked<Vec<Group>> {
    for key in ["pvs", "vgs", "lvs"] {
        if entry.get(key).is_none() {
            return Err(entry.wrong(format!("{key} is missing")));
        }
    }
    let mut physical = Vec::new();
    for (line, values) in maps(entry, "pvs")? {
        let name = needed(entry, "pvs", line, values, "name")?;
        let base = needed(entry, "pvs", line, values, "base")?;
        let options = options(&name, values)?;
        physical.push(Physical { name, line, base, options });
    }
    let mut groups = Vec::new();
    for (line, values) in maps(entry, "vgs")? {
        groups.push(group(entry, line, values, &mut physical)?);
    }
    if let Some(unused) = physical.first() {
        let what = "no volume group is made of this physical volume";
        return Err(Wrong::new(unused.line, &unused.name, what));
    }
    for (line, values) in maps(entry, "lvs")? {
        let base = needed(entry, "lvs", line, values, "base")?;
        let group = groups.iter_mut().find(|group| group.name == base).ok_or_else(|| {
            Wrong::new(line, &entry.name, format!("base:{base} in lvs does not match a valid vg"))
        })?;
        group.logical.push(logical(entry, line, values)?);
    }
    Ok(groups)
}

/// The maps of a list and their lines.
fn maps<'a>(entry: &'a Entry, key: &str) -> Checked<Vec<(u64, &'a Values)>> {
    let list = graph::list(&entry.values, &entry.name, key)?.iter();
    list.map(|node| match &node.value {
        Value::Map(values) => Ok((node.line, values.as_slice())),
        other => {
            let what = format!("{key} holds {}, not a map", other.kind());
            Err(Wrong::new(node.line, &entry.name, what))
        }
    })
    .collect()
}

fn needed(entry: &Entry, list: &str, line: u64, values: &Values, key: &str) -> Checked<String> {
    graph::word(values, &entry.name, key)?.map(|(word, _)| word).ok_or_else(|| {
        Wrong::new(line, &entry.name, format!("{key} is missing in an entry of {list}"))
    })
}

fn options(name: &str, values: &Values) -> Checked<Vec<(String, u64)>> {
    let list = graph::list(values, name, "options")?.iter();
    list.map(|node| match node.value.word() {
        Some(word) => Ok((word.to_owned(), node.line)),
        None => Err(Wrong::new(node.line, name, "an option is no word")),
    })
    .collect()
}

/// Takes the physical volumes that the group is made of out of `physical`.
fn group(
    entry: &Entry,
    line: u64,
    values: &Values,
    physical: &mut Vec<Physical>,
) -> Checked<Group> {
    let name = needed(entry, "vgs", line, values, "name")?;
    let base = graph::get(values, "base")
        .ok_or_else(|| Wrong::new(line, &entry.name, "base is missing in an entry of vgs"))?;
    let bases = match &base.value {
        Value::List(list) => list.iter().collect(),
        _ => vec![base],
    };
    let mut own = Vec::new();
    for node in bases {
        let wanted = node.value.word().unwrap_or_default();
        let at = physical.iter().position(|pv| pv.name == wanted).ok_or_else(|| {
            let what = format!("base:{wanted} in vgs does not match a valid pvs, or is taken");
            Wrong::new(node.line, &name, what)
        })?;
        own.push(physical.remove(at));
    }
    if own.is_empty() {
        return Err(Wrong::new(line, &name, "the group has no physical volume"));
    }
    let options = options(&name, values)?;
    let lvm = entry.name.clone();
    Ok(Group { name, line, lvm, physical: own, logical: Vec::new(), options })
}

fn logical(entry: &Entry, line: u64, values: &Values) -> Checked<Logical> {
    let name = needed(entry, "lvs", line, values, "name")?;
    let kind = graph::word(values, &name, "type")?;
    if let Some((kind, line)) = kind.as_ref().filter(|(k, _)| k != "thin" && k != "thin-pool") {
        let what = format!("Unsupported type:{kind}, supported types: thin, thin-pool");
        return Err(Wrong::new(*line, &name, what));
    }
    let (wanted, written) =
        match (graph::word(values, &name, "size")?, graph::word(values, &name, "extents")?) {
            (Some((size, line)), _) => {
                let wrong = |what: String| Wrong::new(line, &name, what);
                let bytes = Size::parse(&size).map_err(wrong)?.bytes().ok_or_else(|| {
                    wrong(format!("size: {size} is relative"))
                        .hint("extents: 20%VG is what lvcreate takes")
                })?;
                if bytes < EXTENT {
                    return Err(wrong(format!("size: {size} is less than an extent of 4 MiB")));
                }
                (Wanted::Extents(bytes / EXTENT), size)
            }
            (None, Some((extents, line))) => {
                let wanted = Wanted::parse(&extents).ok_or_else(|| {
                    Wrong::new(line, &name, format!("extents: {extents} cannot be understood"))
                        .hint("write a number, or 20%VG, 20%FREE or 20%PVS")
                })?;
                (wanted, extents)
            }
            (None, None) => {
                return Err(Wrong::new(line, &name, "Missing 'size' or 'extents' in lvs config"));
            }
        };
    let options = options(&name, values)?;
    let pool = graph::word(values, &name, "thin-pool")?.map(|(pool, _)| pool);
    Ok(Logical { name, line, wanted, written, options, kind, pool })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_counted_as_lvcreate_does() {
        for (text, extents) in [
            ("7", 7),
            ("28%VG", 28),
            ("57%VG", 50),
            ("100%FREE", 50),
            ("33%FREE", 16),
            ("10%PVS", 10),
        ] {
            assert_eq!(
                Wanted::parse(text).map(|wanted| wanted.of(100, 50)),
                Some(extents),
                "{text}"
            );
        }
        for text in ["", "0", "x", "0%VG", "101%VG", "5%", "5%ORIGIN", "1.5%VG"] {
            assert_eq!(Wanted::parse(text), None, "{text}");
        }
    }
}
