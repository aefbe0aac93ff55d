//! Systems on logical volumes: our own, and those of LVM's tools.

use std::path::Path;
use std::sync::Arc;

use super::super::{LogicalVolume, Medium, RawFile, System, partitions, volumes};
use super::{content, same, system};
use crate::compare::disks;
use crate::disk::layout::{
    DiskLayout, Ext4Options, Filesystem, FsKind, LogicalVolume as Logical, MIB, On, Partition,
    PartitionKind, PhysicalVolume, Segment, Table, VolumeGroup, derived_uuid, derived_volume_id,
    type_guid,
};
use crate::disk::sink::RawSink;
use crate::disk::test_support::{can_mount, create, dir, file, have, noise, run, tree};
use crate::disk::{BootFiles, write};
use crate::tree::Tree;

/// A logical volume: its name; of each run the physical volume, the first extent, their number.
type Runs<'a> = (&'a str, &'a [(usize, u64, u64)]);

fn group(on: &[(On, u64)], logical: &[Runs<'_>]) -> VolumeGroup {
    let physical = |(number, &(on, extents)): (usize, &(On, u64))| PhysicalVolume {
        name: format!("p{number}"),
        on,
        id: derived_volume_id("test", &format!("pv{number}")),
        extents,
    };
    let runs = |runs: &[(usize, u64, u64)]| {
        let run = |&(physical, first, extents)| Segment { physical, first, extents };
        runs.iter().map(run).collect()
    };
    VolumeGroup {
        name: "vg-a".into(),
        id: derived_volume_id("test", "vg"),
        extent_bytes: 4 * MIB,
        physical: on.iter().enumerate().map(physical).collect(),
        logical: logical
            .iter()
            .map(|(name, list)| Logical {
                name: (*name).into(),
                id: derived_volume_id("test", name),
                segments: runs(list),
            })
            .collect(),
    }
}

fn filesystem(volume: usize, name: &str, mount_point: &str) -> Filesystem {
    Filesystem {
        name: name.into(),
        on: On::Volume { group: 0, volume },
        kind: FsKind::Ext4(Ext4Options { journal_mib: Some(4), ..Ext4Options::default() }),
        label: name.into(),
        uuid: derived_uuid("test", name),
        mount_point: Some(mount_point.into()),
    }
}

/// A root that lies on two partitions in the wrong order, and two more file systems.
pub(super) fn layout() -> DiskLayout {
    let part = |number: u32, start: u64, mib: u64| Partition {
        number,
        name: format!("p{number}"),
        start_lba: start * 2048,
        sectors: mib * 2048,
        kind: PartitionKind::Gpt {
            type_guid: type_guid::LVM,
            guid: derived_uuid("test", &format!("partition/{number}")),
            attributes: 0,
        },
    };
    let (one, other) = (On::Partition(1), On::Partition(2));
    let logical: [Runs<'_>; 3] =
        [("home-dir", &[(1, 3, 4)]), ("root", &[(1, 0, 3), (0, 2, 4)]), ("var", &[(0, 6, 4)])];
    DiskLayout {
        size_bytes: 84 * MIB,
        sector_size: 512,
        epoch: 1_700_000_000,
        table: Table::Gpt { disk_guid: derived_uuid("test", "disk") },
        partitions: vec![part(1, 1, 44), part(2, 45, 36)],
        groups: vec![group(&[(one, 10), (other, 8)], &logical)],
        filesystems: vec![
            filesystem(1, "root", "/"),
            filesystem(0, "home", "/home"),
            filesystem(2, "var", "/var"),
        ],
        elsewhere: Vec::new(),
    }
}

const FSTAB: &str = "LABEL=root / ext4 defaults 0 1\n\
    /dev/mapper/vg--a-home--dir /home ext4 defaults 0 2\n\
    /dev/vg-a/var /var ext4 defaults 0 2\n\
    /dev/vg-a/none /mnt ext4 defaults 0 2\n";

pub(super) fn os() -> Tree {
    tree(vec![
        dir(""),
        dir("boot"),
        file("boot/vmlinuz-1", &noise(9_000_000)),
        dir("etc"),
        file("etc/fstab", FSTAB.as_bytes()),
        dir("home"),
        file("home/far", &noise(5_000_000)),
        dir("var"),
        file("var/near", b"near"),
    ])
}

/// Writes a disk, and opens it.
pub(super) fn disk(path: &Path, layout: &DiskLayout, tree: &Tree) -> Arc<dyn Medium> {
    let mut sink = RawSink::new(create(path), layout.size_bytes).unwrap();
    write(layout, tree, &mut sink, &BootFiles::default()).unwrap();
    Arc::new(RawFile::open(path).unwrap())
}

#[test]
fn our_own_groups_are_read_back() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = disk(&scratch.path().join("disk"), &layout(), &os());
    let system = System::find(&disk).unwrap();
    let mounts: Vec<_> = system.mounts().iter().map(|(at, slot)| format!("{at} {slot}")).collect();
    let place = "logical volume vg-a";
    assert_eq!(
        mounts,
        [format!("/ {place}/root"), format!("/home {place}/home-dir"), format!("/var {place}/var")]
    );
    let skip = ["lost+found", "home/lost+found", "var/lost+found"];
    same(&system.tree(b"").unwrap(), &os(), &skip);
}

#[test]
fn a_group_on_a_disk_without_a_table() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = DiskLayout {
        size_bytes: 40 * MIB,
        table: Table::None,
        partitions: Vec::new(),
        groups: vec![group(&[(On::Whole, 9)], &[("root", &[(0, 0, 4), (0, 5, 4)])])],
        filesystems: vec![filesystem(0, "root", "/")],
        ..layout()
    };
    let disk = disk(&scratch.path().join("disk"), &whole, &os());
    let system = System::find(&disk).unwrap();
    assert_eq!(system.mounts()[0].1.to_string(), "logical volume vg-a/root");
    same(&system.tree(b"").unwrap(), &os(), &["lost+found"]);
}

#[test]
fn disks_differ_by_logical_volume() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let one = disk(&path("one"), &layout(), &os());
    let told = |change: &dyn Fn(&mut Tree), layout: &DiskLayout| {
        let mut tree = os();
        change(&mut tree);
        let other = disk(&path("other"), layout, &tree);
        let line = |d: &crate::compare::Difference| {
            let path = d.path.as_ref().map(|path| String::from_utf8_lossy(path).into_owned());
            format!("{} {}: {}", d.place, path.unwrap_or_default(), d.attribute)
        };
        disks(&one, &other).unwrap().iter().map(line).collect::<Vec<_>>()
    };
    assert!(told(&|_| {}, &layout()).is_empty());
    let change = |tree: &mut Tree| {
        tree.insert(file("home/far", &noise(5_000_001)));
        tree.insert(file("etc/new", b""));
    };
    assert_eq!(
        told(&change, &layout()),
        [
            "logical volume vg-a/home-dir (/home) home/far: size",
            "logical volume vg-a/home-dir (/home) home/far: content from byte 5000000 on",
            "logical volume vg-a/root (/) etc/new: presence",
        ]
    );
    // The same files on other extents: only the metadata are not the same.
    let mut moved = layout();
    moved.groups[0].logical[2].segments[0].first = 0;
    moved.groups[0].logical[1].segments[1].first = 4;
    let told_moved = told(&|_| {}, &moved);
    assert!(told_moved.iter().all(|line| line.starts_with("partition ")), "{told_moved:?}");
    assert_eq!(told_moved.len(), 2, "{told_moved:?}");
    let mut renamed = layout();
    renamed.groups[0].logical[2].name = "varied".into();
    let told = told(&|_| {}, &renamed);
    assert!(told.contains(&"the disk : presence".to_owned()), "{told:?}");
}

/// Makes a group of two partitions of the disk $1 (with the scratch directory $2), changes it
/// until its text begins anew in the ring of metadata, and puts the file system $3 on a volume
/// of two runs, by what LVM says about them.
const LVM: &str = r#"
set -eu
disk=$1 scratch=$2 system=$3
printf 'label: gpt\nstart=2048, size=122880, type=lvm\nsize=122880, type=lvm\n' | sfdisk -q "$disk"
one=$(losetup -f --show -o 1M --sizelimit 60M "$disk")
trap 'losetup -d "$one"' EXIT
other=$(losetup -f --show -o 61M --sizelimit 60M "$disk")
trap 'losetup -d "$one" "$other"' EXIT
export LVM_SUPPRESS_FD_WARNINGS=1
config="devices { use_devicesfile=0 filter=[\"a|^$one\$|\",\"a|^$other\$|\",\"r|.*|\"] }
backup { backup=0 archive=0 } activation { udev_sync=0 udev_rules=0 monitoring=0 }
global { activation=0 locking_dir=\"$scratch/lock\" }"
do_lvm() { verb=$1; shift; lvm "$verb" --config "$config" "$@" 2> "$scratch/error" || { cat "$scratch/error"; exit 1; }; }
do_lvm pvcreate --metadatasize 32k --dataalignment 64k "$one" "$other"
do_lvm vgcreate -s 1m vg-a "$one" "$other"
do_lvm lvcreate -an -Zn -Wn -y -L 8M -i 2 -n stripes vg-a
do_lvm lvcreate -an -Zn -Wn -y -L 20M -n first vg-a
do_lvm lvcreate -an -Zn -Wn -y -L 20M -n root vg-a "$one"
do_lvm lvextend -L +20M vg-a/root "$other"
do_lvm lvremove -f vg-a/first
for number in $(seq "$4"); do
    do_lvm vgchange --addtag "tag#$number" vg-a > /dev/null
done
do_lvm lvs --noheadings -o seg_start_pe,seg_size_pe,devices vg-a/root > "$scratch/runs"
cat "$scratch/runs"
test "$(wc -l < "$scratch/runs")" = 2
while read -r at count where; do
    first=${where##*\(}
    dd if="$system" of="${where%(*}" bs=64k skip=$((at * 16)) seek=$((${first%)} * 16 + 1)) \
        count=$((count * 16)) conv=notrunc,fsync status=none
done < "$scratch/runs"
"#;

#[test]
fn what_lvm_writes_is_read() {
    if !can_mount() || !have("lvm") || !have("sfdisk") || !have("losetup") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let bare = DiskLayout::bare(40 * MIB, 1_700_000_000, filesystem(0, "root", "/"));
    disk(&at("system"), &bare, &os());
    let mut wrapped = 0;
    for changes in 16..28 {
        fs_err::File::create(at("disk")).unwrap().set_len(122 * MIB).unwrap();
        let paths = ["disk", "", "system"].map(|name| at(name).to_str().unwrap().to_owned());
        let count = changes.to_string();
        let [disk, place, from] = &paths;
        run("sh", &["-c", LVM, "sh", disk, place, from, &count]);
        let system = system(&at("disk"));
        let root = system.mounts().remove(0).1;
        assert_eq!(root.to_string(), "logical volume vg-a/root");
        let tree = system.tree(b"").unwrap();
        let kernel = tree.get(b"boot/vmlinuz-1").unwrap();
        assert!(content(&tree, kernel) == noise(9_000_000));
        let list = system.nothing("x").to_string();
        let told = "logical volume vg-a/stripes (a striped volume is not read here)";
        assert!(list.contains(told), "{list}");
        // The text of the second one goes on at the begin of its area.
        let bytes = fs_err::read(at("disk")).unwrap();
        let header = &bytes[(61 << 20) + 4096..][..512];
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
        wrapped += u32::from(word(40) + word(48) > word(32));
        if wrapped > 0 {
            break;
        }
    }
    assert!(wrapped > 0, "no text went on at the begin");
    // Without its second half, the root is told by what it lacks.
    let bytes = fs_err::read(at("disk")).unwrap();
    let gone = |from: usize| {
        let mut bytes = bytes.clone();
        bytes[from << 20..][..2048].fill(0);
        let disk: Arc<dyn Medium> = Arc::new(super::damage::Memory(bytes));
        let found: Vec<LogicalVolume> = volumes(&partitions(&disk).unwrap()).unwrap();
        let root = found.into_iter().find(|volume| volume.slot.to_string().ends_with("/root"));
        root.unwrap().content.unwrap_err().to_string()
    };
    for (from, name) in [(1, "pv0"), (61, "pv1")] {
        let error = gone(from);
        assert!(error.contains(&format!("{name}, which this disk does not have")), "{error}");
    }
}
