//! File systems of a configuration: what they are, where they are mounted, their lines of fstab.

use std::collections::BTreeMap;

use super::config::{Defaults, Fstab, MkfsNode, Mount};
use super::graph::Entry;
use super::wrong::{Checked, Wrong};

/// The longest label of each kind of file system, in bytes.
const LABELS: [(&str, usize); 9] = [
    ("ext2", 16),
    ("ext3", 16),
    ("ext4", 16),
    ("xfs", 12),
    ("vfat", 11),
    ("swap", 16),
    ("erofs", 15),
    ("btrfs", 255),
    ("f2fs", 255),
];

pub(super) fn filesystems(list: &[Entry], defaults: &Defaults<'_>) -> Checked<Vec<MkfsNode>> {
    let mut made = Vec::new();
    for entry in list.iter().filter(|entry| entry.plugin == "mkfs") {
        made.push(mkfs(entry, defaults)?);
    }
    for entry in list.iter().filter(|entry| entry.plugin == "mount") {
        let base = entry.base()?;
        let point = entry.word("mount_point")?;
        let (point, line) = point.ok_or_else(|| entry.wrong("mount_point is missing"))?;
        let Some(mkfs) = made.iter_mut().find(|mkfs: &&mut MkfsNode| mkfs.name == base) else {
            continue;
        };
        if let Some(other) = &mkfs.mount {
            let what = format!("{base} is mounted by {} already", other.name);
            return Err(entry.wrong(what));
        }
        let swap = mkfs.kind == "swap";
        if !swap && !is_normal(&point) {
            let what = format!("the mount point {point} is not an absolute path of plain names");
            return Err(Wrong::new(line, &entry.name, what));
        }
        let point = if swap { "none".to_owned() } else { point };
        let fstab = list.iter().find(|fstab| {
            fstab.plugin == "fstab" && fstab.base().is_ok_and(|base| base == entry.name)
        });
        let fstab = fstab.map(fstab_line).transpose()?;
        mkfs.mount = Some(Mount { name: entry.name.clone(), line, point, fstab });
    }
    unique(&made)?;
    Ok(made)
}

fn mkfs(entry: &Entry, defaults: &Defaults<'_>) -> Checked<MkfsNode> {
    let root = entry.name == "mkfs_root";
    let kind = match entry.word("type")? {
        Some((kind, _)) => kind,
        None if root => defaults.fs_type.to_owned(),
        None => return Err(entry.wrong("type is missing: say which file system it is")),
    };
    // mkfs.fat is one program with two names.
    let kind = if kind == "fat" { "vfat".to_owned() } else { kind };
    let (mut label, line) = match entry.word("label")? {
        Some((_, line)) if kind == "squashfs" => {
            return Err(Wrong::new(line, &entry.name, "label: a squashfs has none"));
        }
        Some(label) => label,
        None if kind == "squashfs" => (String::new(), entry.line),
        None if root => {
            // Those of others are too short for the usual one.
            let short = matches!(kind.as_str(), "xfs" | "erofs");
            let default = if short { "img-rootfs" } else { "cloudimg-rootfs" };
            (defaults.root_label.unwrap_or(default).to_owned(), entry.line)
        }
        None => (entry.name.clone(), entry.line),
    };
    if kind == "vfat" {
        label = label.to_ascii_uppercase();
    }
    if let Some((_, longest)) = LABELS.iter().find(|(name, _)| *name == kind)
        && label.len() > *longest
    {
        let what = format!(
            "the label {label} is longer than {longest} bytes, too long for filesystem {kind}"
        );
        return Err(Wrong::new(line, &entry.name, what));
    }
    Ok(MkfsNode {
        name: entry.name.clone(),
        line: entry.line,
        base: entry.base()?.to_owned(),
        kind,
        label,
        opts: entry.word("opts")?.map(|(opts, _)| opts),
        uuid: entry.word("uuid")?.map(|(uuid, _)| uuid),
        mount: None,
    })
}

fn fstab_line(entry: &Entry) -> Checked<Fstab> {
    let number = |key: &str, default: u64| match entry.word(key)? {
        None => Ok(default),
        Some((word, line)) => word.parse().map_err(|_number| {
            Wrong::new(line, &entry.name, format!("{key}: {word} is no number"))
        }),
    };
    let options = entry.word("options")?.map_or_else(|| "defaults".to_owned(), |(word, _)| word);
    if options.is_empty() || options.contains(char::is_whitespace) {
        return Err(entry.wrong(format!("options: {options:?} are not one word")));
    }
    Ok(Fstab { options, dump: number("dump-freq", 0)?, pass: number("fsck-passno", 2)? })
}

/// Labels tell file systems apart, and one place holds one of them.
fn unique(made: &[MkfsNode]) -> Checked<()> {
    let mut labels = BTreeMap::new();
    let mut points = BTreeMap::new();
    for mkfs in made {
        if !mkfs.label.is_empty()
            && let Some(other) = labels.insert(&mkfs.label, mkfs)
        {
            let what = format!(
                "the label {} is used more than once: two file systems are labelled so, {} in line {} too",
                mkfs.label, other.name, other.line
            );
            return Err(mkfs.wrong(what));
        }
        if let (Some(point), Some(mount)) = (mkfs.mount_point(), &mkfs.mount)
            && let Some(other) = points.insert(point, mkfs)
        {
            let what = format!("two file systems are mounted at {point}: {} too", other.name);
            return Err(Wrong::new(mount.line, &mount.name, what));
        }
    }
    Ok(())
}

/// Whether a path is absolute, without empty, `.` or `..` components.
fn is_normal(path: &str) -> bool {
    path == "/"
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|part| {
                !matches!(part, "" | "." | "..")
                    && !part.contains(|c: char| c.is_whitespace() || c.is_control())
            })
        })
}
