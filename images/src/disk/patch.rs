//! A disk image whose file systems others fill: the kernel, through a block device.
//!
//! We write what lies around them, and the file systems that the kernel may not know.

use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;

use super::boot::{self, BiosBoot};
use super::layout::{DiskLayout, Extent, Filesystem, FsKind, LayoutError};
use super::lvm;
use super::made::Made;
use super::sink::DiskSink;
use super::swap;
use super::table;
use super::view::{self, View};
use super::write::{Place, WriteError, write_one};
use super::xfs;
use crate::tree::Tree;

/// A fresh sparse file: what is zero is there already, and ranges may be written in turns.
struct Fresh<'a>(&'a File);

impl DiskSink for Fresh<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn zeros(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of a file system that is one run, as a volume in pieces is not.
fn run(layout: &DiskLayout, filesystem: &Filesystem) -> Result<Extent, LayoutError> {
    match layout.extents(filesystem).as_deref() {
        Some([extent]) => Ok(*extent),
        _ => Err(LayoutError::NoPlace { name: filesystem.name.clone() }),
    }
}

/// Gives the empty `file` the length of the disk and writes its partition table, swap areas and
/// every xfs, empty: mkfs.xfs asks the device for what a sandbox is not allowed to. What LVM keeps
/// on the disk comes at the end ([`volumes`]).
///
/// # Errors
///
/// When the layout is impossible or the file cannot be written.
pub fn frame(layout: &DiskLayout, file: &File) -> Result<(), WriteError> {
    layout.validate()?;
    file.set_len(layout.size_bytes)?;
    let mut sink = Fresh(file);
    for fragment in table::fragments(layout)? {
        sink.data(fragment.offset, &fragment.bytes)?;
    }
    let (tree, root) = (Tree::default(), view::root(layout.epoch));
    for filesystem in &layout.filesystems {
        let name = || filesystem.name.clone();
        let extent = run(layout, filesystem)?;
        match &filesystem.kind {
            FsKind::Swap => swap::write(filesystem, extent, &mut sink)
                .map_err(|source| WriteError::Swap { name: name(), source })?,
            FsKind::Xfs(options) => {
                let place = Place { extent, sector_size: layout.sector_size, epoch: layout.epoch };
                let view = View::empty(&tree, &root);
                xfs::write(&view, filesystem, options, &place, &mut sink)
                    .map_err(|source| WriteError::Xfs { name: name(), source: Box::new(source) })?;
            }
            FsKind::Ext4(_)
            | FsKind::Vfat(_)
            | FsKind::Btrfs
            | FsKind::Erofs
            | FsKind::Squashfs => {}
        }
    }
    Ok(())
}

/// Writes what LVM keeps on physical volumes, into a disk that is no device any more: a host that
/// sees it on one may activate the volumes, and holds the device.
///
/// # Errors
///
/// When the volumes have no place or the file cannot be written.
pub fn volumes(layout: &DiskLayout, file: &File) -> Result<(), WriteError> {
    for fragment in lvm::fragments(layout)? {
        file.write_all_at(&fragment.bytes, fragment.offset)?;
    }
    Ok(())
}

/// Writes GRUB's code for BIOS into a disk whose table [`frame`] wrote.
///
/// # Errors
///
/// When the layout has no place for it, or the file cannot be written.
pub fn boot_code(layout: &DiskLayout, bios: &BiosBoot, file: &File) -> Result<(), WriteError> {
    let mut fragments = table::fragments(layout)?;
    boot::embed(layout, bios, &mut fragments)?;
    for fragment in &fragments {
        file.write_all_at(&fragment.bytes, fragment.offset)?;
    }
    Ok(())
}

/// Writes a file system of the layout that the kernel need not know, or writes nothing to, with
/// `tree` as its whole content into its place of `file`, which nothing was written to so far.
///
/// # Errors
///
/// When the layout has no such file system, the tree does not fit or the file cannot be written.
pub fn volume(
    layout: &DiskLayout,
    name: &str,
    tree: &Tree,
    made: &Made,
    file: &File,
) -> Result<(), WriteError> {
    let found = layout.filesystems.iter().find(|filesystem| filesystem.name == name);
    let filesystem = found.ok_or_else(|| LayoutError::NoPlace { name: name.to_owned() })?;
    let extent = run(layout, filesystem)?;
    let alone = DiskLayout {
        filesystems: vec![Filesystem { mount_point: Some("/".to_owned()), ..filesystem.clone() }],
        elsewhere: Vec::new(),
        ..layout.clone()
    };
    let missing = view::missing_directories(&alone, tree);
    let views = view::split(&alone, tree, &missing)?;
    if let Some(view) = views.first() {
        write_one(layout, filesystem, (view, made), extent, &mut Fresh(file))?;
    }
    Ok(())
}
