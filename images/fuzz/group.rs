//! A disk with a volume group: a GPT, two physical volumes, a root in two pieces.

use std::path::Path;
use std::sync::Arc;

use goldsmith_images::disk::layout::{
    DiskLayout, Ext4Options, Filesystem, FsKind, LogicalVolume, MIB, On, Partition, PartitionKind,
    PhysicalVolume, Segment, Table, VolumeGroup, derived_uuid, derived_volume_id, type_guid,
};
use goldsmith_images::disk::sink::RawSink;
use goldsmith_images::disk::{BootFiles, write};
use goldsmith_images::tree::{Entry, Kind, Source, Tree};

const SEED: &str = "fuzz";

fn partition(number: u32, start: u64, mib: u64) -> Partition {
    let name = format!("p{number}");
    let guid = derived_uuid(SEED, &name);
    let kind = PartitionKind::Gpt { type_guid: type_guid::LVM, guid, attributes: 0 };
    Partition { number, name, start_lba: start * 2048, sectors: mib * 2048, kind }
}

fn physical(number: u32, extents: u64) -> PhysicalVolume {
    let name = format!("p{number}");
    let id = derived_volume_id(SEED, &format!("pv{number}"));
    PhysicalVolume { name, on: On::Partition(number), id, extents }
}

fn layout() -> DiskLayout {
    let piece = |physical, first, extents| Segment { physical, first, extents };
    let root = LogicalVolume {
        name: "root".into(),
        id: derived_volume_id(SEED, "root"),
        segments: vec![piece(1, 0, 2), piece(0, 1, 3)],
    };
    let group = VolumeGroup {
        name: "vg".into(),
        id: derived_volume_id(SEED, "vg"),
        extent_bytes: 4 * MIB,
        physical: vec![physical(1, 4), physical(2, 2)],
        logical: vec![root],
    };
    let options = Ext4Options { journal_mib: Some(1), ..Ext4Options::default() };
    DiskLayout {
        size_bytes: 32 * MIB,
        sector_size: 512,
        epoch: 1_700_000_000,
        table: Table::Gpt { disk_guid: derived_uuid(SEED, "disk") },
        partitions: vec![partition(1, 1, 18), partition(2, 19, 10)],
        groups: vec![group],
        filesystems: vec![Filesystem {
            name: "root".into(),
            on: On::Volume { group: 0, volume: 0 },
            kind: FsKind::Ext4(options),
            label: "root".into(),
            uuid: derived_uuid(SEED, "root"),
            mount_point: Some("/".into()),
        }],
        elsewhere: Vec::new(),
    }
}

/// Writes the disk to a new file.
pub fn make(path: &Path) {
    let mut tree = Tree::default();
    let mut add = |path: &[u8], kind| tree.insert(Entry::new(path.to_vec(), kind, 0o755, 0));
    add(b"", Kind::Dir);
    add(b"etc", Kind::Dir);
    let fstab: &[u8] = b"/dev/vg/root / ext4 defaults 0 1\n";
    let source = Source::Bytes(Arc::from(fstab));
    add(b"etc/fstab", Kind::File { size: fstab.len() as u64, source });
    let file = fs_err::File::create(path).expect("the file");
    let layout = layout();
    let mut sink = RawSink::new(file, layout.size_bytes).expect("the file");
    write(&layout, &tree, &mut sink, &BootFiles::default()).expect("a disk");
}
