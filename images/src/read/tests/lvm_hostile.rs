//! Volume groups that are made to do harm: right by every checksum, and still they cannot be.

use std::sync::Arc;

use super::super::{Medium, System};
use super::damage::{Memory, damaged_and};
use super::lvm;
use crate::disk::layout::{DiskLayout, Ext4Options, Filesystem, FsKind, MIB, On, derived_uuid};
use crate::disk::lvm_checksum as checksum;
use crate::disk::test_support::{dir, file, tree};

const ID: &str = "abcdefghijklmnopqrstuvwxyz012345";
const AREA: usize = 4096;
const END: usize = 256 << 10;

/// What a disk is made of: numbers that may lie.
struct Lies {
    text: String,
    /// Of the text in its area.
    offset: u64,
    size: Option<u64>,
    flags: u32,
    area: (u64, u64),
    label: (u64, u32),
}

impl Default for Lies {
    fn default() -> Self {
        Self {
            text: text(SEGMENT),
            offset: 512,
            size: None,
            flags: 0,
            area: (AREA as u64, (END - AREA) as u64),
            label: (1, 32),
        }
    }
}

const SEGMENT: &str = "segment_count = 1\nsegment1 {\nstart_extent = 0\nextent_count = 16\n\
    type = \"striped\"\nstripe_count = 1\nstripes = [\"pv0\", 0]\n}\n";

/// A group with a root, which has these segments.
fn text(segments: &str) -> String {
    let mut id = ID.to_owned();
    id.insert(6, '-');
    format!(
        "vg {{\nid = \"0{}\"\nseqno = 1\nextent_size = 2048\nphysical_volumes {{\npv0 {{\n\
         id = \"{id}\"\npe_start = 512\npe_count = 16\n}}\n}}\nlogical_volumes {{\nroot {{\n\
         status = [\"READ\", \"VISIBLE\"]\n{segments}}}\n}}\n}}\n\
         contents = \"Text Format Volume Group\"\nversion = 1\n",
        &ID[1..]
    )
}

/// The file system, of 16 MiB.
fn root() -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let root = Filesystem {
        name: "root".into(),
        on: On::Whole,
        kind: FsKind::Ext4(Ext4Options { journal_mib: Some(4), ..Ext4Options::default() }),
        label: "root".into(),
        uuid: derived_uuid("test", "root"),
        mount_point: Some("/".into()),
    };
    let system = tree(vec![dir(""), dir("etc"), file("etc/x", &[b'k'; 90_000])]);
    let path = scratch.path().join("root");
    lvm::disk(&path, &DiskLayout::bare(16 * MIB, 1_700_000_000, root), &system);
    fs_err::read(path).unwrap()
}

/// The first bytes of a physical volume.
fn front(lies: &Lies) -> Vec<u8> {
    let mut bytes = vec![0; END];
    let label = &mut bytes[512..1024];
    label[..8].copy_from_slice(b"LABELONE");
    label[8..16].copy_from_slice(&lies.label.0.to_le_bytes());
    label[20..24].copy_from_slice(&lies.label.1.to_le_bytes());
    label[24..32].copy_from_slice(b"LVM2 001");
    label[32..64].copy_from_slice(ID.as_bytes());
    let rows = [END as u64, 0, 0, 0, lies.area.0, lies.area.1];
    for (at, number) in rows.iter().enumerate() {
        label[72 + at * 8..][..8].copy_from_slice(&number.to_le_bytes());
    }
    let mut content = lies.text.clone().into_bytes();
    content.push(0);
    let header = &mut bytes[AREA..AREA + 512];
    header[4..20].copy_from_slice(b" LVM2 x[5A%r0N*>");
    header[20..24].copy_from_slice(&1_u32.to_le_bytes());
    let size = lies.size.unwrap_or(content.len() as u64);
    let numbers = [AREA as u64, (END - AREA) as u64, lies.offset, size];
    for (at, number) in numbers.iter().enumerate() {
        header[24 + at * 8..][..8].copy_from_slice(&number.to_le_bytes());
    }
    header[60..64].copy_from_slice(&lies.flags.to_le_bytes());
    let ring = END - AREA - 512;
    let from = usize::try_from(lies.offset).unwrap_or(512).max(512) - 512;
    for (at, byte) in content.into_iter().enumerate() {
        bytes[AREA + 512 + (from + at) % ring] = byte;
    }
    seal(&mut bytes);
    bytes
}

/// Makes all checksums right.
fn seal(bytes: &mut [u8]) {
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (offset, size) = (word(bytes, AREA + 40), word(bytes, AREA + 48));
    if (512..(END - AREA) as u64).contains(&offset) && size < (END - AREA) as u64 {
        let (offset, size) = (usize::try_from(offset).unwrap(), usize::try_from(size).unwrap());
        let mut text = bytes[AREA + offset..END.min(AREA + offset + size)].to_vec();
        text.extend_from_slice(&bytes[AREA + 512..AREA + 512 + size - text.len()]);
        bytes[AREA + 56..AREA + 60].copy_from_slice(&checksum(&text).to_le_bytes());
    }
    let sum = checksum(&bytes[AREA + 4..AREA + 512]);
    bytes[AREA..AREA + 4].copy_from_slice(&sum.to_le_bytes());
    let sum = checksum(&bytes[532..1024]);
    bytes[528..532].copy_from_slice(&sum.to_le_bytes());
}

/// What is found on a disk: entries of the system, or why there are none.
fn entries(front: &[u8], root: &[u8]) -> Result<usize, String> {
    let disk: Arc<dyn Medium> = Arc::new(Memory([front, root].concat()));
    let chain = |error: &dyn std::error::Error| {
        let source = error.source().map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    };
    let system = System::find(&disk).map_err(|error| chain(&error))?;
    if !system.has_root() {
        return Err(system.nothing("a root").to_string());
    }
    system.tree(b"").map(|tree| tree.entries.len()).map_err(|error| chain(&error))
}

#[test]
fn i27_metadata_that_lie_with_right_checksums() {
    let root = root();
    let made = |lies: &Lies| entries(&front(lies), &root);
    let whole = made(&Lies::default()).unwrap();
    assert_eq!(whole, 4);
    // A text that goes on at the begin of its ring, at every byte of it.
    let length = u64::try_from(Lies::default().text.len() + 1).unwrap();
    let end = (END - AREA) as u64;
    for offset in [513, end - length, end - length + 1, end - 100, end - 1] {
        assert_eq!(made(&Lies { offset, ..Lies::default() }), Ok(whole), "{offset}");
    }
    let unused = [Lies { flags: 1, ..Lies::default() }, Lies { offset: 0, ..Lies::default() }];
    for lies in unused {
        let error = made(&lies).unwrap_err();
        assert!(error.ends_with("LVM in the whole disk"), "{error}");
    }
    let far = u64::MAX;
    for (offset, size) in
        [(511, None), (end, None), (far, None), (512, Some(far)), (600, Some(end))]
    {
        let error = made(&Lies { offset, size, ..Lies::default() }).unwrap_err();
        assert!(error.contains("outside of their area"), "{offset}, {size:?}: {error}");
    }
    for (area, expected) in [
        ((far, 8192), "lie outside"),
        ((4096, far), "lie outside"),
        ((4096, 32 << 20), "lie outside"),
        ((4096, 512), "too small"),
        ((512, 8192), "checksum of their header"),
        ((4096, 8192), "of another place"),
    ] {
        let error = made(&Lies { area, ..Lies::default() }).unwrap_err();
        assert!(error.contains(expected), "{area:?}: {error}");
    }
    for (label, expected) in [((0, 32), "another sector"), ((1, 600), "identifier")] {
        let error = made(&Lies { label, ..Lies::default() }).unwrap_err();
        assert!(error.contains(expected), "{label:?}: {error}");
    }
    let label = (1, u32::MAX);
    assert!(made(&Lies { label, ..Lies::default() }).is_err());
}

#[test]
fn i27_groups_that_cannot_be() {
    let root = root();
    let with = |text: String| entries(&front(&Lies { text, ..Lies::default() }), &root);
    let changed = |from: &str, to: &str| {
        let text = text(SEGMENT);
        assert!(text.contains(from), "{from}");
        with(text.replace(from, to))
    };
    assert_eq!(with(text(SEGMENT)), Ok(4));
    for (from, to, expected) in [
        ("extent_size = 2048", "extent_size = 0", "no size"),
        ("extent_size = 2048", "extent_size = 18446744073709551615", "no size"),
        ("extent_size = 2048", "extent_size = 36028797018963967", "outside of its physical"),
        ("extent_size = 2048", "extent_size = 2049", "outside of its physical"),
        ("pe_start = 512", "pe_start = 513", "outside of its physical"),
        ("pe_start = 512", "pe_start = 36028797018963967", "outside of its physical"),
        ("pe_count = 16", "pe_count = 15", "do not exist"),
        ("pe_count = 16", "pe_count = \"12\"", "no length"),
        ("\"pv0\", 0", "\"pv0\", 1", "do not exist"),
        ("\"pv0\", 0", "\"pv0\", 18446744073709551615", "do not exist"),
        ("\"pv0\", 0", "\"pv1\", 0", "no physical volume"),
        // A volume that lies on itself.
        ("\"pv0\", 0", "\"root\", 0", "root (a volume that lies on another one is not read here)"),
        ("\"pv0\", 0", "\"pv0\", 0, \"pv0\", 0", "where it lies"),
        ("\"pv0\", 0", "0, \"pv0\"", "where it lies"),
        ("extent_count = 16", "extent_count = 0", "no length"),
        ("start_extent = 0", "start_extent = 1", "do not follow"),
        ("segment_count = 1", "segment_count = 0", "no segments"),
        ("segment_count = 1", "segment_count = 18446744073709551615", "lacks a segment"),
        ("seqno = 1", "", "no number"),
        (&ID[10..], "", "no identifier"),
        ("version = 1", "version = 2", "not one of LVM2"),
        ("contents = ", "other { }\ncontents = ", "one group"),
        ("stripe_count = 1", "stripe_count = 2", "a striped volume is not read here"),
        ("\"striped\"", "\"thin\"", "root (a volume of the type thin is not read here)"),
        ("\"striped\"", "\"raid1\"", "root (a volume of the type raid1 is not read here)"),
        ("\"striped\"", "\"a b\"", "root (a volume of the type ? is not read here)"),
        ("\"VISIBLE\"", "\"HIDDEN\"", "found: LVM in the whole disk"),
        ("vg {", "vg {\nvg {", "within a section"),
    ] {
        let error = changed(from, to).unwrap_err();
        assert!(error.contains(expected), "{from} {to}: {error}");
    }
    // Another physical volume, which this disk does not have.
    let physical = format!("pv0 {{\nid = \"{}-{}\"", &ID[..6], &ID[6..]);
    assert!(changed(&physical, "pv0 {\nid = \"zz\"").unwrap_err().contains("no identifier"));
    let error = changed(&physical, &format!("pv0 {{\nid = \"{}\"", "z".repeat(32))).unwrap_err();
    assert!(error.contains("pv0, which this disk does not have"), "{error}");
}

#[test]
fn i27_volumes_that_share_extents_or_hold_changes() {
    let root = root();
    let with = |text: String| entries(&front(&Lies { text, ..Lies::default() }), &root);
    let more = |volume: &str| {
        let end = "\n}\n}\n}\ncontents";
        assert!(text(SEGMENT).contains(end));
        with(text(SEGMENT).replace(end, &format!("\n}}\n{volume}}}\n}}\ncontents")))
    };
    // Extents that two volumes have, and that one has twice.
    let volume = format!("again {{\nstatus = [\"VISIBLE\"]\n{SEGMENT}}}\n");
    assert!(more(&volume).unwrap_err().contains("share extents"));
    let twice = SEGMENT.replace("segment_count = 1", "segment_count = 2")
        + &SEGMENT
            .replace("segment_count = 1\n", "")
            .replace("segment1", "segment2")
            .replace("start_extent = 0", "start_extent = 16");
    assert!(with(text(&twice)).unwrap_err().contains("share extents"));
}

#[test]
fn volumes_that_are_no_file_systems_are_passed_over() {
    let root = root();
    let with = |text: String| entries(&front(&Lies { text, ..Lies::default() }), &root);
    let more = |segment: &str| {
        let to = format!("\n}}\n{segment}}}\n}}\ncontents");
        with(text(SEGMENT).replace("\n}\n}\n}\ncontents", &to))
    };
    let volume = format!("again {{\nstatus = [\"VISIBLE\"]\n{SEGMENT}}}\n");
    // What is no root harms nobody.
    let thin = volume.replace("\"striped\"", "\"thin\"");
    assert_eq!(more(&thin), Ok(4));
    assert_eq!(more(&volume.replace("VISIBLE", "x")), Ok(4));
    // The changes that a snapshot keeps are no file system; its origin is one.
    let snapshot = "snapshot0 {\nstatus = [\"VISIBLE\"]\nsegment_count = 1\nsegment1 {\n\
        type = \"snapshot\"\norigin = \"ORIGIN\"\ncow_store = \"COW\"\n}\n}\n";
    let of = |origin: &str, cow: &str| snapshot.replace("ORIGIN", origin).replace("COW", cow);
    assert_eq!(more(&of("root", "kept")), Ok(4));
    assert!(more(&of("other", "root")).unwrap_err().contains("root (a snapshot is not read here)"));
    let merging = of("root", "kept").replace("cow_store", "merging_store");
    assert!(more(&merging).unwrap_err().contains("merged into"));
    let many = |count: usize| {
        let of = "{status=[\"VISIBLE\"] segment_count=1 segment1{start_extent=0 extent_count=1 type=\"x\"}}\n";
        more(&(0..count).map(|number| format!("t{number} {of}")).collect::<String>())
    };
    assert_eq!(many(1000), Ok(4));
    assert!(many(1024).unwrap_err().contains("more logical volumes"));
}

#[test]
fn i27_flipped_bytes_of_groups() {
    let good = [front(&Lies::default()), root()].concat();
    let found = damaged_and(good.clone(), 31, 400, &|_, _| Vec::new());
    assert!(found > 40, "{found}");
    // Wrong bytes under right checksums.
    let sealed = |disk: &[u8], flips: &[(usize, u8)]| -> Vec<(usize, u8)> {
        let before = &disk[..END];
        let mut after = before.to_vec();
        for (at, byte) in flips.iter().filter(|(at, _)| *at < END) {
            after[*at] = *byte;
        }
        seal(&mut after);
        (0..END).filter(|&at| after[at] != before[at]).map(|at| (at, after[at])).collect()
    };
    let found = damaged_and(good.clone(), 32, 1500, &sealed);
    assert!(found > 100, "{found}");
    for length in [511, 600, 1024, 4095, 4096 + 600, END, END + (1 << 20)] {
        assert!(entries(&good[..length], b"").is_err(), "{length}");
    }
    // A damaged copy of the metadata is none; there is no other one.
    for (at, expected) in [
        (600, "the label of the physical volume is damaged: its checksum"),
        (AREA + 100, "checksum of their header"),
        (AREA + 520, "their checksum is wrong"),
    ] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let error = entries(&bytes, b"").unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// A disk with an MBR whose partitions, given in sectors, begin with those bytes.
fn divided(parts: &[(usize, usize, &[u8])]) -> Result<usize, String> {
    let end = parts.iter().map(|(start, len, _)| start + len).max().unwrap_or_default();
    let mut disk = vec![0; end * 512];
    for (row, (start, len, front)) in parts.iter().enumerate() {
        let entry = &mut disk[446 + row * 16..][..16];
        entry[4] = 0x8e;
        entry[8..12].copy_from_slice(&u32::try_from(*start).unwrap().to_le_bytes());
        entry[12..16].copy_from_slice(&u32::try_from(*len).unwrap().to_le_bytes());
        disk[start * 512..][..front.len()].copy_from_slice(front);
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    entries(&disk, &[])
}

/// The same bytes twice would be more than the disk has.
#[test]
fn i27_physical_volumes_that_overlap() {
    let front = front(&Lies::default());
    let whole = [&front[..], &root()].concat();
    let len = whole.len() / 512;
    assert_eq!(divided(&[(64, len, &whole)]), Ok(4));
    // The second one lies within the first one's first extents.
    let error = divided(&[(64, len, &whole), (64 + END / 512, END / 512, &front)]).unwrap_err();
    assert!(error.contains("a partition that overlaps another one"), "{error}");
    // Beside it, it would be the same volume once more.
    let error = divided(&[(64, len, &whole), (64 + len, END / 512, &front)]).unwrap_err();
    assert!(error.contains("has the same identifier"), "{error}");
}

/// Of three copies the newest counts, in whatever order they are read.
#[test]
fn copies_of_one_age_do_no_harm_to_a_newer_one() {
    let other = |id: char, seqno: &str, word: &str| {
        let text = text(SEGMENT).replace("seqno = 1", seqno) + word;
        let mut bytes = front(&Lies { text, ..Lies::default() });
        bytes[512 + 32..512 + 64].fill(u8::try_from(id).unwrap());
        seal(&mut bytes);
        bytes
    };
    let newest = |seqno: &str| {
        let text = text(SEGMENT).replace("seqno = 1", seqno);
        [&front(&Lies { text, ..Lies::default() })[..], &root()].concat()
    };
    let size = END / 512;
    // Volumes are read by their identifiers: the newest one's is between the others or the first.
    for ids in [['0', '1'], ['0', 'z'], ['y', 'z']] {
        let old = ids.map(|id| other(id, "seqno = 5", &format!("a{id} = 1\n")));
        let disk = |front: &[u8]| {
            let len = front.len() / 512;
            divided(&[
                (64, len, front),
                (64 + len, size, &old[0]),
                (64 + len + size, size, &old[1]),
            ])
        };
        assert_eq!(disk(&newest("seqno = 6")), Ok(4), "{ids:?}");
        let error = disk(&newest("seqno = 4")).unwrap_err();
        assert!(error.contains("its copies are of one age"), "{ids:?}: {error}");
    }
}
