//! What goldsmith cannot write of what a configuration may ask for: refused before anything runs.

use goldsmith_images::disk::layout::{DiskLayout, Ext4Options, ExtKind, Segment};

use super::config::{Config, Disk, MkfsNode};
use super::volumes::Group;
use super::wrong::{Checked, Wrong};
use super::{mkfs_options, other_options, types, xfs_options};

/// File systems that are written.
const WRITTEN: [&str; 9] =
    ["ext4", "ext3", "ext2", "xfs", "btrfs", "vfat", "swap", "erofs", "squashfs"];
/// Those that nobody writes to afterwards.
const READ_ONLY: [&str; 2] = ["erofs", "squashfs"];
/// Options of LVM's programs that a volume made by nobody's hand needs no more, and whether a word follows.
const NEEDLESS: [(&str, bool); 14] = [
    ("-f", false),
    ("--force", false),
    ("-ff", false),
    ("-y", false),
    ("--yes", false),
    ("-q", false),
    ("--quiet", false),
    ("-v", false),
    ("--verbose", false),
    ("-W", true),
    ("--wipesignatures", true),
    ("-Z", true),
    ("--zero", true),
    ("--noudevsync", false),
];

/// Refuses what cannot be written.
pub(super) fn check(config: &Config) -> Checked<()> {
    if config.disks.is_empty() {
        return Err(Wrong::new(0, "", "there is no disk")
            .hint("local_loop, with a name, is one; others lie on it"));
    }
    let image = config.image().map(|disk| disk.name.as_str());
    for disk in &config.disks {
        check_disk(disk, image == Some(&disk.name))?;
    }
    for group in &config.groups {
        check_group(group, config)?;
    }
    config.filesystems.iter().try_for_each(|mkfs| check_filesystem(mkfs, config))
}

/// Refuses what is mounted nowhere: an image needs a root file system, on the image's own disk.
pub(super) fn check_root(config: &Config) -> Checked<()> {
    let Some(root) = config.mounted_at("/") else {
        let line = config.disks.first().map_or(0, |disk| disk.line);
        return Err(Wrong::new(line, "", "nothing is mounted at /")
            .hint("one mkfs needs a mount with mount_point: /"));
    };
    let (own, image) = (config.disk_of(&root.base), config.image());
    match (own, image) {
        (Some(own), Some(image)) if own.name != image.name => {
            let what =
                format!("the root file system is on {}, but {} is the image", own.name, image.name);
            Err(root.wrong(what).hint("the disk called image0 becomes the image"))
        }
        _ => Ok(()),
    }
}

/// Refuses what real devices cannot be made for; [`check_whole`] what depends on sizes.
pub(super) fn check_loop(config: &Config) -> Checked<()> {
    if let [_, disk, ..] = config.disks.as_slice() {
        let what = "the loop backend makes one disk, and this is the second one";
        return Err(Wrong::new(disk.line, &disk.name, what)
            .hint("`--backend image`, the default, writes it")
            .of_host());
    }
    Ok(())
}

/// Refuses a volume in pieces, which only device-mapper makes a device of.
pub(super) fn check_whole(config: &Config, layout: &DiskLayout) -> Checked<()> {
    let groups = layout.groups.iter();
    let mut volumes = groups.flat_map(|group| group.logical.iter().map(move |own| (group, own)));
    let Some((group, volume)) = volumes.find(|(_, volume)| volume.segments.len() > 1) else {
        return Ok(());
    };
    let nodes = config.groups.iter().filter(|node| node.name == group.name);
    let node = nodes.flat_map(|node| &node.logical).find(|node| node.name == volume.name);
    let on = |run: &Segment| Some(group.physical.get(run.physical)?.name.as_str());
    let on: Vec<_> = volume.segments.iter().filter_map(on).collect();
    let what = format!(
        "the loop backend makes devices of volumes in one piece, and this one lies on {}",
        on.join(" and ")
    );
    Err(Wrong::new(node.map_or(0, |node| node.line), &volume.name, what)
        .hint("`--backend image`, the default, writes it; or have it fit into one of them")
        .of_host())
}

fn check_disk(disk: &Disk, is_image: bool) -> Checked<()> {
    if !is_image && disk.directory.is_none() {
        let what = "a disk beside the image needs a directory for its file";
        return Err(Wrong::new(disk.line, &disk.name, what).hint("directory: /where/it/goes"));
    }
    let Some(table) = &disk.table else { return Ok(()) };
    if !table.gpt && disk.sector != 512 {
        let what = format!(
            "an mbr counts in sectors of 512 bytes, and those of {} have {}",
            disk.name, disk.sector
        );
        return Err(Wrong::new(table.line, &table.name, what).hint("label: gpt takes both"));
    }
    for partition in &table.partitions {
        let wrong =
            |what| Wrong::new(partition.line, format!("partition {}", partition.name), what);
        if let Some(kind) = &partition.kind {
            types::check(kind, table.gpt).map_err(wrong)?;
        }
        if table.gpt && partition.name.encode_utf16().count() > 36 {
            return Err(wrong("its name is longer than the 36 characters of a gpt".to_owned()));
        }
    }
    Ok(())
}

/// What the /dev of sandboxes and of guests has: the directory of a volume group would have that
/// name.
const IN_DEV: [&str; 17] = [
    "console", "core", "fd", "full", "mapper", "mqueue", "null", "ptmx", "pts", "random", "shm",
    "stderr", "stdin", "stdout", "tty", "urandom", "zero",
];

fn check_group(group: &Group, config: &Config) -> Checked<()> {
    check_options(&group.name, &group.options)?;
    if IN_DEV.contains(&group.name.as_str()) {
        let what = format!("no volume group can have the name of /dev/{}", group.name);
        return Err(Wrong::new(group.line, &group.name, what).hint("give it another name"));
    }
    let first = group.physical.first().and_then(|pv| config.disk_of(&pv.base));
    for physical in &group.physical {
        check_options(&physical.name, &physical.options)?;
        let disk = config.disk_of(&physical.base);
        if disk.map(|disk| &disk.name) != first.map(|disk| &disk.name) {
            let what = format!("volume group {} would lie on two disks", group.name);
            return Err(Wrong::new(physical.line, &physical.name, what)
                .hint("a group on partitions of one disk can be written"));
        }
    }
    for volume in &group.logical {
        if let Some((kind, line)) = &volume.kind {
            let what = format!(
                "a volume of type {kind} cannot be written: what thin pools hold is made by the kernel"
            );
            return Err(Wrong::new(*line, &volume.name, what).hint("leave type and thin-pool out"));
        }
        check_options(&volume.name, &volume.options)?;
    }
    Ok(())
}

fn check_options(name: &str, options: &[(String, u64)]) -> Checked<()> {
    let mut options = options.iter();
    while let Some((option, line)) = options.next() {
        let (bare, has_value) = match option.split_once('=') {
            Some((bare, _)) => (bare, true),
            None => (option.as_str(), false),
        };
        let known = NEEDLESS.iter().find(|(needless, _)| *needless == bare);
        let Some((_, takes_value)) = known else {
            let what = format!("options: {option} means nothing to goldsmith's own writer of LVM");
            return Err(Wrong::new(*line, name, what));
        };
        if *takes_value && !has_value {
            options.next();
        }
    }
    Ok(())
}

fn check_filesystem(mkfs: &MkfsNode, config: &Config) -> Checked<()> {
    if !WRITTEN.contains(&mkfs.kind.as_str()) {
        let what = format!("file system {} cannot be written yet", mkfs.kind);
        return Err(mkfs.wrong(what).hint(format!("{} can", WRITTEN.join(", "))));
    }
    uuid(mkfs)?;
    if READ_ONLY.contains(&mkfs.kind.as_str()) && mkfs.mount_point().is_none() {
        let what = format!("{} that is mounted nowhere would be empty for ever", mkfs.kind);
        return Err(mkfs.wrong(what).hint("give it a mount with a mount_point"));
    }
    if mkfs.kind == "squashfs" {
        check_squashfs(mkfs, config)?;
    }
    if let Some(opts) = &mkfs.opts {
        if let Some(kind) = ExtKind::named(&mkfs.kind) {
            return options(mkfs, opts, &mut Ext4Options::of(kind));
        }
        other_options::check(&mkfs.kind, opts).map_err(|option| {
            let hint = match mkfs.kind.as_str() {
                "xfs" => xfs_options::HINT,
                "vfat" => "taken are -F, -i and what changes nothing",
                _ => "leave it out: only what changes nothing is taken",
            };
            mkfs.wrong(format!("opts: {option} cannot be written for {}", mkfs.kind)).hint(hint)
        })?;
    }
    Ok(())
}

/// A squashfs has no name of its own: fstab knows its partition or its volume.
fn check_squashfs(mkfs: &MkfsNode, config: &Config) -> Checked<()> {
    if mkfs.uuid.is_some() {
        return Err(mkfs.wrong("uuid: a squashfs has none"));
    }
    let has_line = mkfs.mount.as_ref().is_some_and(|mount| mount.fstab.is_some());
    if has_line && config.disks.iter().any(|disk| disk.name == mkfs.base) {
        let what = "fstab cannot name a squashfs on a disk without partitions: it has no label";
        return Err(mkfs.wrong(what).hint("put it on a partition, or leave fstab out"));
    }
    Ok(())
}

/// Its own identifier.
pub(super) fn uuid(mkfs: &MkfsNode) -> Checked<Option<uuid::Uuid>> {
    let Some(text) = &mkfs.uuid else { return Ok(None) };
    match uuid::Uuid::try_parse(text) {
        Ok(uuid) => Ok(Some(uuid)),
        Err(_) => Err(mkfs.wrong(format!("uuid: {text} is no UUID"))),
    }
}

/// Takes its own options in.
pub(super) fn options(mkfs: &MkfsNode, opts: &str, ext4: &mut Ext4Options) -> Checked<()> {
    mkfs_options::apply(opts, ext4)
        .map_err(|failure| mkfs.wrong(failure.message.replace("--mkfs-options", "opts")))
}
